/**
 * The studio's page: puts state, server, canvas and panels together.
 */

import { Actions } from "./actions.mjs";
import { Area } from "./area.mjs";
import { createCommands, createKeyboard } from "./commands.mjs";
import { byId } from "./dom.mjs";
import { Stage } from "./drawing/stage.mjs";
import { createArea } from "./panels/area.mjs";
import { createDialogs } from "./panels/dialogs.mjs";
import { createFaces } from "./panels/faces.mjs";
import { createHistory } from "./panels/history.mjs";
import { createOptions } from "./panels/options.mjs";
import { createPoints } from "./panels/points.mjs";
import { createPresets } from "./panels/presets.mjs";
import { createRun } from "./panels/run.mjs";
import { createStagePanels, createToasts } from "./panels/stage.mjs";
import { createTips } from "./panels/tips.mjs";
import { createTop } from "./panels/top.mjs";
import { Pointer } from "./pointer.mjs";
import * as app from "./state/app.mjs";
import { errorTitle } from "./state/wording.mjs";
import { Store } from "./store.mjs";
import { Wire } from "./wire.mjs";

const store = new Store(app.initial());
const wire = new Wire({
  hear: (message) => hear(message),
  frame: (frame) => stage.show(frame),
  line: (online) => {
    store.change(app.connection, online);
    if (online === "open") stage.retry();
  },
});
const actions = new Actions(store, wire);
const area = new Area(store, wire, (draft) => actions.commit(draft), actions.fail);
const stage = new Stage(store, wire, area);
const pointer = new Pointer(store, actions, area);
const commands = createCommands(store, actions, area);
const run = (command) => commands[command]?.();

for (const view of [
  createStagePanels(store, actions),
  createTop(store, actions, run),
  createFaces(store, actions),
  createPresets(store, actions),
  createPoints(store, actions),
  createArea(store, actions, area),
  createOptions(store, actions),
  createRun(store, actions),
  createHistory(actions),
  createToasts(store),
  createDialogs(store, actions),
]) {
  store.view(view);
}
createTips();
// A thumbnail that cannot be loaded leaves its place empty instead of a broken sign.
addEventListener("error", ({ target }) => target instanceof HTMLImageElement && target.remove(), true);
createKeyboard(store, actions, pointer, run);
takeFiles();
wire.connect();

/** A message of the server that answers nothing. */
function hear(message) {
  if (message.type === "hello") store.change(app.greeted, message);
  else if (message.type === "state") takeDesk(message.state);
  else if (message.type === "progress") store.change(app.progressed, message);
  else if (message.type === "job-end") endJob(message);
}

/** A face that was just chosen is looked at and prepared; one from before only looked at. */
function takeDesk(desk) {
  const before = store.state.desk;
  store.change(app.deskCame, desk);
  const face = app.chosenFace(store.state);
  if (!face || (before?.face === desk.face && before?.photo?.photo === desk.photo.photo)) return;
  actions.lookAtFace();
  if (before && !desk.inversion && !face.problem && app.working(store.state) !== "invert") actions.prepare();
}

function endJob(end) {
  const waited = store.state.runWhenReady && end.kind === "invert";
  store.change(app.jobEnded, end);
  if (end.end === "failed") store.change(app.toast, "error", errorTitle(end.code), end.message);
  if (!waited) return;
  store.change(app.waitToRun, false);
  if (end.end === "done") actions.run();
}

/** Photos that are dropped, pasted or picked. */
function takeFiles() {
  const input = byId("file-input");
  input.addEventListener("change", () => {
    if (input.files[0]) actions.openFile(input.files[0]);
    input.value = "";
  });
  addEventListener("paste", ({ clipboardData }) => {
    const file = [...(clipboardData?.files ?? [])][0];
    if (file) actions.openFile(file);
  });
  let inside = 0;
  const hint = (by) => {
    inside = by === null ? 0 : Math.max(inside + by, 0);
    byId("drop").hidden = inside === 0;
  };
  const files = (event) => [...event.dataTransfer.types].includes("Files");
  addEventListener("dragenter", (event) => files(event) && hint(1));
  addEventListener("dragleave", (event) => files(event) && hint(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    const taken = event.defaultPrevented;
    event.preventDefault();
    hint(null);
    const [file] = event.dataTransfer.files;
    if (file && !taken) actions.openFile(file);
  });
}
