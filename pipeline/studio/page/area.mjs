/**
 * The area that may change: painted with the brush, taken from regions, sent to the server as PNG.
 *
 * Masks are kept by their server's id; the draft names one. What is being painted, or on its way
 * to the server, is `#own` until the draft that names it is there.
 */

import * as app from "./state/app.mjs";
import * as masks from "./state/brush.mjs";
import { setMask, setRegion } from "./state/draft.mjs";
import { toPhoto } from "./state/view.mjs";

const TINT = [64, 224, 190];
const MOST_KEPT = 8;

export class Area {
  #store;
  #wire;
  #commit;
  #fail;
  #kept = new Map();
  #own = null;
  #stroke = null;
  #sending = Promise.resolve();
  #canvas = document.createElement("canvas");
  #shown = null;

  /**
   * @param commit sends a draft
   * @param fail tells the person about an error
   */
  constructor(store, wire, commit, fail) {
    this.#store = store;
    this.#wire = wire;
    this.#commit = commit;
    this.#fail = fail;
  }

  /** A canvas over the face's window that tints the area, or null where nothing is named. */
  tint(state) {
    const mask = this.#current(state);
    if (!mask) return null;
    if (this.#shown !== mask) {
      this.#canvas.width = mask.width;
      this.#canvas.height = mask.height;
      this.#paintTint(mask, [0, 0, mask.width, mask.height]);
      this.#shown = mask;
    }
    return this.#canvas;
  }

  /** The pointer went down with brush or eraser at a canvas place. */
  begin(place) {
    const { state } = this.#store;
    const face = app.chosenFace(state);
    if (!face || face.problem) return;
    const start = this.#current(state) ?? this.#fresh(state, face);
    if (!start) return;
    this.#own = { mask: { ...start, levels: start.levels.slice() }, face: keyOf(state) };
    this.#stroke = { erase: state.tool === "erase", last: null };
    this.move(place);
  }

