import assert from "node:assert/strict";
import { test } from "node:test";
import * as view from "../../../../pipeline/studio/page/state/view.mjs";

const PHOTO = [4000, 3000];
const CANVAS = [1000, 800];
const close = (one, other, by = 1e-9) =>
  one.forEach((value, k) => assert.ok(Math.abs(value - other[k]) < by, `${one} is not ${other}`));

test("a place goes to the canvas and back", () => {
  const at = { scale: 0.37, x: -120.5, y: 44 };
  close(view.toPhoto(at, view.toCanvas(at, [812.25, 91])), [812.25, 91]);
});

test("the whole photo fits, centred", () => {
  const whole = view.fitPhoto(PHOTO, CANVAS);
  const [left, top] = view.toCanvas(whole, [0, 0]);
  const [right, bottom] = view.toCanvas(whole, PHOTO);
  assert.ok(left >= 23.9 && top >= 23.9 && right <= 976.1 && bottom <= 776.1);
  close([left + right, top + bottom], CANVAS);
});

test("a tiny photo is not blown up beyond 200 %", () => {
  assert.equal(view.fitPhoto([100, 80], CANVAS).scale, 2);
});

test("zooming keeps the place under the pointer", () => {
  const start = view.fitPhoto(PHOTO, CANVAS);
  const under = view.toPhoto(start, [300, 200]);
  for (const factor of [0.5, 1.1, 3, 1000]) {
    close(view.toPhoto(view.zoomBy(start, [300, 200], factor, PHOTO, CANVAS), [300, 200]), under, 1e-6);
  }
});

test("zoom stays in its range", () => {
  const start = view.fitPhoto(PHOTO, CANVAS);
  const [least, most] = view.scaleRange(PHOTO, CANVAS);
  assert.equal(view.zoomBy(start, [0, 0], 1e9, PHOTO, CANVAS).scale, most);
  assert.equal(view.zoomBy(start, [0, 0], 1e-9, PHOTO, CANVAS).scale, least);
});

test("wheel up and down undo each other, whatever the unit", () => {
  for (const deltaMode of [0, 1, 2]) {
    const away = view.wheelFactor({ deltaY: 3, deltaMode, ctrlKey: false });
    const back = view.wheelFactor({ deltaY: -3, deltaMode, ctrlKey: false });
    assert.ok(away < 1);
    close([away * back], [1]);
  }
});

test("two fingers: what was under them stays under them", () => {
  const start = view.fitPhoto(PHOTO, CANVAS);
  const before = [[400, 400], [600, 400]];
  const after = [[350, 450], [750, 450]];
  const moved = view.pinch(start, before, after, PHOTO, CANVAS);
  close([moved.scale], [start.scale * 2]);
  before.forEach((finger, k) => close(view.toCanvas(moved, view.toPhoto(start, finger)), after[k], 1e-6));
});

test("the photo cannot be lost", () => {
  const lost = view.panBy(view.fitPhoto(PHOTO, CANVAS), [1e6, -1e6]);
  const kept = view.keepVisible(lost, PHOTO, CANVAS);
  assert.ok(view.visible(kept, PHOTO, CANVAS) !== null);
  assert.equal(view.visible(lost, PHOTO, CANVAS), null);
});

test("the visible part is clipped to the photo", () => {
  assert.deepEqual(view.visible({ scale: 1, x: -10.5, y: 20 }, PHOTO, CANVAS), [10, 0, 1011, 780]);
});

test("views whose scales differ by rounding alone have a way between them", () => {
  const from = { scale: 1.94, x: -1500, y: -300 };
  for (const scale of [1.94 * (1 + 2 ** -52), 1.94 * (1 - 2 ** -52)]) {
    const there = view.between(from, { ...from, scale }, 1, CANVAS);
    assert.ok(Math.abs(there.x - from.x) < 1e-6 && Math.abs(there.y - from.y) < 1e-6);
  }
});

test("a way between two views begins and ends there", () => {
  const [from, to] = [view.fitPhoto(PHOTO, CANVAS), view.fit([100, 100, 500, 400], CANVAS)];
  for (const [share, end] of [[0, from], [1, to]]) {
    const there = view.between(from, to, share, CANVAS);
    close([there.scale, there.x, there.y], [end.scale, end.x, end.y], 1e-6);
  }
});
