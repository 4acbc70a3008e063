import assert from "node:assert/strict";
import { test } from "node:test";
import { SHORTCUTS, arrow, commandOf, written } from "../../../../pipeline/studio/page/state/keys.mjs";

test("no key means two things", () => {
  const keys = SHORTCUTS.flatMap(([, , shown]) => shown);
  assert.equal(new Set(keys).size, keys.length);
});

test("keys are found as keyboards send them", () => {
  const found = (key, more = {}) => commandOf({ key, ...more });
  assert.equal(found("b"), "tool-paint");
  assert.equal(found("z", { ctrlKey: true }), "undo");
  assert.equal(found("Z", { metaKey: true, shiftKey: true }), "redo");
  assert.equal(found("y", { ctrlKey: true }), "redo");
  assert.equal(found("?", { shiftKey: true }), "help");
  assert.equal(found("+", { shiftKey: true }), "zoom-in");
  assert.equal(found("="), "zoom-in");
  assert.equal(found("{", { shiftKey: true }), "brush-harder");
  assert.equal(found("ArrowLeft", { shiftKey: true }), "nudge-far");
  assert.equal(found(" "), "hold-pan");
});

test("what the browser needs is left to it", () => {
  assert.equal(commandOf({ key: "r", ctrlKey: true }), null);
  assert.equal(commandOf({ key: "b", altKey: true }), null);
  assert.equal(commandOf({ key: "Tab" }), null);
});

test("arrows have ways", () => {
  assert.deepEqual(arrow("ArrowUp"), [0, -1]);
  assert.equal(arrow("a"), null);
  assert.equal(written({ key: "ArrowUp" }), "Arrows");
});
