/**
 * The movable area as levels 0 .. 255, one per cell of a grid over the face's window.
 *
 * A mask is {width, height, levels: Uint8ClampedArray}. A stroke is painted dab by dab; within one
 * stroke the strongest dab counts, so that going over a place twice does not darken it.
 */

export const LARGEST_SIDE = 2048;

// The server takes lower levels for none.
const LEAST_LEVEL = 8;

/** Size of the grid over a window [x0, y0, x1, y1]: photo pixels, at most LARGEST_SIDE a side. */
export function gridSize([x0, y0, x1, y1], largest = LARGEST_SIDE) {
  const shrink = Math.min(1, largest / Math.max(x1 - x0, y1 - y0));
  return [x1 - x0, y1 - y0].map((side) => Math.max(1, Math.round(side * shrink)));
}

/** A mask of one level all over. */
export function blank(width, height, level = 0) {
  return { width, height, levels: new Uint8ClampedArray(width * height).fill(level) };
}

/** A mask from RGBA bytes; their alpha is the level. */
export function fromAlpha(width, height, rgba) {
  const mask = blank(width, height);
  for (let k = 0; k < mask.levels.length; k++) mask.levels[k] = rgba[4 * k + 3];
  return mask;
}

/** RGBA bytes in one colour, alpha = level. */
export function toAlpha(mask, [red, green, blue] = [255, 255, 255]) {
  const rgba = new Uint8ClampedArray(4 * mask.levels.length);
  for (let k = 0; k < mask.levels.length; k++) {
    rgba[4 * k] = red;
    rgba[4 * k + 1] = green;
    rgba[4 * k + 2] = blue;
    rgba[4 * k + 3] = mask.levels[k];
  }
  return rgba;
}

/** Strength 0 .. 1 of a dab at a share of its radius: 1 inside, a smooth ramp over `softness`. */
export function profile(share, softness) {
  const hard = 1 - softness;
  if (share <= hard) return 1;
  if (share >= 1) return 0;
  const t = (1 - share) / (1 - hard);
  return t * t * (3 - 2 * t);
}

/**
 * Paint or erase one dab in place.
 *
 * @param mask the mask, which is modified
 * @param centre [x, y] in cells
 * @param radius in cells
 * @param softness 0 .. 1
 * @param erase whether to take away
 * @returns [x0, y0, x1, y1] of what may have changed, or null
 */
export function dab(mask, [cx, cy], radius, softness, erase) {
  const x0 = Math.max(0, Math.floor(cx - radius));
  const y0 = Math.max(0, Math.floor(cy - radius));
  const x1 = Math.min(mask.width, Math.ceil(cx + radius));
  const y1 = Math.min(mask.height, Math.ceil(cy + radius));
  if (x1 <= x0 || y1 <= y0) return null;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const share = Math.hypot(x + 0.5 - cx, y + 0.5 - cy) / radius;
      if (share >= 1) continue;
      const level = 255 * profile(share, softness);
      const k = y * mask.width + x;
      mask.levels[k] = erase
        ? Math.min(mask.levels[k], 255 - level)
        : Math.max(mask.levels[k], level);
    }
  }
  return [x0, y0, x1, y1];
}

/** Centres of the dabs from one place of a stroke to the next, the first left out. */
export function along([x0, y0], [x1, y1], radius) {
  const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(radius * 0.2, 1)));
  return Array.from({ length: steps }, (_, k) => {
    const share = (k + 1) / steps;
    return [x0 + (x1 - x0) * share, y0 + (y1 - y0) * share];
  });
}

/** The other way round: what could change may not, and the reverse. */
export function inverted(mask) {
  return { ...mask, levels: mask.levels.map((level) => 255 - level) };
}

/** Both areas together. */
export function union(one, other) {
  const levels = one.levels.map((level, k) => Math.max(level, other.levels[k]));
  return { ...one, levels };
}

/** Whether nothing may change. */
export function isBlank(mask) {
  return !mask.levels.some((level) => level >= LEAST_LEVEL);
}

/** The rectangle around two rectangles; null stands for none. */
export function around(one, other) {
  if (one === null || other === null) return one ?? other;
  return [
    Math.min(one[0], other[0]), Math.min(one[1], other[1]),
    Math.max(one[2], other[2]), Math.max(one[3], other[3]),
  ];
}
