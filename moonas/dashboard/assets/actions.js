"use strict";

// What a reader does to studies. A button (data-verb, data-studies) opens its verb's dialog; the dialog sends the requests.

{
  const ROOT = "/api/v1/studies/";
  let asked = []; // the studies that the open dialog is about

  const told = (title, text, color) =>
    dash_clientside.set_props("notice", {
      children: {
        namespace: "dash_mantine_components",
        type: "Alert",
        props: { title, children: text, color, withCloseButton: true, className: "notice" },
      },
    });

  const ask = (verb, studies) => {
    const dialog = document.getElementById(`ask-${verb}`);
    const many = studies.length > 1;
    asked = studies;
    dialog.querySelector("h2").textContent = `${dialog.dataset.label}: ${many ? `${studies.length} studies` : studies[0]}`;
    dialog.querySelector(".which").textContent = many ? studies.join(", ") : "";
    const typed = dialog.querySelector("input");
    if (typed) dash_clientside.set_props("typed", { value: "" });
    dialog.querySelector(".sure").disabled = Boolean(typed);
    dialog.showModal();
  };

  const send = async (study, { method, path }) => {
    try {
      const answer = await fetch(`${ROOT}${encodeURIComponent(study)}${path}`, { method });
      const content = await answer.json();
      return answer.ok ? { study, ...content } : { study, wrong: true, message: content.error.message };
    } catch {
      return { study, wrong: true, message: "the server does not answer" };
    }
  };

  const carryOut = async (dialog) => {
    const sure = dialog.querySelector(".sure");
    const studies = asked;
    sure.disabled = true;
    const outcomes = await Promise.all(studies.map((study) => send(study, dialog.dataset)));
    dialog.close();
    if (dialog.dataset.method === "DELETE" && !outcomes[0].wrong) visit("/");
    else lookNow();
    const text = outcomes.map(({ study, message }) => (studies.length > 1 ? `${study}: ${message}` : message)).join("\n");
    if (outcomes.some(({ wrong }) => wrong)) told(`${dialog.dataset.label} did not work`, text, "red");
    else if (outcomes.some(({ done }) => !done)) told(`${dialog.dataset.label} is asked for`, text, "yellow");
    else told(dialog.dataset.label, text, "green");
    if (document.activeElement === document.body) document.getElementById("content").focus({ preventScroll: true });
  };

  // The menu of a row: one for the whole page, above everything and beside the button that opened it.
  const menu = Object.assign(document.createElement("div"), { className: "menu", popover: "auto" });
  menu.setAttribute("role", "menu");

  const open = (button) => {
    const studies = button.dataset.studies;
    menu.replaceChildren(
      ...button.dataset.menu.split(" ").map((verb) => {
        const item = Object.assign(document.createElement("button"), { type: "button", tabIndex: -1 });
        item.textContent = document.getElementById(`ask-${verb}`).dataset.label;
        item.setAttribute("role", "menuitem");
        return Object.assign(item.dataset, { verb, studies }) && item;
      }),
    );
    document.body.append(menu);
    menu.showPopover({ source: button });
    const at = button.getBoundingClientRect();
    menu.style.left = `${Math.max(8, at.right - menu.offsetWidth)}px`;
    menu.style.top = `${Math.min(at.bottom + 4, innerHeight - menu.offsetHeight - 8)}px`;
    menu.firstChild.focus();
  };

  menu.addEventListener("keydown", (event) => {
    const items = [...menu.children];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items.at(to % items.length).focus();
    else if (event.key === "Tab") menu.hidePopover();
    else return;
    event.preventDefault();
  });

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-menu], [data-verb], [data-close]");
    if (!button) return;
    if (button.dataset.menu) return open(button);
    if (button.dataset.close) return button.closest("dialog").close();
    if (menu.matches(":popover-open")) menu.hidePopover();
    ask(button.dataset.verb, JSON.parse(button.dataset.studies));
  });

  document.addEventListener("input", ({ target }) => {
    const dialog = target.closest(".ask");
    if (dialog) dialog.querySelector(".sure").disabled = target.value !== asked[0];
  });

  document.addEventListener("submit", (event) => {
    const dialog = event.target.closest(".ask");
    if (!dialog) return;
    event.preventDefault();
    carryOut(dialog);
  });

  // What was told belongs to the page that it was told on.
  for (const moved of ["popstate", "_dashprivate_pushstate"])
    window.addEventListener(moved, () => dash_clientside.set_props("notice", { children: null }));
}
