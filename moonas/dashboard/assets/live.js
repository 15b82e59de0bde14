"use strict";

// Events of the study that is shown reach the page as they happen; what a page looks up by its own beat does not wait for them.

let stream = null;
let followed = "";

const follow = () => {
  if (stream) stream.close();
  stream = followed && !document.hidden ? new EventSource(`/api/v1/studies/${followed}/stream`) : null; // browsers allow few at once
  if (stream) stream.addEventListener("event", () => dash_clientside.set_props("news", { data: Date.now() }));
};

document.addEventListener("visibilitychange", follow);

window.dash_clientside = Object.assign({}, window.dash_clientside, {
  live: {
    // served: whether there is a service that streams.
    follow: (pathname, served) => {
      const name = served ? (/^\/studies\/([^/]+)/.exec(pathname) || ["", ""])[1] : "";
      if (name !== followed) {
        followed = name;
        follow();
      }
      return window.dash_clientside.no_update;
    },
  },
});
