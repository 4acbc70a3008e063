/**
 * What the person can do, by name: each sends something to the server or changes the state.
 * Panels, pointer and keyboard all call these.
 */

import * as app from "./state/app.mjs";
import * as drafts from "./state/draft.mjs";
import { intoSquare, mirrorPoint } from "./state/face.mjs";
import { isRecipe, setUpRemark } from "./state/recipe.mjs";
import { nameOf } from "./state/square.mjs";
import { errorTitle } from "./state/wording.mjs";
import * as views from "./state/view.mjs";
import { Refused } from "./wire.mjs";

const ZOOM_STEP = 1.3;
const GLIDE_MS = 260;

export class Actions {
  #store;
  #wire;
  #gliding = 0;
  #starting = false;

  constructor(store, wire) {
    this.#store = store;
    this.#wire = wire;
  }

  /** Tell the person that something failed. */
  fail = (error) => {
    const [code, text] = error instanceof Refused
      ? [error.code, error.message]
      : ["internal", `The page itself failed: ${error.message}. Reload it; nothing is lost.`];
    this.#store.change(app.toast, "error", errorTitle(code), text);
  };

  async #ask(what, more) {
    try {
      return await this.#wire.send(what, more);
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  // --- photos -----------------------------------------------------------------------------------

  async openFile(file) {
    if (isRecipe(file)) {
      await this.openRecipe(file);
      return;
    }
    const limit = this.#store.state.hello?.limits?.upload_bytes ?? Infinity;
    if (file.size > limit) {
      const text = `${file.name} has ${megabytes(file.size)}; at most ${megabytes(limit)} can be opened.`;
      this.#store.change(app.toast, "error", errorTitle("too-large"), text);
      return;
    }
    await this.#upload("photos", file);
  }

  /** Send a file; gives the server's answer, or null once it is told why there is none. */
  async #upload(path, file) {
    this.#store.change(app.uploading, { name: file.name });
    try {
      return await this.#wire.post(path, file, file.name || "pasted.png");
    } catch (error) {
      this.fail(error);
      return null;
    } finally {
      this.#store.change(app.uploading, null);
    }
  }

  /** Send a file for what is edited; null, too, where that is something else by the time it is read. */
  async #uploadHere(what, file) {
    const here = app.partPath(this.#store.state);
    const answer = await this.#upload(`${here}/${what}`, file);
    const { state } = this.#store;
    return state.desk.photo && app.partPath(state) === here ? answer : null;
  }

