/**
 * The two canvases: the photo with its edits below, what belongs to the page above.
 *
 * Both are drawn in an animation frame and only when something changed; the photo only when the
 * view or a picture did, so that pulling a point costs no more than its few lines.
 */

import { byId } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { Detail, seen } from "./detail.mjs";
import { drawLoupe } from "./loupe.mjs";
import { drawOverlay } from "./overlay.mjs";
import { Album } from "./picture.mjs";

// The photo, parts at full resolution for canvas and loupe, and what was shown before.
const KEPT_BESIDE = 6;

export class Stage {
  #store;
  #wire;
  #area;
  #album;
  #photoId = null;
  #detail;
  #loupeDetail;
  #frame = null;
  #drawn = "";
  #photo = byId("picture");
  #overlay = byId("overlay");
  #density = 1;

  constructor(store, wire, area) {
    this.#store = store;
    this.#wire = wire;
    this.#area = area;
    this.#album = new Album((path) => wire.blob(path), () => this.refresh());
    this.#detail = new Detail(this.#album);
    this.#loupeDetail = new Detail(this.#album);
    new ResizeObserver(() => this.#resize()).observe(byId("stage"));
    store.view((state) => this.#draw(state));
  }

  /** The server is there again: what failed is asked for anew. */
  retry() {
    this.#album.retry();
    this.refresh();
  }

  /** Draw the photo again, too. */
  refresh() {
    this.#drawn = "";
    this.#store.touch();
  }

  /** A frame of a run: decode it, show it in the next animation frame, then acknowledge it. */
  async show({ header, picture }) {
    let bitmap = null;
    try {
      bitmap = await createImageBitmap(new Blob([picture], { type: header.type }));
    } catch {
      this.#wire.acknowledge(header.seq);
      return;
    }
    if (this.#frame?.waiting) this.#wire.acknowledge(this.#frame.seq);
    this.#frame?.bitmap.close();
    this.#frame = { bitmap, rect: header.rect, seq: header.seq, waiting: true };
    this.#store.change(app.frameCame, header);
    this.refresh();
  }

  #resize() {
    const { clientWidth, clientHeight } = byId("stage");
    this.#density = Math.min(window.devicePixelRatio || 1, 2);
    for (const canvas of [this.#photo, this.#overlay]) {
      canvas.width = Math.round(clientWidth * this.#density);
      canvas.height = Math.round(clientHeight * this.#density);
    }
    this.#drawn = "";
    this.#store.change(app.resized, [clientWidth, clientHeight]);
    // A cleared canvas must not be seen: draw in this very frame.
    this.#draw(this.#store.state);
  }

  #draw(state) {
    if (!state.desk?.photo || !state.view) {
      this.#clear(this.#photo);
      this.#clear(this.#overlay);
      this.#forgetFrame();
      this.#drawn = "";
      return;
    }
    this.#makeRoom(state.desk);
    const { view, compare, before, desk, canvas } = state;
    const key = JSON.stringify([view, compare, before, desk.photo.photo, desk.face, canvas, desk.layers]);
    if (key !== this.#drawn) {
      this.#drawn = key;
      this.#drawPhoto(state);
    }
    const context = this.#clear(this.#overlay);
    context.setTransform(this.#density, 0, 0, this.#density, 0, 0);
    drawOverlay(context, state, this.#area);
    drawLoupe(context, state, this.#density, (c, scale, s) => this.#pictures(c, scale, s, this.#loupeDetail));
  }

  /** Pictures of another photo are given back; of this one, those that one drawing takes fit in. */
  #makeRoom({ photo, layers }) {
    if (photo.photo !== this.#photoId) this.#album.clear();
    this.#photoId = photo.photo;
    this.#album.most = KEPT_BESIDE + layers.length;
  }

  #clear(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  #drawPhoto(state) {
    const context = this.#clear(this.#photo);
    const { scale, x, y } = state.view;
    const d = this.#density;
    context.setTransform(scale * d, 0, 0, scale * d, x * d, y * d);
    this.#pictures(context, scale * d, state, this.#detail);
  }

  /** Photo and edits, in photo pixels. */
  #pictures(context, scale, state, detail) {
    const { photo } = state.desk;
    const base = this.#album.get(`photos/${photo.photo}/picture`, [0, 0, photo.width, photo.height]);
    if (!base) {
      context.fillStyle = "rgb(128 128 128 / .25)";
      context.fillRect(0, 0, photo.width, photo.height);
      return;
    }
    base.draw(context, scale);
    detail.draw(context, scale, photo, seen(state));
    if (state.before) return;
    context.save();
    if (state.compare !== null) {
      const from = (state.compare * state.canvas[0] - state.view.x) / state.view.scale;
      context.beginPath();
      context.rect(from, 0, Math.max(photo.width - from, 0), photo.height);
      context.clip();
    }
    this.#edits(context, scale, state);
    context.restore();
  }

  #edits(context, scale, state) {
    const missing = layersOf(state).filter(({ address, rect }) => {
      const picture = this.#album.get(address, rect);
      picture?.draw(context, scale);
      return !picture && !this.#album.failed(address);
    });
    // The last frame stays until the pictures of the edit that it led to are there.
    if (app.working(state) !== "run" && missing.length === 0) this.#forgetFrame();
    if (!this.#frame) return;
    const [x0, y0, x1, y1] = this.#frame.rect;
    const { photo } = state.desk;
    const base = this.#album.get(`photos/${photo.photo}/picture`, [0, 0, photo.width, photo.height]);
    const current = layersOf(state).find((layer) => layer.current);
    if (current) {
      // The frame replaces the shown edit wholly: where it does not reach, the photo is untouched.
      context.save();
      context.beginPath();
      context.rect(current.rect[0], current.rect[1], current.rect[2] - current.rect[0], current.rect[3] - current.rect[1]);
      context.clip();
      base?.draw(context, scale);
      context.restore();
    }
    context.imageSmoothingEnabled = true;
    context.drawImage(this.#frame.bitmap, x0, y0, x1 - x0, y1 - y0);
    this.#acknowledge();
  }

  #acknowledge() {
    if (!this.#frame.waiting) return;
    this.#frame.waiting = false;
    this.#wire.acknowledge(this.#frame.seq);
  }

  #forgetFrame() {
    if (!this.#frame) return;
    this.#acknowledge();
    this.#frame.bitmap.close();
    this.#frame = null;
    this.#store.change(app.frameDone);
  }
}

/** The edits to be drawn over the photo, lowest first: [{address, rect, current}]. */
function layersOf(state) {
  const { photo, face: chosen, layers } = state.desk;
  return layers.filter(({ rect }) => rect).map(({ face, edit, inversion, rect }) => ({
    address: `photos/${photo.photo}/faces/${face}/edits/${edit}/picture?v=${inversion}`,
    rect,
    current: face === chosen,
  }));
}
