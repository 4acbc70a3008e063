import assert from "node:assert/strict";
import { test } from "node:test";
import * as drafts from "../../../../pipeline/studio/page/state/draft.mjs";

const one = drafts.addPoint(drafts.EMPTY, [10, 20], [14, 23]);

test("points get names of their own, also after one is deleted", () => {
  const two = drafts.addPoint(one, [30, 40]);
  assert.deepEqual(two.points.map((point) => point.id), ["p1", "p2"]);
  const again = drafts.addPoint(drafts.deletePoint(two, "p1"), [1, 1]);
  assert.deepEqual(again.points.map((point) => point.id), ["p2", "p3"]);
});

test("no function changes the draft it was given", () => {
  const frozen = structuredClone(one);
  drafts.setTarget(one, "p1", [0, 0]);
  drafts.setHandle(one, "p1", [0, 0]);
  drafts.toggleLock(one, "p1");
  drafts.setPreset(one, "smile", 1);
  drafts.clearPoints(one);
  assert.deepEqual(one, frozen);
});

test("moving a handle takes its target along", () => {
  assert.deepEqual(drafts.setHandle(one, "p1", [12, 18]).points[0].to, [16, 21]);
  const least = ([x, y]) => [Math.min(x, 15), y];
  assert.deepEqual(drafts.setHandle(one, "p1", [12, 18], least).points[0].to, [15, 21]);
});

test("pulling a locked point releases it", () => {
  const locked = drafts.toggleLock(one, "p1");
  assert.equal(locked.points[0].lock, true);
  assert.equal(drafts.setTarget(locked, "p1", [1, 2]).points[0].lock, false);
});

test("a draft is empty until something would move", () => {
  assert.ok(drafts.isEmpty(drafts.EMPTY));
  assert.ok(drafts.isEmpty(drafts.addPoint(drafts.EMPTY, [1, 1])));
  assert.ok(drafts.isEmpty(drafts.toggleLock(one, "p1")));
  assert.ok(!drafts.isEmpty(one));
  assert.ok(!drafts.isEmpty(drafts.setPreset(drafts.EMPTY, "smile", 0.5)));
  assert.ok(drafts.isEmpty(drafts.setRegion(drafts.EMPTY, "mouth")));
});

test("a preset at 0 is gone", () => {
  assert.deepEqual(drafts.setPreset(drafts.setPreset(one, "smile", 1), "smile", 0).presets, {});
});

test("mask and region exclude each other", () => {
  const masked = drafts.setMask(drafts.setRegion(one, "mouth"), "0123456789abcdef");
  assert.deepEqual([masked.region, masked.mask], [null, "0123456789abcdef"]);
  const named = drafts.setRegion(masked, "eyes");
  assert.deepEqual([named.region, named.mask], ["eyes", null]);
});

test("the same draft is the same in whatever order its keys come", () => {
  const ab = drafts.setPreset(drafts.setPreset(one, "a", 1), "b", 2);
  const ba = drafts.setPreset(drafts.setPreset(one, "b", 2), "a", 1);
  assert.ok(drafts.sameDraft(ab, ba));
  assert.ok(drafts.sameDraft(ab, { ...ab, presets: { ...ab.presets, c: 0 } }));
  assert.ok(!drafts.sameDraft(ab, one));
});

test("a mirror image is added once; again it only follows", () => {
  const image = { at: [90, 20], to: [86, 23], lock: false };
  const mirrored = drafts.addMirrored(one, one.points[0], image, 3);
  assert.deepEqual(mirrored.points[1], { id: "p2", ...image });
  const again = drafts.addMirrored(mirrored, mirrored.points[0], { ...image, at: [91, 20], to: [80, 30] }, 3);
  assert.equal(again.points.length, 2);
  assert.deepEqual(again.points[1].to, [79, 30]);
});

test("a point on the mirror's axis has no image but itself", () => {
  assert.equal(drafts.addMirrored(one, one.points[0], { at: [11, 20], to: [7, 23], lock: false }, 3), one);
});

test("places are kept to a hundredth of a pixel", () => {
  const one = drafts.addPoint(drafts.EMPTY, [436.21001, 318.78999], [414.9579, 296.1211]);
  const [point] = drafts.rounded(one).points;
  assert.deepEqual([point.at, point.to], [[436.21, 318.79], [414.96, 296.12]]);
  assert.equal(point.id, one.points[0].id);
});
