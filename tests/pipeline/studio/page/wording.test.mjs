import assert from "node:assert/strict";
import { test } from "node:test";
import * as wording from "../../../../pipeline/studio/page/state/wording.mjs";

test("times, lengths and strengths read well", () => {
  assert.equal(wording.timeLeft(null), "");
  assert.equal(wording.timeLeft(0.4), "almost done");
  assert.equal(wording.timeLeft(8.3), "about 8 s left");
  assert.equal(wording.timeLeft(150), "about 3 min left");
  assert.equal(wording.distance(3.14159), "3.1 px");
  assert.equal(wording.distance(41.7), "42 px");
  assert.equal(wording.percent(0.0625), "6.3 %");
  assert.equal(wording.percent(1), "100 %");
  assert.equal(wording.strength(-1.2), "−1.20");
  assert.equal(wording.strength(0.001), "0");
});

test("what is not known by name is shown as it came", () => {
  assert.equal(wording.stageTitle("sharpen"), "Sharpen");
  assert.equal(wording.stageTitle("tune"), "3 of 3 · Learning its details");
  assert.equal(wording.stageTitle("read"), "Reading the photo");
  assert.equal(wording.stopTitle("lunch"), "lunch");
  assert.equal(wording.errorTitle("lunch"), "Something went wrong");
});
