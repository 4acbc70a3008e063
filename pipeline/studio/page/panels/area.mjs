/**
 * What may change: regions as chips, the brush's size and softness, a mask from a file.
 */

import { byId, element, fillSlider, mark, rebuild, say, takesFile } from "../dom.mjs";
import * as app from "../state/app.mjs";

export function createArea(store, actions, area) {
  const [size, softness] = [byId("brush-size"), byId("brush-softness")];
  // The slider is even in octaves: small brushes need fine steps.
  size.addEventListener("input", () => store.change(app.brush, { radius: 2 * 100 ** (size.value / 100) }));
  softness.addEventListener("input", () => store.change(app.brush, { softness: Number(softness.value) }));
  byId("hide").addEventListener("click", () => actions.hide());
  takesFile(byId("mask-pick"), byId("mask-input"), byId("area-panel"), (file) => actions.maskFrom(file));
  size.min = 0;
  size.max = 100;
  let painted = false;
  return (state) => {
    if (!state.hello || !state.desk?.photo) return;
    updateRegions(state, area);
    const painting = state.tool === "paint" || state.tool === "erase";
    byId("brush").hidden = !painting;
    const { mask } = app.draftOf(state);
    byId("hide-row").hidden = !(painting || mask) || Boolean(state.desk.hidden);
    byId("hide").disabled = !mask || app.working(state) === "run";
    if (painting && !painted) byId("area-panel").scrollIntoView({ block: "nearest" });
    painted = painting;
    const { brush } = state;
    size.value = Math.round((100 * Math.log(brush.radius / 2)) / Math.log(100));
    softness.value = brush.softness;
    say(byId("brush-size-value"), `${Math.round(2 * brush.radius)}`);
    say(byId("brush-softness-value"), `${Math.round(100 * brush.softness)} %`);
    mark(size, "aria-valuetext", `${Math.round(2 * brush.radius)} pixels`);
    mark(softness, "aria-valuetext", `${Math.round(100 * brush.softness)} %`);
    fillSlider(size);
    fillSlider(softness);
  };
}

function updateRegions(state, area) {
  const face = app.chosenFace(state);
  const { region, mask } = app.draftOf(state);
  const regions = [...state.hello.regions, { name: "all", title: "All" }];
  rebuild(byId("regions"), regions, () => regions.map(({ name, title }) =>
    element("button", { class: "chip", "data-region": name, onclick: () => area.addRegion(name) }, title)));
  const unusable = !face || Boolean(face.problem) || app.working(state) === "run";
  for (const chip of byId("regions").children) {
    mark(chip, "aria-pressed", chip.dataset.region === region);
    chip.disabled = unusable;
  }
  byId("regions").hidden = app.squareChosen(state);
  const unnamed = app.squareChosen(state) ? "all of the square" : "as needed";
  say(byId("area-state"), mask ? "a mask" : region ? "" : unnamed);
  byId("area-invert").disabled = unusable || !(mask || (region && region !== "all"));
  byId("mask-pick").disabled = unusable;
  byId("area-clear").disabled = unusable || !(mask || region);
}
