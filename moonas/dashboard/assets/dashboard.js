"use strict";

// Plotly's strict bundle, which compiles no text to code, in place of the usual one that Dash asks for.
Object.defineProperty(window, "_dashPlotlyJSURL", { get: () => "/plotly/plotly-strict-4.1.1.min.js", set: () => {} });

// Whether a graphics processor draws WebGL. Where a program stands in for one, few markers are drawn faster without.
const drawsFast = () => {
  const context = document.createElement("canvas").getContext("webgl", { failIfMajorPerformanceCaveat: true });
  if (!context) return false;
  const told = context.getExtension("WEBGL_debug_renderer_info");
  const name = context.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : context.RENDERER);
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
};

// Go to a page of the dashboard, which loads nothing anew.
const visit = (href) => {
  history.pushState({}, "", href);
  window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
};

// Let the page that is shown look at once, not at its next beat. Each has a store of its own: a callback that only finds some of what
// it reads on a page would be a mistake to Dash.
const NEWS = { "studies-news": /^\/$/, "study-news": /^\/studies\/[^/]+\/?$/ };
const lookNow = () => {
  for (const [store, address] of Object.entries(NEWS))
    if (address.test(location.pathname)) window.dash_clientside.set_props(store, { data: Date.now() });
};

// Enter in a table's cell follows its link or presses its button.
document.addEventListener("keydown", (event) => {
  const inside = event.key === "Enter" && event.target.matches(".ag-cell") && event.target.querySelector("a, button");
  if (!inside) return;
  event.preventDefault(); // or the key would press what is given the focus now, too
  inside.click();
});

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
    // The colours the page is in, now and whenever they change: figures are drawn in them; and whether they may use WebGL.
    drawing: () => {
      const root = document.documentElement;
      const current = () => (root.dataset.mantineColorScheme === "dark" ? "dark" : "light");
      const tell = () => window.dash_clientside.set_props("scheme", { data: current() });
      new MutationObserver(tell).observe(root, { attributeFilter: ["data-mantine-color-scheme"] });
      return [current(), drawsFast()];
    },
    // The trials of a state and a method alone, as the table of trials asks the server for them.
    narrow: (state, method) =>
      Object.fromEntries(
        Object.entries({ state, method })
          .filter(([, value]) => value !== "any")
          .map(([column, value]) => [column, { filterType: "text", type: "equals", filter: value }]),
      ),
    // Lets the table of trials ask for its rows again, where it is there.
    again: () => {
      if (document.getElementById("trials")) dash_ag_grid.getApi("trials").refreshInfiniteCache();
      return window.dash_clientside.no_update;
    },
    // A table that shows the rows with these words only.
    filter: (words, options) => ({ ...options, quickFilterText: words }),
  },
});