  /** The pointer moved while down. */
  move(place) {
    if (!this.#stroke) return;
    const { state } = this.#store;
    const { window } = app.chosenFace(state);
    const { mask } = this.#own;
    const cells = mask.width / (window[2] - window[0]);
    const [x, y] = toPhoto(state.view, place);
    const centre = [(x - window[0]) * cells, (y - window[1]) * cells];
    const radius = Math.max((state.brush.radius / state.view.scale) * cells, 0.75);
    const { last, erase } = this.#stroke;
    const dabs = last ? masks.along(last, centre, radius) : [centre];
    let dirty = null;
    for (const dab of dabs) {
      dirty = masks.around(dirty, masks.dab(mask, dab, radius, state.brush.softness, erase));
    }
    this.#stroke.last = centre;
    if (dirty && this.#shown === mask) this.#paintTint(mask, dirty);
    this.#store.touch();
  }

  /** The pointer went up: the stroke is one step of undo. */
  end() {
    if (!this.#stroke) return;
    this.#stroke = null;
    this.#replace(this.#own.mask);
  }

  /** The stroke is dropped, for example because it became a pinch. */
  abandon() {
    if (!this.#stroke) return;
    this.#stroke = null;
    this.#own = null;
    this.#store.touch();
  }

  /** Turn round what may change; nothing happens where nothing is named. */
  async invert() {
    try {
      const mask = await this.#whole(this.#store.state);
      if (mask) this.#replace(masks.inverted(mask));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Add a region to what may change, name it when nothing is chosen yet, or let it go again. */
  async addRegion(name) {
    const { state } = this.#store;
    if (app.draftOf(state).region === name) return this.#name(null);
    try {
      const mask = name === "all" ? null : await this.#whole(state);
      if (!mask) return this.#name(name);
      const region = await this.#fetch(app.chosenFace(state), `${keyOf(state)}/regions/${name}`);
      return this.#replace(masks.union(mask, region));
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** The area that is named, when it has come from the server; null where none is. */
  async #whole(state) {
    if (this.#own?.face === keyOf(state)) return this.#own.mask;
    const file = fileOf(app.draftOf(state));
    return file ? this.#fetch(app.chosenFace(state), `${keyOf(state)}/${file}`) : null;
  }

  #name(region) {
    this.#own = null;
    this.#commit(setRegion(app.draftOf(this.#store.state), region));
  }

  /** Nothing is named any more. */
  clear() {
    this.#name(null);
  }

  #replace(mask) {
    this.#own = { mask, face: keyOf(this.#store.state) };
    this.#store.touch();
    this.#send(this.#own);
  }

  #current(state) {
    const face = app.chosenFace(state);
    if (!face) return null;
    if (this.#own?.face === keyOf(state)) return this.#own.mask;
    const file = fileOf(app.draftOf(state));
    return file ? this.#get(face, `${keyOf(state)}/${file}`) : null;
  }

  #fresh(state, face) {
    const draft = app.draftOf(state);
    if (fileOf(draft)) return null;
    const { region } = draft;
    const level = region === "all" || state.tool === "erase" ? 255 : 0;
    return masks.blank(...masks.gridSize(face.window), level);
  }

  /** A mask of the server, or null while it is on its way. */
  #get(face, address) {
    const kept = this.#kept.get(address);
    if (kept !== undefined) return kept;
    this.#kept.set(address, null);
    this.#load(face, address).catch((error) => {
      this.#kept.delete(address);
      this.#fail(error);
    });
    return null;
  }

  async #fetch(face, address) {
    return this.#kept.get(address) ?? this.#load(face, address);
  }

  async #load(face, address) {
    const [width, height] = masks.gridSize(face.window);
    const bitmap = await createImageBitmap(await this.#wire.blob(address));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    const mask = masks.fromAlpha(width, height, context.getImageData(0, 0, width, height).data);
    this.#keep(address, mask);
    this.#store.touch();
    return mask;
  }

  #keep(address, mask) {
    this.#kept.delete(address);
    this.#kept.set(address, mask);
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= MOST_KEPT) break;
      this.#kept.delete(old);
    }
  }

  #send(own) {
    this.#sending = this.#sending.then(() => this.#upload(own)).catch((error) => {
      if (this.#own === own) this.#own = null;
      this.#fail(error);
      this.#store.touch();
    });
  }

  async #upload(own) {
    const { mask } = own;
    if (masks.isBlank(mask)) {
      await this.#commit(setMask(app.draftOf(this.#store.state), null));
    } else {
      const canvas = new OffscreenCanvas(mask.width, mask.height);
      const pixels = new ImageData(masks.toAlpha(mask), mask.width, mask.height);
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      const answer = await this.#wire.post(`${own.face}/masks`, await canvas.convertToBlob());
      this.#keep(`${own.face}/masks/${answer.mask}`, mask);
      if (own.face !== keyOf(this.#store.state)) return;
      await this.#commit(setMask(app.draftOf(this.#store.state), answer.mask));
    }
    if (this.#own === own) this.#own = null;
    this.#store.touch();
  }

  #paintTint(mask, [x0, y0, x1, y1]) {
    const pixels = new ImageData(x1 - x0, y1 - y0);
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const k = 4 * ((y - y0) * (x1 - x0) + x - x0);
        pixels.data[k] = TINT[0];
        pixels.data[k + 1] = TINT[1];
        pixels.data[k + 2] = TINT[2];
        pixels.data[k + 3] = mask.levels[y * mask.width + x];
      }
    }
    this.#canvas.getContext("2d").putImageData(pixels, x0, y0);
  }
}

/** Where the server keeps the area that a draft names, below the face's address; null for none. */
function fileOf({ mask, region }) {
  if (mask) return `masks/${mask}`;
  return region && region !== "all" ? `regions/${region}` : null;
}

function keyOf(state) {
  return `photos/${state.desk.photo.photo}/faces/${state.desk.face}`;
}
