"use strict";

// Cells of tables that draw more than a text. Values reach them as data and are shown as text, never as HTML.
const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
const element = (...parts) => React.createElement(...parts);

const link = (href, content) =>
  element(
    "a",
    {
      href,
      onClick: (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        visit(href);
      },
    },
    content,
  );

// A link to a page of the dashboard: `href` of the row.
cells.PageLink = ({ value, data }) => link(data.href, value);

// A link to a trial: `trialHref` of the row; nothing while the row is on its way.
cells.TrialLink = ({ value, data }) => (data ? link(data.trialHref, value) : null);

// A word with a dot in the row's colour.
cells.Dot = ({ value, data }) =>
  element("span", null, element("span", { className: "dot", style: { background: data.colour } }), value);

// A state as a badge. value: such as "RUNNING".
cells.State = ({ value }) => value && element("span", { className: `badge ${value.toLowerCase()}` }, value.toLowerCase());

// Trials by state as a bar. `parts` of the row: [state, share of all trials]; `done`: a text beside it; `states`: what the bar shows.
cells.Trials = ({ data }) =>
  element(
    "span",
    { className: "trials", title: data.states },
    element(
      "span",
      { className: "track" },
      data.parts.map(([state, share]) =>
        element("span", { key: state, className: state.toLowerCase(), style: { width: `${100 * share}%` } }),
      ),
    ),
    element("span", { className: "count" }, data.done),
  );

// Hypervolume over the front's changes. value: numbers.
cells.Sparkline = ({ value }) => {
  if (!value || value.length < 2) return null;
  const low = Math.min(...value);
  const span = Math.max(...value) - low || 1;
  const at = value.map((number, place) => [2 + (96 * place) / (value.length - 1), 24 - (20 * (number - low)) / span]);
  const path = at.map(([x, y], place) => (place ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}`)).join("");
  const [x, y] = at[at.length - 1];
  return element(
    "svg",
    { className: "sparkline", width: 100, height: 28, role: "img", "aria-label": `from ${low.toFixed(4)} to ${Math.max(...value).toFixed(4)}` },
    element("path", { d: path, fill: "none", stroke: "currentColor", strokeWidth: 1.6 }),
    element("circle", { cx: x, cy: y, r: 2.4, fill: "currentColor" }),
  );
};

// The button that opens a study's menu. value: the verbs in it.
cells.Menu = ({ value, data }) =>
  value.length === 0
    ? null
    : element(
        "button",
        {
          type: "button",
          className: "more",
          "aria-label": `What to do with ${data.name}`,
          "aria-haspopup": "menu",
          "data-menu": value.join(" "),
          "data-studies": JSON.stringify([data.name]),
        },
        "⋯",
      );
