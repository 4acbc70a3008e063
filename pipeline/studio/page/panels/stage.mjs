/**
 * What lies over the stage: the start page, remarks, the comparison's tags.
 */

import { byId, element, icon, rebuild, say } from "../dom.mjs";
import * as app from "../state/app.mjs";

export function createStagePanels(store, actions) {
  const range = byId("compare-range");
  range.addEventListener("input", () => store.change(app.compare, Number(range.value)));
  return (state) => {
    const screen = !state.desk ? "loading" : state.desk.photo ? "edit" : "start";
    if (document.body.dataset.screen !== screen) document.body.dataset.screen = screen;
    updateWelcome(state, actions);
    updateCard(state, actions);
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

/** A remark over the photo, where there is something to decide or to know: [icon, title, text, actions]. */
function remark(state, actions) {
  const photo = state.desk?.photo;
  if (!photo || !photo.faces) return null;
  const other = { label: "Open another photo", command: "open" };
  if (photo.faces.length === 0) {
    return ["warn", "No face found", "Faces from the front work best, at least 64 pixels wide with their surroundings; profiles, lying and covered faces are often missed. Crop the photo closer, or turn it upright.", [other]];
  }
  if (photo.faces.every(({ problem }) => problem)) {
    return ["warn", "No face here can be edited", photo.faces[0].problem, [other]];
  }
  if (state.desk.face === null && photo.faces.length > 1) {
    return ["face", "Which face?", "Click one of the boxes.", []];
  }
  const face = app.chosenFace(state);
  if (face?.problem) return ["warn", "This face cannot be edited", face.problem, []];
  return null;
}

function updateCard(state, actions) {
  const card = byId("card");
  const [sign, title, text, buttons] = remark(state, actions) ?? [null, "", "", []];
  card.hidden = sign === null;
  if (sign === null) return;
  card.classList.toggle("warn", sign === "warn");
  byId("card-icon").setAttribute("href", `#i-${sign}`);
  say(byId("card-title"), title);
  say(byId("card-text"), text);
  rebuild(byId("card-actions"), [title, buttons], () => buttons.map(({ label, command }) =>
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

