import assert from "node:assert/strict";
import { test } from "node:test";
import * as face from "../../../../pipeline/studio/page/state/face.mjs";

// A symmetric face of 68 landmarks around x = 0, turned and moved by `place`.
const HALF = [
  [-7, 0], [-7, 2], [-6.5, 4], [-6, 6], [-5, 8], [-4, 9.5], [-2.5, 10.5], [-1, 11], [0, 11.2],
];
function landmarks(place) {
  const points = Array.from({ length: 68 }, () => [0, 5]);
  const pair = (k, m, [x, y]) => {
    points[k] = [x, y];
    points[m] = [-x, y];
  };
  HALF.forEach((point, k) => pair(k, 16 - k, point));
  for (let k = 17; k < 22; k++) pair(k, 43 - k, [-6 + (k - 17), -2.5]);
  for (let k = 27; k < 31; k++) points[k] = [0, k - 27];
  pair(31, 35, [-1.5, 3.6]);
  pair(32, 34, [-0.7, 3.8]);
  points[33] = [0, 4];
  [[36, 45, -4.5, 0], [37, 44, -3.7, -0.5], [38, 43, -2.8, -0.5], [39, 42, -2, 0], [40, 47, -2.8, 0.4],
    [41, 46, -3.7, 0.4], [48, 54, -2.5, 6.5], [49, 53, -1.5, 6], [50, 52, -0.6, 5.8], [55, 59, 1.5, 7],
    [56, 58, 0.6, 7.3], [60, 64, -2, 6.5], [61, 63, -0.7, 6.4], [65, 67, 0.7, 6.7]]
    .forEach(([k, m, x, y]) => pair(k, m, [x, y]));
  points[51] = [0, 5.9];
  points[57] = [0, 7.4];
  points[62] = [0, 6.4];
  points[66] = [0, 6.7];
  return points.map(place);
}
const turned = ([x, y]) => [500 + 30 * (0.8 * x - 0.6 * y), 400 + 30 * (0.6 * x + 0.8 * y)];
const FACE = landmarks(turned);
const close = (one, other, by = 1e-6) =>
  one.forEach((value, k) => assert.ok(Math.abs(value - other[k]) < by, `${one} is not ${other}`));

test("each mouth corner mirrors onto the other", () => {
  close(face.mirrorPlace(FACE, FACE[48]), FACE[54]);
  close(face.mirrorPlace(FACE, FACE[19]), FACE[24]);
});

test("mirroring twice changes nothing, near landmarks and far from them", () => {
  for (const place of [FACE[31], turned([3.1, 9]), turned([-5.2, 1.4])]) {
    close(face.mirrorPlace(FACE, face.mirrorPlace(FACE, place)), place);
  }
});

test("what lies far from landmarks is mirrored at the face's axis", () => {
  close(face.mirrorPlace(FACE, turned([5.2, 1.8])), turned([-5.2, 1.8]), 1e-3);
});

test("in a turned head a place between landmarks mirrors to between their counterparts", () => {
  // The far side, x < 0, is seen half as wide.
  const head = landmarks(([x, y]) => [x < 0 ? x / 2 : x, y]);
  close(face.mirrorPlace(head, [-4.2 / 2, 3.8]), [4.2, 3.8], 0.6);
  close(face.mirrorPlace(head, [4.2, 3.8]), [-4.2 / 2, 3.8], 0.6);
});

test("the way of a point is mirrored, too", () => {
  const pulled = turned([-3.5, 6]);
  const mirrored = face.mirrorPoint(FACE, { at: FACE[48], to: pulled, lock: false });
  close(mirrored.at, FACE[54]);
  close(mirrored.to, turned([3.5, 6]));
});

test("snapping takes the nearest landmark within reach only", () => {
  const near = [FACE[30][0] + 2, FACE[30][1] - 1];
  close(face.snap(FACE, near, 5), FACE[30]);
  assert.equal(face.snap(FACE, near, 1), near);
});

test("a place outside the square is brought to its edge", () => {
  const square = { centre: [100, 50], size: 40, angle: 0.3, drawn: 1 };
  for (const place of [[0, 0], [500, 60], [100, 50], [119, 69]]) {
    const inside = face.intoSquare(square, place);
    assert.ok(face.inSquare(square, inside));
    if (face.inSquare(square, place)) close(inside, place, 0.01);
  }
});

test("corners of a square lie on its edge", () => {
  const square = { centre: [100, 50], size: 40, angle: 0.3, drawn: 1 };
  const corners = face.corners(square);
  for (const [x, y] of corners) close([Math.hypot(x - 100, y - 50)], [20 * Math.SQRT2]);
  close(corners[0], [100 - 20 * Math.cos(0.3) + 20 * Math.sin(0.3), 50 - 20 * Math.sin(0.3) - 20 * Math.cos(0.3)]);
});

test("where the generator draws half of the width, nothing is set beside it", () => {
  const square = { centre: [100, 100], size: 80, angle: 0, drawn: 0.5 };
  assert.deepEqual(face.corners(square), [[80, 60], [120, 60], [120, 140], [80, 140]]);
  assert.ok(face.inSquare(square, [85, 65]));
  assert.ok(!face.inSquare(square, [75, 100]));
  const [x, y] = face.intoSquare(square, [0, 999]);
  assert.ok(Math.abs(x - 80) < 0.1 && Math.abs(y - 140) < 0.1);
});
