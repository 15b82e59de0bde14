"use strict";

// Events of the study that is shown reach the page as they happen; what a page looks up by its own beat does not wait for them.

let studyStream = null; // one of the page at most
{
  let followed = "";

  const follow = () => {
    if (studyStream) studyStream.close();
    const wanted = followed && !document.hidden; // browsers allow few at once
    studyStream = wanted ? new EventSource(`/api/v1/studies/${followed}/stream?progress=false`) : null;
    if (studyStream) studyStream.addEventListener("event", lookNow);
  };

  document.addEventListener("visibilitychange", follow);

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    live: {
      // served: whether there is a service that streams.
      follow: (pathname, served) => {
        const name = served ? (/^\/studies\/([^/]+)\/?$/.exec(pathname) || ["", ""])[1] : "";
        if (name !== followed) {
          followed = name;
          follow();
        }
        return followed;
      },
    },
  });
}
