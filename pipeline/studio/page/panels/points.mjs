/**
 * The list of points, for readers and keyboards as well as for an overview, and the small bar
 * beside the chosen point.
 */

import { byId, element, icon, mark, rebuild, say } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { moves } from "../state/draft.mjs";
import { NAMED, nearest } from "../state/face.mjs";
import { toCanvas } from "../state/view.mjs";
import { distance } from "../state/wording.mjs";

export function createPoints(store, actions) {
  const add = byId("points-add");
  add.addEventListener("change", () => {
    const { place } = placesToAdd(store.state)[Number(add.value)] ?? {};
    if (place) actions.addPoint([...place]);
    add.value = "";
    // The keys now pull the point.
    byId("overlay").focus({ preventScroll: true });
  });
  add.addEventListener("keydown", (event) => {
    if (!event.key.startsWith("Arrow")) return;
    // In the closed list an arrow key would take the first landmark unseen.
    event.preventDefault();
    add.showPicker();
  });
  return (state) => {
    if (!state.desk?.photo) return;
    updateList(state, store, actions);
    updateBar(state);
  };
}

/** Where a point can be added without a pointer: [{name, place}]. */
function placesToAdd(state) {
  const landmarks = app.landmarksOf(state);
  if (landmarks) return NAMED.map(([name, index]) => ({ name, place: landmarks[index] }));
  const square = app.chosenFace(state)?.square;
  return square ? [{ name: "Middle of the square", place: square.centre }] : [];
}

function updateList(state, store, actions) {
  const { points } = app.draftOf(state);
  const face = app.chosenFace(state);
  const busy = app.working(state) === "run";
  const key = points.map(({ id, lock }) => [id, lock]);
  rebuild(byId("points"), key, () => points.map((point, k) => row(point, k, store, actions)));
  [...byId("points").children].forEach((item, k) => {
    item.classList.toggle("selected", points[k].id === state.selected);
    mark(item.firstChild, "aria-pressed", points[k].id === state.selected);
    say(item.querySelector(".title"), nameOf(points[k], k, state));
    say(item.querySelector(".way"), way(points[k]));
    for (const button of item.querySelectorAll(".small")) button.disabled = busy;
  });
  byId("points-hint").hidden = points.length > 0 || !face;
  byId("points-clear").disabled = points.length === 0 || busy;
  byId("points-mirror").disabled = byId("points-clear").disabled || !app.landmarksOf(state);
  const places = placesToAdd(state);
  rebuild(byId("points-add"), places.map(({ name }) => name), () => [
    element("option", { value: "" }, app.squareChosen(state) ? "Add a point …" : "Add at a landmark …"),
    ...places.map(({ name }, at) => element("option", { value: String(at) }, name)),
  ]);
  byId("points-add").disabled = !face || Boolean(face.problem) || busy;
}

function row({ id, lock }, k, store, actions) {
  const choose = () => store.change(app.select, id);
  const button = (name, title, take, pressed = null) =>
    element("button", { class: "plain small", "data-tip": title, "aria-label": `${title}: point ${k + 1}`, "aria-pressed": pressed, onclick: take }, icon(name));
  return element(
    "li",
    {},
    element("button", { class: "name", onclick: choose },
      element("span", { class: lock ? "dot locked" : "dot" }),
      element("span", { class: "title" }),
      element("span", { class: "way" })),
    button(lock ? "lock" : "unlock", lock ? "Let it move" : "Hold in place", () => actions.lock(id), String(lock)),
    button("delete", "Delete", () => actions.delete(id)),
  );
}

/** "Left mouth corner", where a point lies on a landmark with a name; else its number. */
function nameOf({ at }, k, state) {
  const face = app.chosenFace(state);
  const landmarks = app.landmarksOf(state);
  if (face && landmarks) {
    const { index, distance: away } = nearest(landmarks, at);
    const named = NAMED.find(([, landmark]) => landmark === index);
    if (named && away < face.square.size * 0.015) return named[0];
  }
  return `Point ${k + 1}`;
}

function way(point) {
  if (point.lock) return "held";
  if (!moves(point)) return point.at[0] === point.to[0] && point.at[1] === point.to[1] ? "no target" : "arrived";
  return distance(Math.hypot(point.to[0] - point.at[0], point.to[1] - point.at[1]));
}

function updateBar(state) {
  const bar = byId("point-bar");
  const point = app.draftOf(state).points.find(({ id }) => id === state.selected);
  const shown = point && !state.gesture && !state.before && state.compare === null && state.view && state.tool === "drag" &&
    app.working(state) !== "run";
  bar.hidden = !shown;
  if (!shown) return;
  const ends = [point.at, point.to].map((place) => toCanvas(state.view, place));
  const [width, height] = state.canvas;
  const x = (ends[0][0] + ends[1][0]) / 2 - bar.offsetWidth / 2;
  const above = Math.min(ends[0][1], ends[1][1]) - bar.offsetHeight - 18;
  const y = above > 6 ? above : Math.max(ends[0][1], ends[1][1]) + 18;
  bar.style.left = `${Math.min(Math.max(x, 6), width - bar.offsetWidth - 6)}px`;
  bar.style.top = `${Math.min(Math.max(y, 6), height - bar.offsetHeight - 6)}px`;
  byId("point-bar-mirror").hidden = !app.landmarksOf(state);
  byId("point-bar-lock").setAttribute("href", point.lock ? "#i-lock" : "#i-unlock");
}
