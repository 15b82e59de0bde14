"use strict";

// Figures: drawn in the reader's colour scheme, and again when that changes. A marker leads to the
// first thing it stands for that the page shows: a member's card, or a trial's row.
const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)").matches; // a finger scrolls the page, it does not zoom a figure
const templates = JSON.parse(document.getElementById("templates")?.textContent ?? "{}");
const config = { responsive: true, displaylogo: false, displayModeBar: false };

function draw(box) {
  const figure = JSON.parse(box.nextElementSibling.textContent);
  const layout = { ...figure.layout, template: templates[dark.matches ? "dark" : "light"], dragmode: coarse ? false : "zoom" };
  return Plotly.react(box, figure.data, layout, config);
}

for (const box of document.querySelectorAll(".figure")) {
  draw(box).then(() => box.on("plotly_click", ({ points }) => {
    const target = points[0].customdata?.find((id) => document.getElementById(id));
    if (target) location.hash = target;
  }));
  dark.addEventListener("change", () => draw(box));
}

// Tables: a header's button sorts by its column, up and down in turn; cells without a value stay last.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement;
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = header.closest("table").tBodies[0];
    const value = (row) => row.cells[header.cellIndex].dataset.value;
    const compare = (a, b) => (a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b)) * (down ? -1 : 1);
    body.append(...[...body.rows].sort((a, b) => (value(a) === "") - (value(b) === "") || compare(value(a), value(b))));
  });
}

// Genotypes: copied to the clipboard, or selected where the browser does not allow that.
for (const button of document.querySelectorAll(".genotype button")) {
  button.addEventListener("click", async () => {
    const details = button.previousElementSibling;
    const code = details.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {
      details.open = true;
      getSelection().selectAllChildren(code);
    }
  });
}
