/**
 * What lies over the stage: the start page, remarks, the comparison's tags.
 */

import { byId, element, icon, rebuild, say } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { photoRemark } from "../state/remarks.mjs";

export function createStagePanels(store, actions) {
  const range = byId("compare-range");
  range.addEventListener("input", () => store.change(app.compare, Number(range.value)));
  return (state) => {
    const screen = !state.desk ? "loading" : state.desk.photo ? "edit" : "start";
    if (document.body.dataset.screen !== screen) document.body.dataset.screen = screen;
    updateWelcome(state, actions);
    updateCard(state);
    updateBanner(state);
    const comparing = state.compare !== null && Boolean(state.desk?.photo);
    byId("compare-tags").hidden = !comparing || state.before;
    range.hidden = !comparing;
    if (comparing) range.value = state.compare;
  };
}

function updateWelcome(state, actions) {
  const shown = state.desk && !state.desk.photo;
  byId("welcome").hidden = !shown;
  if (!shown) return;
  const { photos } = state.desk;
  say(byId("welcome-machine"), (state.hello?.problems ?? []).join(" "));
  byId("recent").hidden = photos.length === 0;
  rebuild(byId("recent-list"), photos, () => photos.map(({ photo, name }) => element("li", {},
    element("button", { class: "shot", onclick: () => actions.openPhoto(photo) },
      element("img", { src: `photos/${photo}/thumbnail`, alt: "", loading: "lazy" }), element("span", {}, name)),
    element("button", { class: "plain small forget", "aria-label": `Forget ${name} and all its edits`, "data-tip": "Forget it and all its edits",
      onclick: () => confirm(`Forget ${name} and everything that was done to it? The photo itself stays where it is.`) && actions.forgetPhoto(photo) }, icon("clear")))));
}

function updateCard(state) {
  const card = byId("card");
  const remark = photoRemark(state);
  card.hidden = remark === null;
  if (remark === null) return;
  const { sign, title, text, actions } = remark;
  card.classList.toggle("warn", sign === "warn");
  byId("card-icon").setAttribute("href", `#i-${sign}`);
  say(byId("card-title"), title);
  say(byId("card-text"), text);
  rebuild(byId("card-actions"), [title, actions], () => actions.map(({ label, command }) =>
    element("button", { class: "soft", "data-do": command }, label)));
}

function updateBanner(state) {
  const lost = state.online === "lost";
  byId("banner").hidden = !lost;
  if (lost) {
    say(byId("banner"), state.desk
      ? "The studio does not answer. If it ended, start it again with “photodrag studio”; this page goes on by itself and nothing is lost."
      : "The studio does not answer. Start it with “photodrag studio”, and open the address that it prints.");
  }
}

/** Messages that come and go. */
export function createToasts(store) {
  const timers = new Map();
  return (state) => {
    rebuild(byId("toasts"), state.toasts, () => state.toasts.map((one) => message(one, store)));
    for (const { number, kind, text } of state.toasts) {
      if (timers.has(number)) continue;
      const stay = (kind === "error" ? 9000 : 5000) + 40 * text.length;
      timers.set(number, setTimeout(() => {
        timers.delete(number);
        store.change(app.dismiss, number);
      }, stay));
    }
  };
}

function message({ number, kind, title, text }, store) {
  return element("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" },
    icon(kind === "info" ? "info" : "warn"),
    element("div", {}, element("strong", {}, title), text ? element("p", {}, text) : null),
    element("button", { class: "plain small", "aria-label": "Dismiss", onclick: () => store.change(app.dismiss, number) }, icon("clear")));
}
