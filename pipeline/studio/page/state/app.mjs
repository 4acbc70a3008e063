/**
 * The page's whole state: one plain object, changed only by the functions here.
 *
 * `desk` is the server's State as it came; what the person does is sent and comes back in the next
 * one. Until then `pending` holds the draft that was sent, and `gesture` the one under the pointer.
 * `desk.face` is the number of a face or the name of a square; squares stand among the photo's
 * faces, without landmarks.
 * `left` is the draft as the last run left it, as far as this page saw it end; `failure` says why
 * there is no such end, until something is changed.
 */

import * as drafts from "./draft.mjs";
import { inRect, inSquare } from "./face.mjs";
import { fromName, middle } from "./square.mjs";
import { fit, fitPhoto, keepVisible } from "./view.mjs";

export const TOOLS = ["drag", "paint", "erase", "square", "pan"];

/** The state of a page that has heard nothing yet. */
export function initial() {
  return {
    online: "connecting",
    hello: null,
    desk: null,
    upload: null,
    pending: null,
    gesture: null,
    sketch: null,
    left: null,
    runWhenReady: false,
    progress: null,
    frame: null,
    failure: null,
    exported: null,
    recipe: null,
    toasts: [],
    toastNumber: 0,
    tool: "drag",
    brush: { radius: 24, softness: 0.4 },
    selected: null,
    pointer: null,
    finger: false,
    show: { landmarks: false, loupe: false, area: true },
    compare: null,
    before: false,
    view: null,
    fitted: false,
    canvas: [0, 0],
  };
}

// --- what the server says -----------------------------------------------------------------------

/** The socket opened, closed, or could not be opened. */
export function connection(state, online) {
  if (online === "open") return { ...state, online };
  // What the server was at is over, as far as anybody here can tell.
  const desk = state.desk && { ...state.desk, job: null, queued: [] };
  return { ...state, online, desk, progress: null };
}

/** The first message of the server. */
export function greeted(state, hello) {
  return { ...state, hello };
}

/** The server's State replaces ours. */
export function deskCame(state, desk) {
  const before = state.desk;
  const next = { ...state, desk, pending: settle(state.pending, desk.draft, true) };
  if (!desk.job) next.progress = null;
  if (before?.photo?.photo !== desk.photo?.photo) return arrived(next);
  if (before?.face !== desk.face) return faceChanged(next);
  if (before?.shown !== desk.shown) {
    next.exported = null;
    next.left = desk.draft;
  }
  const points = draftOf(next)?.points ?? [];
  if (!points.some((point) => point.id === next.selected)) next.selected = null;
  return next;
}

function arrived(state) {
  const view = state.desk.photo ? fitPhoto(photoSize(state), state.canvas) : null;
  return { ...faceChanged(state), view, fitted: true, compare: null, toasts: [] };
}

function faceChanged(state) {
  return {
    ...state, selected: null, gesture: null, sketch: null, pending: null, left: null, frame: null, failure: null,
    exported: null, runWhenReady: false,
  };
}

/** A draft was sent; it is shown until the server's State has it. */
export function draftSent(state, draft, number) {
  const pending = { draft, number, answered: false, heard: false };
  return { ...state, gesture: null, failure: null, pending };
}

/** The server answered a sent draft, well or not. */
export function draftAnswered(state, number, taken) {
  const { pending } = state;
  if (!pending || pending.number !== number) return state;
  if (!taken) return { ...state, pending: null };
  return { ...state, pending: settle({ ...pending, answered: true }, state.desk.draft, false) };
}

// State and answer come in either order: the draft has settled once both are here, or once the
// server's own draft says the same.
function settle(pending, draft, isState) {
  if (!pending) return null;
  const heard = pending.heard || isState;
  if (drafts.sameDraft(pending.draft, draft) || (heard && pending.answered)) return null;
  return { ...pending, heard };
}

/** Progress of a job. */
export function progressed(state, progress) {
  return { ...state, progress };
}

/** A frame was decoded and waits to be drawn; `frame` is its header. */
export function frameCame(state, frame) {
  return { ...state, frame };
}

/** The pictures of the finished edit are there: the frames are over. */
export function frameDone(state) {
  return { ...state, frame: null };
}

/** A job ended. */
export function jobEnded(state, end) {
  const next = { ...state, progress: null };
  if (end.kind === "run" || end.kind === "invert") {
    next.failure = end.end === "failed" ? end.message : null;
  }
  if (end.kind === "export" && end.end === "done") {
    next.exported = { url: end.url, name: end.name };
  }
  if (end.kind === "invert" && end.end !== "done") next.runWhenReady = false;
  return next;
}

// --- messages to the person -----------------------------------------------------------------------

/** Say something; the same text is not said twice at once. */
export function toast(state, kind, title, text = "") {
  const others = state.toasts.filter((one) => one.title !== title || one.text !== text);
  const number = state.toastNumber + 1;
  const toasts = [...others, { number, kind, title, text }].slice(-3);
  return { ...state, toasts, toastNumber: number };
}

/** Take a message away. */
export function dismiss(state, number) {
  return { ...state, toasts: state.toasts.filter((one) => one.number !== number) };
}

/** A recipe of several edits, {name, edits}, of which one is to be chosen; null ends that. */
export function recipeCame(state, recipe) {
  return { ...state, recipe };
}

/** A photo is on its way to the server; null when it arrived or failed. */
export function uploading(state, upload) {
  return { ...state, upload };
}

// --- what the person sees -------------------------------------------------------------------------

