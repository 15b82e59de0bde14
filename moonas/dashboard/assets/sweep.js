"use strict";

// The page of a new sweep: the text with its lines, kept in this browser; the plan, and the start, which the service answers.
(() => {
  const QUIET = 400; // milliseconds without a key before a text is judged
  const API = "/api/v1";
  const at = (id) => document.getElementById(id);
  const show = (id, props) => window.dash_clientside.set_props(id, props);
  const place = () => `moonas new ${window.location.search}`;

  let page = null; // the text area of the page that is open
  let first = ""; // what it began with
  let before = ""; // what stood in it before an example took its place
  let judged = {}; // what the server has said last, and of which text
  let marked = []; // fields of the form that show a mistake
  let wait = 0;
  let used = null; // the id of the field or button of the form that was used last
  let planned = null; // the text whose plan is shown or asked for
  let asking = false;

  // Storage may be forbidden or full; the page works without it.
  const kept = {
    get: () => { try { return localStorage.getItem(place()); } catch { return null; } },
    set: (text) => { try { localStorage.setItem(place(), text); } catch { /* not kept */ } },
    remove: () => { try { localStorage.removeItem(place()); } catch { /* not kept */ } },
  };

  const node = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text }, more);

  function tell(text, label, action) {
    const button = node("button", label, { type: "button", className: "action" });
    button.addEventListener("click", () => { at("kept").hidden = true; action(); });
    at("kept").replaceChildren(node("span", text), button);
    at("kept").hidden = false;
  }

  function drawLines(text) {
    const wrong = new Map();
    if (judged.text === text) for (const one of judged.mistakes) wrong.set(one.line, `${wrong.get(one.line) || ""}${one.path}: ${one.message}\n`);
    const count = text.split("\n").length;
    const lines = Array.from({ length: count }, (_, index) => {
      const line = node("span", String(index + 1));
      if (wrong.has(index + 1)) { line.className = "wrong"; line.title = wrong.get(index + 1); }
      return line;
    });
    at("gutter").replaceChildren(...lines);
    at("gutter").scrollTop = page.scrollTop;
    page.setAttribute("aria-invalid", String(wrong.size > 0));
  }

  // The field that shows a path: its own, else that of what it stands in, else the first of what stands in it.
  function fieldOf(path, fields) {
    const within = (outer, inner) => inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
    const around = fields.filter((one) => within(one, path)).sort((one, other) => other.length - one.length);
    return fields.includes(path) ? path : around[0] || fields.find((one) => path && within(path, one));
  }

  function markFields() {
    const fields = [...document.querySelectorAll(`#form [id$='"type":"ask"}']`)].map((one) => JSON.parse(one.id).path);
    const found = new Map();
    for (const one of judged.mistakes) {
      const field = fieldOf(one.path, fields);
      if (field) found.set(field, [...(found.get(field) || []), one.message]);
    }
    for (const path of marked) if (fields.includes(path) && !found.has(path)) show({ type: "ask", path }, { error: null });
    for (const [path, messages] of found) show({ type: "ask", path }, { error: messages.join("\n") });
    marked = [...found.keys()];
  }

  // Where what was used has been drawn anew, or taken away, the keyboard goes on from there.
  function keepFocus() {
    if (!used || document.activeElement !== document.body) return;
    const list = JSON.parse(used).path.split(/[.[]/)[0];
    (at(used) || at(JSON.stringify({ path: list, type: "more" })))?.focus();
  }

  // One plan at a time: while one is worked out, only the latest text waits for its own.
  async function plan() {
    if (asking || !page || judged.text === planned) return;
    planned = judged.text;
    if (!judged.sound) return show("planned", { data: { told: "Shown once the file has no mistakes." } });
    if (!page.dataset.drives) return show("planned", { data: { told: "Shown to those who may start studies." } });
    asking = true;
    show("planned", { data: { told: "Being worked out …", working: true } });
    const answer = await ask("/plan", judged.text);
    asking = false;
    if (judged.text !== planned) return plan();
    show("planned", { data: answer.ok ? { plan: answer.body } : { told: answer.told } });
  }

  async function ask(path, text) {
    try {
      const answer = await fetch(API + path, { method: "POST", headers: { "Content-Type": "application/yaml" }, body: text });
      const body = await answer.json();
      return { ok: answer.ok, status: answer.status, body, told: answer.ok ? "" : body.error.message };
    } catch {
      return { ok: false, told: "The server does not answer; the text is kept in this browser." };
    }
  }

  async function start(button) {
    if (!judged.ok || judged.text !== page.value) return;
    const { name, extend, text } = judged;
    button.disabled = true;
    at("outcome").replaceChildren(node("p", "Being started …"));
    const answer = await ask(`/studies?extend=${extend}`, text);
    if (answer.ok) {
      kept.remove();
      page = null; // nothing of it is kept any more
      return show("address", { pathname: `/studies/${encodeURIComponent(name)}`, search: "" });
    }
    if (answer.status === 409) show("typed", { data: { text, again: Date.now() } }); // another one may have been faster
    at("outcome").replaceChildren(node("p", answer.told));
    button.disabled = false;
  }

  // Typed into the text as a person would, so that it can be undone.
  function type(text) {
    if (!document.execCommand("insertText", false, text)) {
      page.setRangeText(text, page.selectionStart, page.selectionEnd, "end");
      page.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  function goTo(line) {
    const lines = page.value.split("\n");
    const begin = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    page.focus();
    page.setSelectionRange(begin, begin + lines[line - 1].length);
    page.scrollTop = (page.scrollHeight / lines.length) * Math.max(0, line - 5);
  }

  let leaving = false; // Escape was the last key
  document.addEventListener("keydown", (event) => {
    if (event.target !== page) return;
    if (event.key === "Tab" && !leaving && !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      type("  ");
    } else if (event.key === "Enter" && !event.isComposing) {
      const line = page.value.slice(0, page.selectionStart).split("\n").pop();
      event.preventDefault();
      type(`\n${line.match(/^ */)[0]}`);
    }
    if (event.key !== "Shift") leaving = event.key === "Escape";
  });
  document.addEventListener("focusin", ({ target }) => { used = target.closest("#form") && target.id.startsWith("{") ? target.id : null; });
  document.addEventListener("scroll", (event) => { if (event.target === page) at("gutter").scrollTop = page.scrollTop; }, true);
  document.addEventListener("click", ({ target }) => {
    const line = target.closest(".goto");
    if (line) goTo(Number(line.dataset.line));
    if (target.closest("#start") && page) start(target.closest("#start"));
  });

  function opened(area, text, answer) {
    page = area;
    page.setAttribute("aria-label", "The study file");
    page.setAttribute("aria-describedby", "keys");
    [first, before, judged, marked, planned] = [text, "", answer, [], null];
    const draft = kept.get();
    if (draft === null || draft === text) return;
    show("yaml", { value: draft });
    tell("This is the text that you have left here.", "Start afresh", () => show("yaml", { value: first }));
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    sweep: {
      // Whatever changes the text, the verdict or the form comes by here.
      editor: (text, answer) => {
        const area = at("yaml");
        if (area !== page) opened(area, text, answer);
        judged = answer;
        page.dataset.drives = at("drives").textContent;
        if (text !== first || kept.get() !== null) kept.set(text);
        drawLines(text);
        clearTimeout(wait);
        if (text !== judged.text) wait = setTimeout(() => show("typed", { data: { text } }), QUIET);
        else {
          setTimeout(() => { markFields(); keepFocus(); }, 50); // when the form is drawn
          plan();
        }
        return window.dash_clientside.no_update;
      },
      // An example takes the text's place, which can be brought back; a study to start again from has an address of its own.
      begin: (choice, texts) => {
        if (!choice) return;
        if (choice.startsWith("study:")) return show("address", { pathname: "/new", search: `?from=${encodeURIComponent(choice.slice(6))}` });
        before = page.value;
        show("begin", { value: null });
        show("yaml", { value: texts[choice] });
        if (before !== texts[choice]) tell("The example has taken the place of your text.", "Bring my text back", () => show("yaml", { value: before }));
      },
    },
  });
})();
