/**
 * Commands by name, as the keyboard's table and the buttons call them.
 */

import { byId } from "./dom.mjs";
import { openExport, openHelp } from "./panels/dialogs.mjs";
import * as app from "./state/app.mjs";
import { arrow, commandOf } from "./state/keys.mjs";

const BRUSH_STEP = 1.2;
const SOFT_STEP = 0.1;

/** Name -> function without arguments. */
export function createCommands(store, actions, area) {
  const photo = () => Boolean(store.state.desk?.photo && store.state.view);
  const idle = () => photo() && app.working(store.state) !== "run";
  const when = (ready, take) => () => ready() && take();
  const brush = (change) => when(photo, () => store.change(app.brush, change(store.state.brush)));
  const tools = Object.fromEntries(app.TOOLS.map((name) =>
    [`tool-${name}`, when(photo, () => store.change(app.tool, name))]));
  const shown = Object.fromEntries(["landmarks", "loupe", "area"].map((name) =>
    [name, when(photo, () => store.change(app.toggleShown, name))]));
  return {
    ...tools,
    ...shown,
    "brush-smaller": brush(({ radius }) => ({ radius: radius / BRUSH_STEP })),
    "brush-larger": brush(({ radius }) => ({ radius: radius * BRUSH_STEP })),
    "brush-harder": brush(({ softness }) => ({ softness: softness - SOFT_STEP })),
    "brush-softer": brush(({ softness }) => ({ softness: softness + SOFT_STEP })),
    "zoom-in": when(photo, actions.zoomIn),
    "zoom-out": when(photo, actions.zoomOut),
    "zoom-fit": when(photo, () => actions.lookAtAll()),
    "zoom-face": when(photo, () => actions.lookAtFace()),
    "zoom-full": when(photo, () => actions.lookClosely()),
    compare: when(photo, () => store.change(app.compare, store.state.compare === null ? 0.5 : null)),
    "add-point": when(() => idle() && !byId("points-add").disabled, addPoint),
    lock: when(idle, () => actions.lock()),
    mirror: when(idle, () => actions.mirror()),
    "mirror-all": when(idle, () => actions.mirrorAll()),
    delete: when(idle, () => actions.delete()),
    "clear-points": when(idle, () => actions.clearPoints()),
    "invert-mask": when(idle, () => area.invert()),
    "clear-mask": when(idle, () => area.clear()),
    run: when(idle, () => actions.run()),
    escape: when(photo, () => actions.escape()),
    undo: when(() => idle() && store.state.desk.undo, actions.undo),
    redo: when(() => idle() && store.state.desk.redo, actions.redo),
    open: () => byId("file-input").click(),
    export: when(() => idle() && app.edited(store.state), openExport),
    help: openHelp,
  };
}

function addPoint() {
  byId("points-add").focus();
  byId("points-add").showPicker();
}

/** Keys on the whole page; those in fields, menus and dialogs stay there. */
export function createKeyboard(store, actions, pointer, run) {
  addEventListener("keydown", (event) => {
    const command = commandOf(event);
    if (command === null || document.querySelector("dialog[open]") || taken(event, command)) return;
    if (command === "hold-pan") pointer.holdSpace(true);
    else if (command === "hold-before") store.change(app.before, true);
    else if (command === "nudge" || command === "nudge-far") {
      const far = command === "nudge-far" ? 10 : 1;
      if (!actions.step(arrow(event.key).map((way) => way * far))) return;
    } else if (command === "escape" && pointer.abandon()) {
      // What was being pulled is where it was.
    } else if (!event.repeat || command.startsWith("zoom") || command.startsWith("brush")) run(command);
    event.preventDefault();
  });
  const release = () => {
    pointer.holdSpace(false);
    store.change(app.before, false);
  };
  addEventListener("keyup", ({ key }) => {
    if (key === " " || key.toLowerCase() === "o") release();
  });
  addEventListener("blur", release);
}

/** Whether the element that has the focus needs the key itself. */
function taken({ target, key }, command) {
  if (!(target instanceof Element)) return false;
  if (target.matches("input:not([type=range]), textarea, select")) return true;
  if (target.matches("input[type=range]")) return key.startsWith("Arrow") || key === "Home" || key === "End";
  return target.matches("button, summary, a") && (command === "hold-pan" || command === "run");
}
