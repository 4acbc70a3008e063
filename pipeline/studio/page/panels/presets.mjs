/**
 * Sliders for named expressions, and the expression of another photo.
 */

import { byId, element, fillSlider, icon, mark, rebuild, say, takesFile, walkable } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { setExpression, setPreset } from "../state/draft.mjs";
import { strength } from "../state/wording.mjs";

export function createPresets(store, actions) {
  createExpression(store, actions);
  return (state) => {
    if (!state.hello || !state.desk?.photo) return;
    rebuild(byId("presets"), state.hello.presets, () => sliders(state.hello.presets, store, actions));
    const { presets, expression } = app.draftOf(state);
    const square = app.squareChosen(state);
    byId("presets").hidden = byId("expression").hidden = square;
    byId("presets-hint").hidden = !square;
    const usable = app.chosenFace(state) !== null && !app.chosenFace(state).problem;
    for (const group of byId("presets").querySelectorAll("details")) {
      // What is set must be seen, also after a reload.
      if ([...group.querySelectorAll("input")].some(({ dataset }) => presets[dataset.name])) group.open = true;
    }
    for (const row of byId("presets").querySelectorAll(".slider")) {
      const slider = row.querySelector("input");
      const value = presets[slider.dataset.name] ?? 0;
      if (Number(slider.value) !== value) slider.value = value;
      slider.disabled = !usable || app.working(state) === "run";
      row.classList.toggle("set", value !== 0);
      say(row.querySelector("output"), strength(value));
      mark(slider, "aria-valuetext", strength(value));
      fillSlider(slider);
    }
    byId("expression-pick").hidden = expression !== null;
    byId("expression-pick").disabled = !usable || app.working(state) === "run";
    byId("expression-chosen").hidden = expression === null;
    byId("expression-clear").disabled = app.working(state) === "run";
    if (expression) say(byId("expression-name"), expression.name);
    updateFaces(state, expression ?? {}, store, actions);
  };
}

/** A slider for each; those of a group can be folded away under its name. */
function sliders(presets, store, actions) {
  const rowsOf = (group) => presets.filter((one) => one.group === group).map((one) => presetSlider(one, store, actions));
  const groups = [...new Set(presets.map(({ group }) => group))].filter((group) => group !== null);
  const folded = (group) => element("details", { class: "fold" },
    element("summary", {}, group, icon("down")), ...rowsOf(group));
  return [...rowsOf(null), ...groups.map(folded)];
}

function presetSlider({ name, title, opposite, least, most, step }, store, actions) {
  const slider = element("input", {
    type: "range", min: String(least), max: String(most), step: String(step), value: "0", "data-name": name,
  });
  const change = () => {
    // A pointer hardly hits zero, a key does.
    const near = slider.matches(":active") && Math.abs(slider.value) < 1.5 * step;
    const value = near ? 0 : Number(slider.value);
    return setPreset(app.draftOf(store.state), name, value);
  };
  slider.addEventListener("input", () => store.change(app.gestured, change()));
  slider.addEventListener("change", () => actions.commit(change()));
  // A finger that turns out to scroll the panel has not moved the slider it began on.
  let before = slider.value;
  slider.addEventListener("pointerdown", () => (before = slider.value));
  slider.addEventListener("pointercancel", () => {
    slider.value = before;
    store.change(app.gestured, null);
  });
  const row = element("label", { class: "slider", "data-preset": name, "data-tip": opposite && `${opposite}  ·  ${title}` }, element("span", {}, title), slider, element("output", { "aria-live": "off" }));
  row.addEventListener("dblclick", () => actions.commit(setPreset(app.draftOf(store.state), name, 0)));
  return row;
}

function createExpression(store, actions) {
  takesFile(byId("expression-pick"), byId("expression-input"), byId("expression"), (file) => actions.expressionFrom(file));
  byId("expression-clear").addEventListener("click", () =>
    actions.commit(setExpression(app.draftOf(store.state), null)));
  walkable(byId("expression-faces"));
}

/** The faces of the other photo by their numbers, where it shows several. */
function updateFaces(state, { expression, faces = [] }, store, actions) {
  const group = byId("expression-faces");
  group.hidden = faces.length < 2;
  const path = `${app.partPath(state)}/expressions`;
  const choose = (face) => () => {
    const draft = app.draftOf(store.state);
    actions.commit(setExpression(draft, { ...draft.expression, expression: face }));
  };
  rebuild(group, [path, faces], () => faces.map((face, k) => element("button",
    { class: "face", role: "radio", "data-expression": face, "aria-label": `Face ${k + 1}`, onclick: choose(face) },
    element("img", { src: `${path}/${face}`, alt: "", draggable: "false" }), element("span", {}, String(k + 1)))));
  for (const button of group.children) {
    mark(button, "aria-checked", button.dataset.expression === expression);
    button.tabIndex = button.dataset.expression === expression ? 0 : -1;
    button.disabled = app.working(state) === "run";
  }
}
