import assert from "node:assert/strict";
import { test } from "node:test";
import * as brush from "../../../../pipeline/studio/page/state/brush.mjs";

test("a grid has the window's pixels, or fewer where that is too many", () => {
  assert.deepEqual(brush.gridSize([100, 50, 700, 650]), [600, 600]);
  assert.deepEqual(brush.gridSize([0, 0, 4096, 2048]), [2048, 1024]);
});

test("a hard dab is a disc, a soft one falls off", () => {
  const hard = brush.blank(64, 64);
  assert.deepEqual(brush.dab(hard, [32, 32], 10, 0, false), [22, 22, 42, 42]);
  const area = hard.levels.filter((level) => level === 255).length;
  assert.ok(Math.abs(area - Math.PI * 100) < 12);
  assert.equal(hard.levels.filter((level) => level > 0 && level < 255).length, 0);
  const soft = brush.blank(64, 64);
  brush.dab(soft, [32, 32], 10, 1, false);
  const row = Array.from(soft.levels.slice(32 * 64 + 32, 32 * 64 + 44));
  assert.ok(row.every((level, k) => k === 0 || level <= row[k - 1]) && row.at(-1) === 0);
});

test("a second dab on the same place changes nothing, an eraser takes it away", () => {
  const mask = brush.blank(32, 32);
  brush.dab(mask, [16, 16], 8, 0.5, false);
  const once = mask.levels.slice();
  brush.dab(mask, [16, 16], 8, 0.5, false);
  assert.deepEqual(mask.levels, once);
  brush.dab(mask, [16, 16], 20, 0, true);
  assert.ok(brush.isBlank(mask));
});

test("a dab beside the grid does nothing, one over its edge is clipped", () => {
  const mask = brush.blank(16, 16);
  assert.equal(brush.dab(mask, [-30, 8], 10, 0, false), null);
  assert.deepEqual(brush.dab(mask, [0, 8], 4, 0, false), [0, 4, 4, 12]);
});

test("dabs of a stroke lie close and end where it ends", () => {
  const dabs = brush.along([0, 0], [30, 40], 10);
  assert.deepEqual(dabs.at(-1), [30, 40]);
  dabs.slice(1).forEach(([x, y], k) => assert.ok(Math.hypot(x - dabs[k][0], y - dabs[k][1]) <= 2.0001));
});

test("inverting twice changes nothing; a union holds both", () => {
  const one = brush.blank(32, 32);
  const other = brush.blank(32, 32);
  brush.dab(one, [8, 8], 6, 0.7, false);
  brush.dab(other, [20, 20], 6, 0, false);
  assert.deepEqual(brush.inverted(brush.inverted(one)), one);
  const both = brush.union(one, other);
  assert.ok(both.levels.every((level, k) => level >= one.levels[k] && level >= other.levels[k]));
});

test("levels survive the way through alpha", () => {
  const mask = brush.blank(16, 8);
  brush.dab(mask, [8, 4], 4, 1, false);
  assert.deepEqual(brush.fromAlpha(16, 8, brush.toAlpha(mask, [1, 2, 3])), mask);
});

test("rectangles around rectangles", () => {
  assert.deepEqual(brush.around([1, 2, 3, 4], [0, 3, 2, 9]), [0, 2, 3, 9]);
  assert.deepEqual(brush.around(null, [0, 3, 2, 9]), [0, 3, 2, 9]);
  assert.equal(brush.around(null, null), null);
});
