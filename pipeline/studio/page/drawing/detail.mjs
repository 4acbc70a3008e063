/**
 * Full resolution of the part that is looked at, for photos that the server shows reduced.
 */

import { visible } from "../state/view.mjs";

const LARGEST = 2048;
const CELL = 256;
const REST_MS = 250;

/** One for each who looks: the canvas and the loupe look at different parts. */
export class Detail {
  #album;
  #awaited = null;
  #timer = 0;

  constructor(album) {
    this.#album = album;
  }

  /**
   * Draw the part once it is there.
   *
   * @param context in photo pixels
   * @param scale device pixels per photo pixel
   * @param looked [x0, y0, x1, y1] in photo pixels that are seen
   */
  draw(context, scale, photo, looked) {
    if (!looked || scale <= photo.display[0] / photo.width) return;
    const rect = cells(looked, photo);
    if (!rect) return;
    const address = `photos/${photo.photo}/window?rect=${rect.join(",")}`;
    if (this.#album.knows(address)) {
      this.#album.get(address, rect)?.draw(context, scale);
    } else if (this.#awaited !== address) {
      this.#await(address, rect);
    }
  }

  // Only where the view rests: a pan would ask for dozens.
  #await(address, rect) {
    clearTimeout(this.#timer);
    this.#awaited = address;
    this.#timer = setTimeout(() => {
      this.#awaited = null;
      this.#album.get(address, rect);
    }, REST_MS);
  }
}

/** The rectangle on a grid of cells, so that small moves ask for nothing new; null if too large. */
function cells([x0, y0, x1, y1], { width, height }) {
  const rect = [
    Math.floor(x0 / CELL) * CELL, Math.floor(y0 / CELL) * CELL,
    Math.min(Math.ceil(x1 / CELL) * CELL, width), Math.min(Math.ceil(y1 / CELL) * CELL, height),
  ];
  return rect[2] - rect[0] <= LARGEST && rect[3] - rect[1] <= LARGEST ? rect : null;
}

/** What the canvas shows of the photo. */
export function seen(state) {
  return visible(state.view, [state.desk.photo.width, state.desk.photo.height], state.canvas);
}
