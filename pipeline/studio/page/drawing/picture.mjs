/**
 * A picture on the canvas that stays sharp and quick at every zoom: a pyramid of halved bitmaps.
 */

const SMALLEST_LEVEL = 256;

/** A decoded picture over a rectangle of the photo. */
export class Picture {
  #levels;

  constructor(levels, rect) {
    this.#levels = levels;
    this.rect = rect;
  }

  /** Decode a blob and halve it down to a small size. */
  static async decode(blob, rect) {
    const levels = [await createImageBitmap(blob)];
    for (;;) {
      const { width, height } = levels.at(-1);
      if (Math.max(width, height) < 2 * SMALLEST_LEVEL) break;
      const half = { resizeWidth: Math.ceil(width / 2), resizeHeight: Math.ceil(height / 2) };
      levels.push(await createImageBitmap(levels.at(-1), { ...half, resizeQuality: "medium" }));
    }
    return new Picture(levels, rect);
  }

  /** Draw it; `scale` is device pixels per photo pixel, the context is in photo pixels. */
  draw(context, scale) {
    const [x0, y0, x1, y1] = this.rect;
    const needed = (x1 - x0) * scale;
    const level = this.#levels.findLast((one) => one.width >= needed) ?? this.#levels[0];
    const enlarged = needed / level.width;
    context.imageSmoothingEnabled = enlarged < 6;
    context.imageSmoothingQuality = "low";
    context.drawImage(level, x0, y0, x1 - x0, y1 - y0);
  }

  /** Give the memory back. */
  close() {
    for (const level of this.#levels) level.close();
    this.#levels = [];
  }
}

/** Pictures by address: loaded once, the least recently used given back. */
export class Album {
  #pictures = new Map();
  #load;
  #loaded;

  /** Number of pictures kept; it must not be less than one drawing takes. */
  most = 6;

  /**
   * @param load address -> Promise of a blob
   * @param loaded called when a picture arrived
   */
  constructor(load, loaded) {
    this.#load = load;
    this.#loaded = loaded;
  }

  /** The picture at an address, or null while it is on its way. */
  get(address, rect) {
    const known = this.#pictures.get(address);
    if (known) {
      this.#pictures.delete(address);
      this.#pictures.set(address, known);
      return known.picture;
    }
    this.#fetch(address, rect);
    return null;
  }

  /** Whether a picture was asked for and is kept, or on its way. */
  knows(address) {
    return this.#pictures.has(address);
  }

  /** Whether a picture could not be loaded. */
  failed(address) {
    return this.#pictures.get(address)?.failed ?? false;
  }

  /** Ask again for what could not be loaded. */
  retry() {
    for (const [address, { failed }] of this.#pictures) {
      if (failed) this.#pictures.delete(address);
    }
  }

  async #fetch(address, rect) {
    const entry = { picture: null, failed: false };
    this.#pictures.set(address, entry);
    try {
      const picture = await Picture.decode(await this.#load(address), rect);
      if (this.#pictures.get(address) === entry) entry.picture = picture;
      else picture.close();
    } catch {
      entry.failed = true;
    }
    this.#shrink();
    this.#loaded();
  }

  /** Give everything back. */
  clear() {
    for (const { picture } of this.#pictures.values()) picture?.close();
    this.#pictures.clear();
  }

  #shrink() {
    for (const [address, { picture }] of this.#pictures) {
      if (this.#pictures.size <= this.most) return;
      if (!picture) continue;
      picture.close();
      this.#pictures.delete(address);
    }
  }
}