  /** Read a recipe for the photo; one of several edits asks which. */
  async openRecipe(file) {
    const { desk } = this.#store.state;
    if (!desk?.photo) {
      this.#store.change(app.toast, "info", "Open the photo first", `Then open ${file.name} for it.`);
      return;
    }
    const { edits } = (await this.#upload(`photos/${desk.photo.photo}/recipes`, file)) ?? {};
    if (!edits) return;
    if (edits.length === 1) await this.setUp(edits[0]);
    else this.#store.change(app.recipeCame, { name: file.name, edits });
  }

  /** Make an edit of a recipe what the next run does. */
  async setUp(edit) {
    this.#store.change(app.recipeCame, null);
    const { face, settings, draft, hidden, follows, continued } = edit;
    const shown = () => this.#store.state.desk.shown;
    const ready = continued || ((await this.settings(settings)) && (await this.chooseFace(face)) &&
      (hidden === undefined || (await this.#ask("hide", { mask: hidden }))) &&
      (follows || shown() === 0 || (await this.show(0))) && (await this.#ask("draft", { draft })));
    if (!ready) return;
    const { kind, title, text } = setUpRemark(edit);
    this.#store.change(app.toast, kind, title, text);
  }

  openPhoto = (photo) => this.#ask("open", { photo });
  closePhoto = () => this.#ask("close");
  forgetPhoto = (photo) => this.#ask("forget", { photo });

  async chooseFace(face) {
    return face === this.#store.state.desk.face || this.#ask("face", { face });
  }

  /** Edit a square, [x, y, side], in place of a face. */
  async takeSquare(square) {
    const taken = await this.chooseFace(nameOf(square));
    this.#store.change(app.sketched, null);
    if (taken) this.#store.change(app.tool, "drag");
  }

  dropSquare = () => this.#ask("drop", { face: this.#store.state.desk.face });

  prepare = () => this.#ask("invert");

  /** What is painted is in front of the face: the face is to be prepared without it. */
  async hide() {
    const draft = app.draftOf(this.#store.state);
    await this.commit(drafts.setMask(draft, null));
    await this.#ask("hide", { mask: draft.mask });
  }

  /** Nothing is in front of the face; what was painted may change again. */
  async unhide() {
    const { hidden } = this.#store.state.desk;
    if ((await this.#ask("hide", { mask: null })) === null) return;
    await this.commit(drafts.setMask(app.draftOf(this.#store.state), hidden));
  }

  async expressionFrom(file) {
    const answer = await this.#uploadHere("expressions", file);
    if (!answer) return;
    const { expression, name, faces } = answer;
    if (faces.length > 1) {
      const text = `${name} shows ${faces.length} faces; the largest one is taken until another is chosen.`;
      this.#store.change(app.toast, "info", "Whose expression?", text);
    }
    this.commit(drafts.setExpression(app.draftOf(this.#store.state), { expression, name, faces }));
  }

  /** Take what may change from a black and white picture as large as the photo. */
  async maskFrom(file) {
    const answer = await this.#uploadHere("mask-files", file);
    if (answer) this.commit(drafts.setMask(app.draftOf(this.#store.state), answer.mask));
  }

  // --- the draft --------------------------------------------------------------------------------

  /** Send a draft as one step of undo; resolves when the server has it. */
  async commit(wanted) {
    const { state } = this.#store;
    const draft = drafts.rounded(wanted);
    if (drafts.sameDraft(draft, state.pending?.draft ?? state.desk.draft)) {
      this.#store.change(app.gestured, null);
      return;
    }
    const number = this.#wire.next;
    const sent = this.#wire.send("draft", { draft });
    this.#store.change(app.draftSent, draft, number);
    try {
      await sent;
      this.#store.change(app.draftAnswered, number, true);
    } catch (error) {
      this.#store.change(app.draftAnswered, number, false);
      this.fail(error);
    }
  }

  /** Change the chosen point, or do nothing without one. */
  #point(change) {
    const { state } = this.#store;
    const point = app.draftOf(state).points.find((one) => one.id === state.selected);
    if (point) this.commit(change(app.draftOf(state), point.id, point));
    return Boolean(point);
  }

  lock = (id) => this.#withPoint(id, drafts.toggleLock);
  delete = (id) => this.#withPoint(id, drafts.deletePoint);

  #withPoint(id, change) {
    if (typeof id === "string") this.commit(change(app.draftOf(this.#store.state), id));
    else this.#point(change);
  }

  /** Move the target of the chosen point, or the divider, by canvas pixels; false without either. */
  step([dx, dy]) {
    const { state } = this.#store;
    if (state.compare !== null) {
      this.#store.change(app.compare, state.compare + (5 * dx) / state.canvas[0]);
      return true;
    }
    if (!state.selected || !state.view) return false;
    const { square } = app.chosenFace(state);
    const scale = Math.max(state.view.scale, 0.05);
    return this.#point((draft, id, { to }) =>
      drafts.setTarget(draft, id, intoSquare(square, [to[0] + dx / scale, to[1] + dy / scale])));
  }

  addPoint(place) {
    const draft = drafts.addPoint(app.draftOf(this.#store.state), place);
    this.commit(draft);
    this.#store.change(app.select, draft.points.at(-1).id);
  }

  /** Add the mirror images of the chosen point, or of all; one that has its image replaces that. */
  mirror() {
    const { state } = this.#store;
    const draft = app.draftOf(state);
    const chosen = draft.points.filter((one) => !state.selected || one.id === state.selected);
    this.#mirrorAll(draft, chosen);
  }

  mirrorAll() {
    const draft = app.draftOf(this.#store.state);
    this.#mirrorAll(draft, draft.points);
  }

  #mirrorAll(draft, points) {
    const { state } = this.#store;
    const face = app.chosenFace(state);
    const landmarks = app.landmarksOf(state);
    if (!landmarks || points.length === 0) return;
    this.commit(points.reduce((all, point) => {
      const image = mirrorPoint(landmarks, point);
      return drafts.addMirrored(all, point, {
        at: intoSquare(face.square, image.at),
        to: intoSquare(face.square, image.to),
        lock: image.lock,
      }, face.square.size * 0.02);
    }, draft));
  }

  clearPoints = () => this.commit(drafts.clearPoints(app.draftOf(this.#store.state)));

  undo = () => this.#ask("undo");
  redo = () => this.#ask("redo");
  show = (edit) => this.#ask("show", { edit });
  settings = (settings) => this.#ask("settings", { settings });

  // --- runs -------------------------------------------------------------------------------------

  async run() {
    const { state } = this.#store;
    const next = app.nextRun(state);
    // A key pressed twice asks for one run.
    if (next === "none" || this.#starting) return;
    this.#store.change(app.select, null);
    if (state.desk.inversion) {
      this.#starting = true;
      await this.#ask(next);
      this.#starting = false;
      return;
    }
    this.#store.change(app.waitToRun, true);
    if (app.working(state) !== "invert") await this.prepare();
  }

  stop = () => this.#ask("stop");
  cancel = (job) => this.#ask("cancel", { job });

  /** Esc: stop a run, else end comparing, else drawing a square, else let go of the chosen point. */
  escape() {
    const { state } = this.#store;
    if (app.working(state) === "run") this.stop();
    else if (state.compare !== null) this.#store.change(app.compare, null);
    else if (state.tool === "square") this.#store.change(app.tool, "drag");
    else this.#store.change(app.select, null);
  }

  export = (what) => this.#ask("export", { what });

  // --- looking ----------------------------------------------------------------------------------

  zoomBy(factor) {
    const { state } = this.#store;
    const middle = state.canvas.map((side) => side / 2);
    const to = views.zoomBy(state.view, middle, factor, app.photoSize(state), state.canvas);
    this.#glide(() => to);
  }

  zoomIn = () => this.zoomBy(ZOOM_STEP);
  zoomOut = () => this.zoomBy(1 / ZOOM_STEP);

  lookAtAll() {
    this.#glide((state) => views.fitPhoto(app.photoSize(state), state.canvas));
  }

  lookAtFace() {
    this.#glide(app.faceView);
  }

  lookClosely() {
    const { state } = this.#store;
    const middle = state.canvas.map((side) => side / 2);
    const to = views.zoomTo(state.view, middle, 1 / Math.min(window.devicePixelRatio || 1, 2));
    this.#glide(() => to);
  }

  /** Stop a view that glides, because the person takes it. */
  hold() {
    this.#gliding += 1;
  }

  /** Glide to a view; it is asked for anew in each frame, since the canvas may change meanwhile. */
  #glide(viewOf) {
    const { state } = this.#store;
    if (!state.view) return;
    this.hold();
    const [mine, from, start] = [this.#gliding, state.view, performance.now()];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = (now) => {
      const current = this.#store.state;
      if (mine !== this.#gliding || !current.view) return;
      const time = still ? 1 : Math.min(Math.max((now - start) / GLIDE_MS, 0), 1);
      const eased = 1 - (1 - time) ** 3;
      this.#store.change(app.looked, views.between(from, viewOf(current), eased, current.canvas));
      if (time < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}

function megabytes(bytes) {
  return `${Math.round(bytes / 2 ** 20)} MB`;
}
