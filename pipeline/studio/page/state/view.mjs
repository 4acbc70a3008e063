/**
 * Zoom and pan: which part of the photo the canvas shows.
 *
 * A view is {scale, x, y}: `scale` is CSS pixels per photo pixel, (x, y) where the photo's origin
 * lies on the canvas. A size is [width, height]; a point is [x, y].
 */

export const LARGEST_SCALE = 16;
const SMALLEST_SHARE = 0.4;
const KEPT_VISIBLE = 80;

/** Canvas place of a photo point. */
export function toCanvas(view, [x, y]) {
  return [x * view.scale + view.x, y * view.scale + view.y];
}

/** Photo place of a canvas point. */
export function toPhoto(view, [x, y]) {
  return [(x - view.x) / view.scale, (y - view.y) / view.scale];
}

/** The view that shows a rectangle of the photo as large as the canvas allows. */
export function fit([x0, y0, x1, y1], canvas, margin = 24) {
  const room = canvas.map((side) => Math.max(side - 2 * margin, 1));
  const scale = Math.min(room[0] / (x1 - x0), room[1] / (y1 - y0), LARGEST_SCALE);
  return {
    scale,
    x: canvas[0] / 2 - ((x0 + x1) / 2) * scale,
    y: canvas[1] / 2 - ((y0 + y1) / 2) * scale,
  };
}

/** The whole photo; a small one is not blown up beyond 200 %. */
export function fitPhoto(photo, canvas) {
  const whole = fit([0, 0, ...photo], canvas);
  return whole.scale <= 2 ? whole : zoomTo(whole, canvas.map((side) => side / 2), 2);
}

/** Scales allowed: from somewhat less than the whole photo up to LARGEST_SCALE. */
export function scaleRange(photo, canvas) {
  const whole = fit([0, 0, ...photo], canvas).scale;
  return [Math.min(whole * SMALLEST_SHARE, 1), LARGEST_SCALE];
}

/** The same view at another scale; the photo point under `at` stays under it. */
export function zoomTo(view, at, scale) {
  const [x, y] = toPhoto(view, at);
  return { scale, x: at[0] - x * scale, y: at[1] - y * scale };
}

/** Zoom by a factor within the allowed scales. */
export function zoomBy(view, at, factor, photo, canvas) {
  const [least, most] = scaleRange(photo, canvas);
  return zoomTo(view, at, Math.min(Math.max(view.scale * factor, least), most));
}

/** Factor of one wheel event; a trackpad's pinch arrives as a wheel with the control key. */
export function wheelFactor({ deltaY, deltaMode, ctrlKey }) {
  const pixels = deltaY * (deltaMode === 1 ? 16 : deltaMode === 2 ? 400 : 1);
  const step = Math.min(Math.max(pixels, -240), 240);
  return Math.exp(-step * (ctrlKey ? 0.01 : 0.0016));
}

/** Move the photo on the canvas. */
export function panBy(view, [dx, dy]) {
  return { ...view, x: view.x + dx, y: view.y + dy };
}

/** Keep a strip of the photo on the canvas, so that it cannot be lost. */
export function keepVisible(view, photo, canvas) {
  const along = (origin, side, room) =>
    Math.min(Math.max(origin, KEPT_VISIBLE - side * view.scale), room - KEPT_VISIBLE);
  return {
    ...view,
    x: along(view.x, photo[0], canvas[0]),
    y: along(view.y, photo[1], canvas[1]),
  };
}

/** Two fingers moved from `before` to `after` (two canvas points each). */
export function pinch(view, before, after, photo, canvas) {
  const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const apart = ([a, b]) => Math.max(Math.hypot(a[0] - b[0], a[1] - b[1]), 1);
  const from = middle(before);
  const to = middle(after);
  const moved = panBy(view, [to[0] - from[0], to[1] - from[1]]);
  return zoomBy(moved, to, apart(after) / apart(before), photo, canvas);
}

/** A view part of the way from one to another, `share` 0 .. 1; scales run evenly in octaves. */
export function between(from, to, share, canvas) {
  const scale = from.scale * (to.scale / from.scale) ** share;
  const centre = canvas.map((side) => side / 2);
  const start = toPhoto(from, centre);
  const end = toPhoto(to, centre);
  // The photo point in the middle moves with the scale, so that the way looks straight; scales that
  // differ by rounding alone would say nothing of the way.
  const alike = Math.abs(to.scale / from.scale - 1) < 1e-6;
  const way = alike ? share : (1 / scale - 1 / from.scale) / (1 / to.scale - 1 / from.scale);
  const middle = start.map((value, axis) => value + (end[axis] - value) * way);
  return { scale, x: centre[0] - middle[0] * scale, y: centre[1] - middle[1] * scale };
}

/** The photo rectangle that is on the canvas, clipped to the photo; null where none is. */
export function visible(view, photo, canvas) {
  const [x0, y0] = toPhoto(view, [0, 0]).map((value) => Math.max(Math.floor(value), 0));
  const [right, bottom] = toPhoto(view, canvas).map((value) => Math.ceil(value));
  const x1 = Math.min(right, photo[0]);
  const y1 = Math.min(bottom, photo[1]);
  return x1 > x0 && y1 > y0 ? [x0, y0, x1, y1] : null;
}
