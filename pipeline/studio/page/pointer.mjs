/**
 * Mouse, pen and fingers on the canvas.
 *
 * One pointer does what the tool says, two pinch. A gesture changes only the state's `gesture`;
 * when the pointer goes up it is committed as one step of undo.
 */

import { byId } from "./dom.mjs";
import { badgeOf } from "./drawing/overlay.mjs";
import * as app from "./state/app.mjs";
import * as drafts from "./state/draft.mjs";
import { intoSquare, snap } from "./state/face.mjs";
import { between } from "./state/square.mjs";
import * as views from "./state/view.mjs";

const REACH = { mouse: 11, pen: 14, touch: 24 };
const SNAP = 10;
const CLICK = 4;

export class Pointer {
  #store;
  #actions;
  #area;
  #canvas = byId("overlay");
  #down = new Map();
  #gesture = null;
  #space = false;

  constructor(store, actions, area) {
    this.#store = store;
    this.#actions = actions;
    this.#area = area;
    const on = (name, take, options) => this.#canvas.addEventListener(name, take, options);
    on("pointerdown", (event) => this.#press(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#release(event));
    on("pointercancel", (event) => this.#cancel(event));
    on("pointerleave", () => this.#store.change(app.pointed, null));
    on("wheel", (event) => this.#wheel(event), { passive: false });
    on("contextmenu", (event) => event.preventDefault());
    on("dblclick", (event) => this.#twice(event));
    on("blur", () => delete this.#canvas.dataset.pressed);
  }

  /** The space bar is held: everything moves the photo. */
  holdSpace(held) {
    this.#space = held;
    this.#cursor(this.#store.state.pointer);
  }

  #place(event) {
    const { left, top } = this.#canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #press(event) {
    const { state } = this.#store;
    if (!state.desk?.photo || !state.view || this.#down.size === 2) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#canvas.focus({ preventScroll: true });
    // Who came by pointer needs no ring around the photo, also when a key is pressed then.
    this.#canvas.dataset.pressed = "";
    this.#actions.hold();
    const place = this.#place(event);
    this.#down.set(event.pointerId, place);
    if (this.#down.size === 2) {
      this.#abandon();
      this.#gesture = { name: "pinch" };
      return;
    }
    const { selected } = state;
    this.#gesture = { ...this.#begin(event, place), start: place, last: place, moved: false, selected };
    this.#point(event, place);
    this.#cursor(place);
  }

  /** Where the pointer is; of what is pulled, where that is. */
  #point({ pointerType }, [x, y]) {
    const [dx, dy] = this.#gesture?.offset ?? [0, 0];
    this.#store.change(app.pointed, [x - dx, y - dy], pointerType === "touch");
  }

  /** What a press at a place starts. */
  #begin(event, place) {
    const { state } = this.#store;
    if (event.button === 1 || this.#space || state.tool === "pan") return { name: "pan" };
    if (state.compare !== null) return { name: this.#onDivider(place) ? "divide" : "pan" };
    if (event.button !== 0) return { name: "none" };
    if (state.tool === "square") return { name: "square", from: views.toPhoto(state.view, place) };
    const face = this.#faceUnder(place);
    if (!app.chosenFace(state)) return face ? { name: "choose", face } : { name: "pan" };
    if (face && this.#onBadge(face, place)) return { name: "choose", face };
    if (app.working(state) === "run") return { name: "pan" };
    if (state.tool !== "drag") {
      this.#area.begin(place);
      return { name: "paint" };
    }
    return this.#beginPull(place, REACH[event.pointerType] ?? REACH.mouse)
      ?? (face ? { name: "choose", face } : { name: "pan" });
  }

  #beginPull(place, reach) {
    const { state } = this.#store;
    const hit = this.#hit(place, reach);
    if (hit) {
      this.#store.change(app.select, hit.point.id);
      return { name: hit.part, id: hit.point.id, draft: app.draftOf(state), offset: away(place, hit.at) };
    }
    const at = views.toPhoto(state.view, place);
    if (!app.editable(state, at)) return null;
    if (app.draftOf(state).points.length >= (state.hello?.limits?.points ?? Infinity)) return null;
    const landmarks = state.show.landmarks ? app.landmarksOf(state) : null;
    const start = landmarks ? snap(landmarks, at, SNAP / state.view.scale) : at;
    const draft = drafts.addPoint(app.draftOf(state), start);
    const { id } = draft.points.at(-1);
    this.#store.change(app.gestured, draft);
    this.#store.change(app.select, id);
    return { name: "target", id, draft, fresh: true, offset: away(place, views.toCanvas(state.view, start)) };
  }

  #move(event) {
    const place = this.#place(event);
    const before = [...this.#down.values()];
    if (this.#down.has(event.pointerId)) this.#down.set(event.pointerId, place);
    if (this.#gesture?.name === "pinch") {
      if (this.#down.size === 2) this.#pinch(before);
      return;
    }
    this.#point(event, place);
    if (!this.#gesture || !this.#down.has(event.pointerId)) {
      this.#cursor(place);
      return;
    }
    const { start } = this.#gesture;
    if (Math.hypot(place[0] - start[0], place[1] - start[1]) > CLICK) this.#gesture.moved = true;
    this.#follow(event, place);
    this.#gesture.last = place;
  }

  #follow(event, place) {
    const { name, last, moved } = this.#gesture;
    const pan = [place[0] - last[0], place[1] - last[1]];
    const { state } = this.#store;
    if (name === "pan" || (name === "choose" && moved)) {
      this.#store.change(app.looked, views.panBy(state.view, pan));
    } else if (name === "divide") {
      this.#store.change(app.compare, place[0] / state.canvas[0]);
    } else if (name === "square") {
      this.#sketch(place);
    } else if (name === "paint") {
      // Fast strokes deliver several places per frame.
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) this.#area.move(this.#place(one));
    } else if ((name === "target" || name === "handle") && moved) {
      this.#pull(place);
    }
  }

  #pull(place) {
    const { state } = this.#store;
    const { name, id, draft, offset } = this.#gesture;
    const within = (point) => intoSquare(app.chosenFace(state).square, point);
    const set = name === "target" ? drafts.setTarget : drafts.setHandle;
    const to = within(views.toPhoto(state.view, away(place, offset)));
    this.#store.change(app.gestured, set(draft, id, to, within));
  }

  #sketch(place) {
    const { state } = this.#store;
    const to = views.toPhoto(state.view, place);
    const square = between(this.#gesture.from, to, app.photoSize(state), state.hello.generator.drawn);
    this.#store.change(app.sketched, square);
  }

  #pinch(before) {
    const { state } = this.#store;
    const after = [...this.#down.values()];
    const size = app.photoSize(state);
    this.#store.change(app.looked, views.pinch(state.view, before, after, size, state.canvas));
  }

  #release(event) {
    if (!this.#down.delete(event.pointerId)) return;
    const gesture = this.#gesture;
    if (gesture?.name === "pinch") {
      if (this.#down.size === 0) this.#gesture = null;
      return;
    }
    this.#gesture = null;
    if (event.pointerType === "touch") this.#store.change(app.pointed, null);
    if (gesture) this.#finish(gesture);
    this.#cursor(this.#store.state.pointer);
  }

  #finish({ name, face, moved, fresh }) {
    const { state } = this.#store;
    if (name === "choose" && !moved) this.#actions.chooseFace(face.face);
    if (name === "pan" && !moved) this.#store.change(app.select, null);
    if (name === "paint") this.#area.end();
    if (name === "square" && moved && state.sketch) this.#actions.takeSquare(state.sketch);
    if (name !== "target" && name !== "handle") return;
    if (state.gesture && (moved || fresh)) this.#actions.commit(state.gesture);
    else this.#store.change(app.gestured, null);
  }

  #cancel(event) {
    this.#down.delete(event.pointerId);
    this.#abandon();
  }

  /** Take back what the pointer is pulling or painting; false where there is nothing. */
  abandon() {
    if (!["target", "handle", "paint", "square"].includes(this.#gesture?.name)) return false;
    this.#abandon();
    return true;
  }

  #abandon() {
    this.#area.abandon();
    this.#store.change(app.gestured, null);
    this.#store.change(app.sketched, null);
    if (this.#gesture) this.#store.change(app.select, this.#gesture.selected);
    this.#gesture = null;
  }

  #twice(event) {
    const { state } = this.#store;
    if (!state.view || state.tool !== "pan") return;
    const size = app.photoSize(state);
    this.#store.change(app.looked, views.zoomBy(state.view, this.#place(event), 2, size, state.canvas));
  }

  #wheel(event) {
    const { state } = this.#store;
    if (!state.view) return;
    event.preventDefault();
    this.#actions.hold();
    const size = app.photoSize(state);
    const factor = views.wheelFactor(event);
    const view = views.zoomBy(state.view, this.#place(event), factor, size, state.canvas);
    this.#store.change(app.looked, view);
  }

  /** The point under a place: of a point with a target apart, either end; else its target. */
  #hit(place, reach) {
    const { state } = this.#store;
    let best = null;
    for (const point of app.draftOf(state).points) {
      const ends = drafts.moves(point) ? ["target", "handle"] : ["target"];
      for (const part of ends) {
        const at = views.toCanvas(state.view, part === "target" && drafts.moves(point) ? point.to : point.at);
        const distance = Math.hypot(...away(place, at));
        if (distance <= reach && (!best || distance < best.distance)) best = { point, part, at, distance };
      }
    }
    return best;
  }

  #faceUnder(place) {
    const { state } = this.#store;
    const badge = state.desk.photo.faces?.find((face) => this.#onBadge(face, place));
    const face = badge ?? app.faceAt(state, views.toPhoto(state.view, place));
    return face && face.face !== state.desk.face ? face : null;
  }

  #onBadge(face, [px, py]) {
    const [x, y, width, height] = badgeOf(this.#store.state, face);
    return px >= x - 3 && px <= x + width + 3 && py >= y - 3 && py <= y + height + 3;
  }

  #onDivider([x]) {
    const { compare, canvas } = this.#store.state;
    return compare !== null && Math.abs(x - compare * canvas[0]) < 14;
  }

  #cursor(place) {
    const cursor = place ? this.#cursorAt(place) : "default";
    if (this.#canvas.dataset.cursor !== cursor) this.#canvas.dataset.cursor = cursor;
  }

  #cursorAt(place) {
    const { state } = this.#store;
    if (!state.desk?.photo || !state.view) return "default";
    if (this.#gesture?.name === "pan") return "grabbing";
    if (this.#space || state.tool === "pan") return "grab";
    if (state.compare !== null) return this.#onDivider(place) ? "divide" : "grab";
    if (state.tool === "square") return "cross";
    const face = this.#faceUnder(place);
    if (!app.chosenFace(state)) return face ? "pick" : "grab";
    if (face && this.#onBadge(face, place)) return "pick";
    if (state.tool !== "drag") return "none";
    if (this.#hit(place, REACH.mouse)) return "move";
    if (app.editable(state, views.toPhoto(state.view, place))) return "cross";
    return face ? "pick" : "grab";
  }
}

/** The way from one place to another. */
function away([x, y], from) {
  return [x - from[0], y - from[1]];
}
