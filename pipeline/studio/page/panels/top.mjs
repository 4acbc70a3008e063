/**
 * Top bar and tool rail: every button with `data-do` runs the command of that name.
 */

import { byId, mark, say, toolbar } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { percent } from "../state/wording.mjs";

const THEMES = { light: "dark", dark: "light" };

/** Wire the buttons; `run(command)` runs a command of the keyboard's table, too. */
export function createTop(store, actions, run) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button && !button.disabled) run(button.dataset.do);
    // After a click the keys belong to the photo again; who came by keyboard stays there.
    const clicked = event.detail > 0 && event.target.closest("button");
    if (clicked && !clicked.closest("dialog") && !document.querySelector("dialog[open]")) {
      byId("overlay").focus({ preventScroll: true });
      byId("overlay").dataset.pressed = "";
    }
  });
  byId("home").addEventListener("click", (event) => {
    event.preventDefault();
    if (store.state.desk?.photo) actions.closePhoto();
  });
  document.querySelectorAll("[role=toolbar]").forEach(toolbar);
  holdToCompare(store);
  createTheme();
  return (state) => updateTop(state);
}

function holdToCompare(store) {
  const button = byId("before");
  const hold = (held) => () => store.change(app.before, held);
  button.addEventListener("pointerdown", hold(true));
  for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
    button.addEventListener(end, hold(false));
  }
  button.addEventListener("keydown", ({ key }) => {
    if (key === " " || key === "Enter") store.change(app.before, true);
  });
  button.addEventListener("keyup", hold(false));
}

function createTheme() {
  const root = document.documentElement;
  const kept = localStorage.getItem("photodrag-theme");
  if (kept in THEMES) root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = THEMES[root.dataset.theme ?? system];
    localStorage.setItem("photodrag-theme", root.dataset.theme);
  });
}

function sayZoom({ scale }) {
  const text = percent(scale * Math.min(window.devicePixelRatio || 1, 2));
  say(byId("zoom"), text);
  mark(byId("zoom"), "aria-label", `${text}, zoom to 100 %`);
}

function updateTop(state) {
  const { desk } = state;
  const photo = desk?.photo;
  byId("file").hidden = !photo;
  if (photo) {
    say(byId("file-name"), photo.name);
    say(byId("file-size"), `${photo.width} × ${photo.height} ${photo.kind ?? ""}`);
    byId("file").title = (photo.notes ?? []).join("\n");
    document.title = `${photo.name} – photodrag studio`;
  } else {
    document.title = "photodrag studio";
  }
  const busy = app.working(state) === "run";
  byId("undo").disabled = !desk?.undo || busy;
  byId("redo").disabled = !desk?.redo || busy;
  byId("export").disabled = !app.edited(state) || busy;
  if (state.view) sayZoom(state.view);
  mark(byId("compare"), "aria-pressed", state.compare !== null);
  mark(byId("before"), "aria-pressed", state.before);
  for (const button of document.querySelectorAll("[data-tool]")) {
    mark(button, "aria-pressed", button.dataset.tool === state.tool);
  }
  for (const button of document.querySelectorAll("[data-show]")) {
    mark(button, "aria-pressed", state.show[button.dataset.show]);
  }
}
