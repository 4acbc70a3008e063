import assert from "node:assert/strict";
import { test } from "node:test";
import { between, fromName, middle, nameOf, rectOf } from "../../../../pipeline/studio/page/state/square.mjs";

const PHOTO = [400, 300];

test("a square grows with the longer of both ways, to any side", () => {
  assert.deepEqual(between([100, 100], [180, 150], PHOTO), [100, 100, 80]);
  assert.deepEqual(between([100, 100], [40.4, 90], PHOTO), [41, 41, 59]);
  assert.deepEqual(between([100, 100], [60, 150], PHOTO), [50, 100, 50]);
});

test("it never leaves the photo, and its numbers are whole", () => {
  for (const to of [[900, 900], [-50, -70], [900, -5], [-9, 310], [123.4, 56.7]]) {
    for (const from of [[0, 0], [399.6, 299.7], [200.2, 100.9], [-20, 500]]) {
      const square = between(from, to, PHOTO);
      const [x0, y0, x1, y1] = rectOf(square);
      assert.ok(x0 >= 0 && y0 >= 0 && x1 <= 400 && y1 <= 300, String(square));
      assert.ok(square.every(Number.isInteger));
    }
  }
});

test("where the generator draws half of the width, the corner is that of the drawn half", () => {
  const square = between([100, 50], [150, 90], PHOTO, 0.5);
  assert.deepEqual(square, [100, 50, 100]);
  assert.deepEqual(rectOf(square, 0.5), [100, 50, 150, 150]);
  assert.deepEqual(rectOf(between([100, 50], [0, 60], PHOTO, 0.5), 0.5), [0, 50, 100, 250]);
});

test("a square to begin with lies in the middle", () => {
  assert.deepEqual(middle(PHOTO), [125, 75, 150]);
  assert.deepEqual(rectOf(middle(PHOTO, 0.5), 0.5), [163, 75, 238, 225]);
});

test("a square has a name, a face none", () => {
  assert.deepEqual(fromName(nameOf([1, 2, 300])), [1, 2, 300]);
  assert.equal(fromName(2), null);
  assert.equal(fromName(null), null);
});
