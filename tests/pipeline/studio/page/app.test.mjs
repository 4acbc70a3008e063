import assert from "node:assert/strict";
import { test } from "node:test";
import * as app from "../../../../pipeline/studio/page/state/app.mjs";
import * as drafts from "../../../../pipeline/studio/page/state/draft.mjs";
import { parseFrame, placesOf } from "../../../../pipeline/studio/page/state/frame.mjs";

const FACE = {
  face: 1, box: [400, 300, 600, 560], window: [300, 200, 700, 640], problem: null,
  square: { centre: [500, 420], size: 400, angle: 0, drawn: 1 },
  landmarks: Array.from({ length: 68 }, (_, k) => [400 + k, 300 + k]),
};
const INVERSION = { id: "a", quality: "fast", seed: 0 };
function desk(more = {}) {
  return {
    photos: [], photo: { photo: "ab", name: "x.jpg", width: 2000, height: 1000, faces: [FACE] }, face: 1,
    settings: { quality: "fast", seed: 0, engine: {} }, inversion: INVERSION, draft: drafts.EMPTY,
    undo: false, redo: false, edits: [], shown: 0, job: null, queued: [], ...more,
  };
}
const start = () => app.deskCame(app.resized(app.initial(), [1000, 700]), desk());
const pulled = drafts.addPoint(drafts.EMPTY, [450, 400], [440, 390]);

test("a new photo is fitted into the canvas", () => {
  const { view } = start();
  assert.ok(view.scale > 0.4 && view.scale < 0.5);
});

test("a face that cannot be edited is chosen, and the whole photo looked at", () => {
  const small = { ...FACE, window: null, square: null, problem: "too small" };
  const photo = { ...desk().photo, faces: [small] };
  const state = app.deskCame(start(), desk({ photo, inversion: null }));
  assert.deepEqual(app.faceView(state), start().view);
  assert.ok(!app.editable(state, [500, 420]));
  assert.equal(app.nextRun(state), "none");
});

test("a sent draft is shown until the server has it", () => {
  let state = app.draftSent(app.gestured(start(), pulled), pulled, 5);
  assert.equal(state.gesture, null);
  assert.equal(app.draftOf(state), pulled);
  state = app.deskCame(state, desk({ progress: 1 }));
  assert.equal(app.draftOf(state), pulled, "a State about something else does not bring the old one back");
  state = app.deskCame(state, desk({ draft: pulled }));
  assert.equal(state.pending, null);
});

test("answer and State may come in either order, and the server may round", () => {
  const rounded = drafts.addPoint(drafts.EMPTY, [450.001, 400], [440, 390]);
  const sent = app.draftSent(start(), pulled, 5);
  const one = app.deskCame(app.draftAnswered(sent, 5, true), desk({ draft: rounded }));
  const other = app.draftAnswered(app.deskCame(sent, desk({ draft: rounded })), 5, true);
  for (const state of [one, other]) assert.equal(app.draftOf(state), rounded);
});

test("a refused draft goes; an answer to an older one changes nothing", () => {
  const sent = app.draftSent(start(), pulled, 5);
  assert.equal(app.draftOf(app.draftAnswered(sent, 5, false)), drafts.EMPTY);
  assert.equal(app.draftOf(app.draftAnswered(sent, 4, false)), pulled);
});

test("what the main button does", () => {
  const edit = { edit: 1, parent: 0, goes_on: true, landmarks: FACE.landmarks };
  assert.equal(app.nextRun(start()), "none");
  assert.equal(app.nextRun(app.gestured(start(), pulled)), "run");
  const shown = app.deskCame(start(), desk({ edits: [edit], shown: 1 }));
  assert.equal(app.nextRun(shown), "continue");
  const onTheWay = app.deskCame(start(), desk({ edits: [edit], shown: 1, draft: pulled }));
  assert.equal(app.nextRun(onTheWay), "continue", "the points are as the run left them");
  const changed = drafts.addPoint(pulled, [400, 400], [410, 410]);
  assert.equal(app.nextRun(app.gestured(onTheWay, changed)), "run");
  const reloaded = app.deskCame(app.initial(), desk({ edits: [edit], shown: 1, draft: pulled }));
  assert.equal(app.nextRun(reloaded), "run", "who knows what was changed before the reload");
  const running = app.deskCame(shown, desk({ edits: [edit], shown: 1, job: { kind: "run" } }));
  assert.equal(app.nextRun(running), "none");
});

test("points may be set in the square of a face that can be edited", () => {
  assert.ok(app.editable(start(), [310, 230]));
  assert.ok(!app.editable(start(), [250, 230]));
  const small = desk();
  small.photo = { ...small.photo, faces: [{ ...FACE, problem: "too small" }] };
  assert.ok(!app.editable(app.deskCame(start(), small), [500, 420]));
});

