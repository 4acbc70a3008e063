/**
 * The faces of the photo and the squares drawn on it, and how ready the chosen one is.
 */

import { byId, element, mark, rebuild, say, walkable } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { readiness } from "../state/remarks.mjs";
import { fromName } from "../state/square.mjs";

const FIELDS = ["square-x", "square-y", "square-side"];

export function createFaces(store, actions) {
  byId("prepare").addEventListener("click", () => actions.prepare());
  byId("hidden-clear").addEventListener("click", () => actions.unhide());
  walkable(byId("faces"));
  byId("square-drop").addEventListener("click", () => dropSquare(store.state, actions));
  byId("square-fields").addEventListener("submit", (event) => {
    event.preventDefault();
    actions.takeSquare(FIELDS.map((id) => Number(byId(id).value)));
  });
  return (state) => {
    const { desk } = state;
    if (!desk?.photo) return;
    const faces = desk.photo.faces ?? [];
    const key = [desk.photo.photo, faces.map(({ face, inverted, problem }) => [face, inverted, problem])];
    rebuild(byId("faces"), key, () => faces.map((face) => faceButton(desk.photo.photo, face, actions)));
    for (const button of byId("faces").children) {
      const chosen = button.dataset.face === String(desk.face);
      mark(button, "aria-checked", chosen);
      button.tabIndex = chosen || (desk.face === null && button === byId("faces").firstChild) ? 0 : -1;
    }
    updateState(state);
    updateSquare(state);
  };
}

/** Corner and side by keyboard, while a square is drawn. */
function updateSquare(state) {
  const form = byId("square-fields");
  form.hidden = state.tool !== "square";
  byId("square-drop").hidden = !app.squareChosen(state);
  byId("square-drop").disabled = app.working(state) === "run";
  if (form.hidden || form.contains(document.activeElement)) return;
  app.squareOf(state).forEach((value, k) => {
    byId(FIELDS[k]).value = String(value);
  });
}

function dropSquare({ desk }, actions) {
  const { edits } = desk.photo.faces.find(({ face }) => face === desk.face);
  if (!edits || confirm("Forget this square and every edit in it?")) actions.dropSquare();
}

function faceButton(photo, { face, inverted, problem }, actions) {
  const square = fromName(face);
  const name = square ? `Square of ${square[2]} pixels at ${square[0]}, ${square[1]}` : `Face ${face}`;
  const picture = element("img", { src: `photos/${photo}/faces/${face}/thumbnail`, alt: "", draggable: "false" });
  const title = problem ?? `${name}${inverted ? ", ready" : ""}`;
  return element(
    "button",
    {
      class: problem ? "face small-face" : "face", role: "radio", "data-face": String(face),
      "aria-label": title, "data-tip": title, onclick: () => actions.chooseFace(face),
    },
    picture,
    element("span", {}, square ? "□" : String(face)),
    inverted ? element("span", { class: "ready" }) : null,
  );
}

function updateState(state) {
  const line = byId("face-state");
  const face = app.chosenFace(state);
  const { text, kind } = readiness(state);
  say(line, text);
  line.className = `state-line ${kind}`;
  const { desk } = state;
  const idle = app.working(state) !== "invert" && !desk.queued.some(({ kind: k }) => k === "invert");
  const wanted = face && !face.problem && idle && (!desk.inversion || app.outdated(state));
  byId("hidden-chosen").hidden = !desk.hidden;
  byId("hidden-clear").disabled = app.working(state) === "run";
  byId("prepare").hidden = !wanted;
  if (wanted) {
    const again = desk.inversion ? "Prepare again with these settings" : "Prepare the face";
    say(byId("prepare"), again);
  }
}
