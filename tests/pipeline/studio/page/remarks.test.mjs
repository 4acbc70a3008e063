import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY } from "../../../../pipeline/studio/page/state/draft.mjs";
import { machineRemark, photoRemark, readiness, runRemark } from "../../../../pipeline/studio/page/state/remarks.mjs";

const FACE = { face: 1, problem: null };
const SMALL = { face: 2, problem: "face 2 is too small: take a larger photo" };
const INVERSION = { quality: "fast", seed: 0, seconds: 12, poor: false, message: "" };

function state({ faces = [FACE], hello = { problems: ["No graphics card is used."] }, progress = null, ...more } = {}) {
  const desk = {
    photo: { faces }, face: 1, inversion: null, settings: { quality: "balanced", seed: 0 }, edits: [], job: null, ...more,
  };
  return { desk, hello, progress };
}

test("over the photo stands what is in the way of an edit", () => {
  assert.equal(photoRemark(state()), null);
  assert.equal(photoRemark(state({ faces: null })), null);
  assert.match(photoRemark(state({ faces: [], face: null })).title, /No face found/);
  assert.equal(photoRemark(state({ faces: [FACE, FACE], face: null })).title, "Which face?");
  assert.match(photoRemark(state({ faces: [], face: null })).actions[0].command, /tool-square/);
  assert.match(photoRemark({ ...state(), tool: "square" }).text, /Only a face has expressions/);
  assert.equal(photoRemark({ ...state(), tool: "square", sketch: [0, 0, 80] }), null);
  const small = photoRemark(state({ faces: [FACE, SMALL], face: 2 }));
  assert.equal(small.text, "Face 2 is too small: take a larger photo.");
  assert.deepEqual(photoRemark(state({ faces: [SMALL], face: null })).actions.map(({ command }) => command), ["open"]);
});

test("a face is being prepared, ready, poor, or not prepared", () => {
  assert.equal(readiness(state()).text, "Not prepared yet.");
  assert.equal(readiness(state({ inversion: INVERSION })).text, "Ready, prepared in 12 s.");
  assert.match(readiness(state({ job: { kind: "invert" } })).text, /points meanwhile/);
  const poor = readiness(state({ inversion: { ...INVERSION, poor: true, message: "the inversion is poor: hide the hand" } }));
  assert.deepEqual(poor, { text: "The inversion is poor: hide the hand.", kind: "warn" });
  const unchosen = (faces) => readiness(state({ faces, face: null })).text;
  assert.equal(unchosen([FACE, FACE]), "Choose the face to edit.");
  assert.equal(unchosen([]), "None was found.");
  assert.equal(unchosen([SMALL, SMALL]), "");
  assert.match(unchosen(null), /Looking/);
});

test("what a square cannot have is said", () => {
  const square = { face: "10,20,300", problem: null, landmarks: null };
  const told = readiness(state({ faces: [square], face: square.face, inversion: INVERSION }));
  assert.match(told.text, /^Ready\. Only a face has expressions and regions/);
});

test("what was said of the history is shown beside", () => {
  const told = readiness(state({ inversion: INVERSION, remark: "part of it is damaged" }));
  assert.deepEqual(told, { text: "Ready, prepared in 12 s. Part of it is damaged.", kind: "warn" });
});

test("what a run came to is said, and why it failed until something changes", () => {
  const edit = { edit: 1, steps: 8, stopped: "stopped", distance: 12.34, message: "", goes_on: true };
  const shown = (more) => runRemark({ ...state({ inversion: INVERSION, edits: [{ ...edit, ...more }], shown: 1, draft: EMPTY }), left: null });
  assert.equal(shown({}).text, "Stopped after 8 steps, 12 px short of the targets.");
  assert.equal(shown({ message: "Continue to go on.", distance: 0 }).text, "8 steps. Continue to go on.");
  const failed = { ...state({ draft: EMPTY }), failure: "out of memory: close other programs" };
  assert.deepEqual(runRemark(failed), { text: "Out of memory: close other programs.", kind: "warn" });
  assert.match(runRemark({ ...state({ draft: EMPTY }), left: null }).text, /Pull a point/);
});

test("a slow machine is told of with what helps", () => {
  const job = { job: 3, kind: "invert", left: null, done: 0, total: 0 };
  const inverting = (left, quality = "best") =>
    machineRemark(state({ job, settings: { quality }, progress: { job: 3, left, done: 5, total: 50 } }));
  assert.equal(inverting(4), "");
  assert.match(inverting(90), /choose Fast/);
  assert.match(inverting(90, "fast"), /done once/);
  const running = (left) =>
    machineRemark(state({ job: { ...job, kind: "run" }, progress: { job: 3, left, done: 10, total: 110 } }));
  assert.equal(running(5), "");
  assert.match(running(80), /Stop whenever/);
  assert.equal(machineRemark(state()), "No graphics card is used.");
  assert.equal(machineRemark(state({ edits: [{}] })), "");
});