test("a square is chosen by its name, and drawn from the chosen one on", () => {
  const square = { ...FACE, face: "300,220,400", landmarks: null };
  const photo = { ...desk().photo, faces: [FACE, square] };
  const hello = { generator: { drawn: 1 } };
  const state = { ...app.deskCame(start(), desk({ photo, face: square.face })), hello };
  assert.ok(app.squareChosen(state));
  assert.ok(!app.squareChosen(start()));
  assert.equal(app.landmarksOf(state), null);
  assert.deepEqual(app.squareOf(state), [300, 220, 400]);
  const drawn = app.sketched(state, [1, 2, 99]);
  assert.deepEqual(app.squareOf(drawn), [1, 2, 99]);
  assert.deepEqual(app.squareOf({ ...start(), hello }), [750, 250, 500]);
  assert.equal(app.tool(drawn, "pan").sketch, null);
});

test("another face forgets what belonged to the old one", () => {
  const other = desk({ face: null });
  const state = app.deskCame(app.select(app.gestured(start(), pulled), "p1"), other);
  assert.deepEqual([state.gesture, state.selected, state.pending], [null, null, null]);
});

test("a chosen point that is gone is not chosen any more", () => {
  const state = app.deskCame(app.select(start(), "p1"), desk({ draft: pulled }));
  assert.equal(state.selected, "p1");
  assert.equal(app.deskCame(state, desk()).selected, null);
});

test("at most three messages, none twice", () => {
  let state = start();
  for (const title of ["a", "b", "c", "c", "d"]) state = app.toast(state, "error", title);
  assert.deepEqual(state.toasts.map((one) => one.title), ["b", "c", "d"]);
  assert.deepEqual(app.dismiss(state, state.toasts[0].number).toasts.map((one) => one.title), ["c", "d"]);
});

test("an edit of another face counts as well", () => {
  assert.ok(!app.edited(start()));
  const layers = [{ face: 2, edit: 1, inversion: "a", rect: [0, 0, 9, 9] }];
  assert.ok(app.edited(app.deskCame(start(), desk({ layers }))));
  assert.ok(!app.edited(app.deskCame(start(), desk({ layers: [{ ...layers[0], rect: null }] }))));
});

test("the settings show when a face was prepared otherwise", () => {
  assert.ok(!app.outdated(start()));
  const best = desk({ settings: { quality: "best", seed: 0, engine: {} } });
  assert.ok(app.outdated(app.deskCame(start(), best)));
});

test("a window of another size keeps the middle in the middle", () => {
  const state = app.looked(start(), { scale: 1, x: -300, y: -100 });
  const wider = app.resized(state, [1200, 700]);
  assert.equal(wider.view.x - state.view.x, 100);
});

test("a photo that nobody moved stays fitted", () => {
  const wider = app.resized(start(), [1600, 1200]);
  assert.ok(wider.view.scale > start().view.scale);
});

test("why a run failed is kept until something is changed", () => {
  const failed = app.jobEnded(start(), { kind: "run", end: "failed", message: "out of memory" });
  assert.equal(failed.failure, "out of memory");
  assert.equal(app.jobEnded(failed, { kind: "export", end: "done" }).failure, "out of memory");
  assert.equal(app.draftSent(failed, pulled, 5).failure, null);
  assert.equal(app.jobEnded(failed, { kind: "run", end: "stopped" }).failure, null);
});

test("the loss of the server ends the progress, not the photo", () => {
  const running = app.deskCame(start(), desk({ job: { kind: "run" } }));
  const state = app.connection(app.progressed(running, { done: 1 }), "lost");
  assert.equal(state.progress, null);
  assert.equal(app.working(state), null);
  assert.ok(state.desk.photo);
});

test("a frame is taken apart; rubbish is none", () => {
  const header = { seq: 4, ids: ["p1", null], points: [[1, 2], [3, 4]] };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(4 + text.length + 3);
  new DataView(bytes.buffer).setUint32(0, text.length);
  bytes.set(text, 4);
  bytes.set([7, 8, 9], 4 + text.length);
  const frame = parseFrame(bytes.buffer);
  assert.deepEqual(frame.header, header);
  assert.deepEqual([...frame.picture], [7, 8, 9]);
  assert.deepEqual([...placesOf(header)], [["p1", [1, 2]]]);
  assert.equal(parseFrame(new ArrayBuffer(2)), null);
  assert.equal(parseFrame(new Uint8Array([0, 0, 0, 9, 1]).buffer), null);
  assert.equal(parseFrame(new Uint8Array([0, 0, 0, 1, 123]).buffer), null);
});
