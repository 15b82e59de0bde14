"use strict";

// What pages do without asking the server.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  moonas: {
    // The address of a study that was searched for.
    go: (name) => (name ? `/studies/${encodeURIComponent(name)}` : window.dash_clientside.no_update),
    // The title of the window.
    title: (text) => {
      if (text) document.title = text;
      return window.dash_clientside.no_update;
    },
    // A table that shows the rows with these words only.
    filter: (words, options) => ({ ...options, quickFilterText: words }),
  },
});
