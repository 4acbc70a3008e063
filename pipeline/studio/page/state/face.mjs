/**
 * Geometry of a face in photo pixels, from its 68 landmarks (iBUG order).
 */

// Landmark k and its mirror image; those on the midline mirror onto themselves.
const PAIRS = [
  ...range(0, 8).map((k) => [k, 16 - k]),
  ...range(17, 22).map((k) => [k, 43 - k]),
  [36, 45], [37, 44], [38, 43], [39, 42], [40, 47], [41, 46],
  [31, 35], [32, 34],
  [48, 54], [49, 53], [50, 52], [55, 59], [56, 58],
  [60, 64], [61, 63], [65, 67],
];

const MIRRORED = range(0, 68);
for (const [one, other] of PAIRS) {
  MIRRORED[one] = other;
  MIRRORED[other] = one;
}

const LEAST_DISTANCE = 1e-3;

/** Landmarks that a person may want to pull, by name, as seen in the picture. */
export const NAMED = [
  ["Left mouth corner", 48], ["Right mouth corner", 54],
  ["Upper lip", 51], ["Lower lip", 57],
  ["Left brow, inner end", 21], ["Right brow, inner end", 22],
  ["Left brow, middle", 19], ["Right brow, middle", 24],
  ["Left eye, upper lid", 37], ["Right eye, upper lid", 44],
  ["Tip of the nose", 30], ["Chin", 8],
];

function range(from, to) {
  return Array.from({ length: to - from }, (_, k) => from + k);
}

function middle(points) {
  const sum = points.reduce((total, [x, y]) => [total[0] + x, total[1] + y], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/** The unit vector along the eyes. */
function across(landmarks) {
  const left = middle(landmarks.slice(36, 42));
  const right = middle(landmarks.slice(42, 48));
  const apart = Math.hypot(right[0] - left[0], right[1] - left[1]) || 1;
  return [(right[0] - left[0]) / apart, (right[1] - left[1]) / apart];
}

/** A vector mirrored left-right in the face's frame. */
export function mirrorWay(landmarks, [dx, dy]) {
  const [ux, uy] = across(landmarks);
  const along = 2 * (dx * ux + dy * uy);
  return [dx - along * ux, dy - along * uy];
}

/**
 * A place mirrored left-right. It lies to the counterparts of the landmarks as it lay to them, the
 * near ones counting most (weights distance^-4, Shepard 1968): right for turned heads, too.
 */
export function mirrorPlace(landmarks, place) {
  const sum = [0, 0];
  let all = 0;
  landmarks.forEach((landmark, index) => {
    const from = [place[0] - landmark[0], place[1] - landmark[1]];
    const weight = 1 / Math.max(Math.hypot(...from), LEAST_DISTANCE) ** 4;
    const way = mirrorWay(landmarks, from);
    landmarks[MIRRORED[index]].forEach((value, axis) => {
      sum[axis] += weight * (value + way[axis]);
    });
    all += weight;
  });
  return sum.map((value) => value / all);
}

/** A point {at, to, lock} mirrored left-right. */
export function mirrorPoint(landmarks, { at, to, lock }) {
  const place = mirrorPlace(landmarks, at);
  const way = mirrorWay(landmarks, [to[0] - at[0], to[1] - at[1]]);
  return { at: place, to: [place[0] + way[0], place[1] + way[1]], lock };
}

/** The landmark nearest to a place, with its distance. */
export function nearest(landmarks, [x, y]) {
  let best = { index: -1, distance: Infinity };
  landmarks.forEach(([px, py], index) => {
    const distance = Math.hypot(px - x, py - y);
    if (distance < best.distance) best = { index, distance };
  });
  return best;
}

/** The place of the nearest landmark within `reach`, else the place itself. */
export function snap(landmarks, place, reach) {
  const near = nearest(landmarks, place);
  return near.distance <= reach ? [...landmarks[near.index]] : place;
}

/**
 * Corners of a face's square, in order: {centre, size, angle, drawn}, `drawn` the share of the
 * width, in its middle, that the generator draws.
 */
export function corners({ centre, size, angle, drawn }) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const half = size / 2;
  const across = half * drawn;
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([u, v]) => [
    centre[0] + across * u * c - half * v * s,
    centre[1] + across * u * s + half * v * c,
  ]);
}

/** Whether a place lies in a face's square, where points may be. */
export function inSquare({ centre, size, angle, drawn }, [x, y]) {
  const [dx, dy] = [x - centre[0], y - centre[1]];
  const u = dx * Math.cos(angle) + dy * Math.sin(angle);
  const v = dy * Math.cos(angle) - dx * Math.sin(angle);
  return Math.abs(u) <= (drawn * size) / 2 && Math.abs(v) <= size / 2;
}

/** Whether a place lies in a rectangle [x0, y0, x1, y1]. */
export function inRect([x0, y0, x1, y1], [x, y]) {
  return x >= x0 && x < x1 && y >= y0 && y < y1;
}

/** The nearest place inside a face's square. */
export function intoSquare({ centre, size, angle, drawn }, [x, y]) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const [dx, dy] = [x - centre[0], y - centre[1]];
  // A hair inside, so that rounding never puts a point out again.
  const hair = Math.max(size * 1e-4, 1e-3);
  const hold = (value, half) => Math.min(Math.max(value, hair - half), half - hair);
  const u = hold(dx * c + dy * s, (drawn * size) / 2);
  const v = hold(dy * c - dx * s, size / 2);
  return [centre[0] + u * c - v * s, centre[1] + u * s + v * c];
}