/** The canvas has another size; the photo stays where it was, or fitted where nobody moved it. */
export function resized(state, canvas) {
  const next = { ...state, canvas };
  if (!state.desk?.photo) return next;
  if (!state.view || state.fitted) {
    return { ...next, view: fitPhoto(photoSize(next), canvas), fitted: true };
  }
  const shift = canvas.map((side, axis) => (side - state.canvas[axis]) / 2);
  const view = { ...state.view, x: state.view.x + shift[0], y: state.view.y + shift[1] };
  return looked(next, view);
}

/** Look at another part of the photo. */
export function looked(state, view) {
  return { ...state, view: keepVisible(view, photoSize(state), state.canvas), fitted: false };
}

/** The view of the chosen face, or of the whole photo where it has none that could be edited. */
export function faceView(state) {
  const face = chosenFace(state);
  return face?.window ? fit(face.window, state.canvas) : fitPhoto(photoSize(state), state.canvas);
}

/** Take another tool; that ends a comparison, in which nothing can be set. */
export function tool(state, name) {
  return { ...state, tool: name, gesture: null, sketch: null, compare: name === "pan" ? state.compare : null };
}

/** Change the brush; radius in canvas pixels, softness 0 .. 1. */
export function brush(state, { radius = state.brush.radius, softness = state.brush.softness }) {
  return {
    ...state,
    brush: {
      radius: Math.min(Math.max(radius, 2), 200),
      softness: Math.min(Math.max(softness, 0), 1),
    },
  };
}

/** Show or hide landmarks, loupe or area. */
export function toggleShown(state, what) {
  return { ...state, show: { ...state.show, [what]: !state.show[what] } };
}

/** Place of the before/after divider as a share of the canvas, or null for none. */
export function compare(state, share) {
  return { ...state, compare: share === null ? null : Math.min(Math.max(share, 0), 1) };
}

/** Whether the untouched photo is shown while a key is held. */
export function before(state, held) {
  return { ...state, before: held };
}

/** Choose a point, or none. */
export function select(state, id) {
  return { ...state, selected: id };
}

/** Where the pointer is on the canvas, or null; and whether it is a finger, which hides the place. */
export function pointed(state, place, finger = false) {
  return { ...state, pointer: place, finger };
}

/** The draft as it is while the pointer is down; null ends that. */
export function gestured(state, draft) {
  return { ...state, gesture: draft };
}

/** The square as it is while it is drawn, [x, y, side]; null ends that. */
export function sketched(state, sketch) {
  return { ...state, sketch };
}

/** Run as soon as the face is ready. */
export function waitToRun(state, wait) {
  return { ...state, runWhenReady: wait };
}

// --- questions about the state --------------------------------------------------------------------

/** Size of the photo, [width, height]. */
export function photoSize({ desk }) {
  return [desk.photo.width, desk.photo.height];
}

/** The server's address of what is chosen. */
export function partPath({ desk }) {
  return `photos/${desk.photo.photo}/faces/${desk.face}`;
}

/** The draft that the person sees. */
export function draftOf(state) {
  return state.gesture ?? state.pending?.draft ?? state.desk?.draft ?? drafts.EMPTY;
}

/** The chosen face, or null. */
export function chosenFace({ desk }) {
  if (!desk?.photo?.faces || desk.face === null) return null;
  return desk.photo.faces.find((face) => face.face === desk.face) ?? null;
}

/** Whether a square is chosen, in which there are no expressions and no regions. */
export function squareChosen(state) {
  return chosenFace(state)?.landmarks === null;
}

/** The square that is drawn, else the chosen one, else one to begin with. */
export function squareOf(state) {
  const { sketch, desk, hello } = state;
  return sketch ?? fromName(desk.face) ?? middle(photoSize(state), hello.generator.drawn);
}

/** The edit that is shown, or null for the untouched photo. */
export function shownEdit({ desk }) {
  return desk?.edits?.find((edit) => edit.edit === desk.shown) ?? null;
}

/** Landmarks of the chosen face as it is shown. */
export function landmarksOf(state) {
  return shownEdit(state)?.landmarks ?? chosenFace(state)?.landmarks ?? null;
}

/** The face at a place of the photo, by its box; null for none. */
export function faceAt({ desk }, place) {
  return desk?.photo?.faces?.find((face) => inRect(face.box, place)) ?? null;
}

/** Whether points may be set at a place of the photo. */
export function editable(state, place) {
  const face = chosenFace(state);
  return face !== null && !face.problem && inSquare(face.square, place);
}

/** What the server works at, "faces", "invert", "run", "export", or null. */
export function working({ desk }) {
  return desk?.job?.kind ?? null;
}

/** The job at hand with its newest progress, or null. */
export function jobOf({ desk, progress }) {
  const job = desk?.job ?? null;
  return job && progress?.job === job.job ? { ...job, ...progress } : job;
}

/** Whether the main button runs the draft, goes on with the edit, or has nothing to do. */
export function nextRun(state) {
  const { desk } = state;
  const face = chosenFace(state);
  if (!face || face.problem || working(state) === "run") return "none";
  const draft = draftOf(state);
  const goesOn = Boolean(desk.inversion && shownEdit(state)?.goes_on);
  if (drafts.isEmpty(draft)) return goesOn ? "continue" : "none";
  return goesOn && state.left && drafts.sameDraft(draft, state.left) ? "continue" : "run";
}

/** Whether anything of the photo is changed as it is shown, by an edit of whichever face. */
export function edited({ desk }) {
  return desk?.layers?.some(({ rect }) => rect) ?? false;
}

/** Whether the face was prepared with other settings than those chosen now. */
export function outdated({ desk }) {
  const { inversion, settings } = desk;
  return inversion !== null &&
    (inversion.quality !== settings.quality || inversion.seed !== settings.seed);
}
