/**
 * What the person is told without having asked: about faces, preparation, and a slow machine.
 */

import * as app from "./app.mjs";
import { distance, duration, stopTitle } from "./wording.mjs";

const SLOW_LEFT = 20;
const SLOW_STEP = 0.5;

const OTHER_PHOTO = { label: "Open another photo", command: "open" };
const DRAW_SQUARE = { label: "Draw a square", command: "tool-square" };
const ONLY_FACES = "Only a face has expressions and regions: pull points here, and paint what may change.";

/** Over the photo, where there is something to decide or to know: {sign, title, text, actions}. */
export function photoRemark(state) {
  const photo = state.desk?.photo;
  if (!photo || !photo.faces) return null;
  if (state.tool === "square") {
    return state.sketch ? null : { sign: "square", title: "Pull open a square on the photo", text: ONLY_FACES, actions: [] };
  }
  if (photo.faces.length === 0 && state.hello.generator?.domain === "whole") {
    return { sign: "square", title: "What shall be edited?", text: ONLY_FACES, actions: [DRAW_SQUARE] };
  }
  if (photo.faces.length === 0) {
    const text = "Faces from the front work best, at least 64 pixels wide with their surroundings; profiles, lying and covered faces are often missed. Crop the photo closer, turn it upright, or draw a square and pull points in it.";
    return { sign: "warn", title: "No face found", text, actions: [DRAW_SQUARE, OTHER_PHOTO] };
  }
  if (photo.faces.every(({ problem }) => problem)) {
    const text = sentence(photo.faces[0].problem);
    return { sign: "warn", title: "No face here can be edited", text, actions: [OTHER_PHOTO] };
  }
  if (state.desk.face === null && photo.faces.length > 1) {
    return { sign: "face", title: "Which face?", text: "Click one of the boxes.", actions: [] };
  }
  const problem = app.chosenFace(state)?.problem;
  if (!problem) return null;
  return { sign: "warn", title: "This face cannot be edited", text: sentence(problem), actions: [] };
}

/** How ready the chosen face is: {text, kind}, kind "warn" or "". */
export function readiness(state) {
  const { text, kind } = howReady(state);
  const { remark } = state.desk;
  return remark ? { text: `${text} ${sentence(remark)}`.trim(), kind: "warn" } : { text, kind };
}

function howReady(state) {
  const { desk } = state;
  const face = app.chosenFace(state);
  if (!face) return { text: choice(desk.photo.faces), kind: "" };
  if (face.problem) return { text: sentence(face.problem), kind: "warn" };
  if (app.working(state) === "invert") {
    return { text: "Being prepared; you can set points meanwhile.", kind: "" };
  }
  const { inversion } = desk;
  if (!inversion) return { text: "Not prepared yet.", kind: "" };
  if (inversion.poor) return { text: sentence(inversion.message), kind: "warn" };
  if (app.squareChosen(state)) return { text: `Ready. ${ONLY_FACES}`, kind: "" };
  const took = inversion.seconds ? `, prepared in ${duration(inversion.seconds)}` : "";
  return { text: `Ready${took}.`, kind: "" };
}

function choice(faces) {
  if (!faces) return "Looking for faces …";
  if (faces.length === 0) return "None was found.";
  return faces.every(({ problem }) => problem) ? "" : "Choose the face to edit.";
}

/** What the last run came to, or what to do for one; {text, kind}, kind "warn" or "". */
export function runRemark(state) {
  if (state.failure) return { text: sentence(state.failure), kind: "warn" };
  const edit = app.shownEdit(state);
  if (!edit) {
    const waits = app.chosenFace(state) && app.nextRun(state) === "none";
    return { text: waits ? "Pull a point or move a slider, then run." : "", kind: "" };
  }
  const rest = edit.distance > 0 ? `, ${distance(edit.distance)} short of the targets` : "";
  const end = edit.message ? `${edit.steps} steps` : `${stopTitle(edit.stopped)} after ${edit.steps} steps`;
  return { text: `${end}${rest}. ${edit.message}`.trim(), kind: "" };
}

/** How slow this machine is at what it does, and what helps; "" where there is nothing to say. */
export function machineRemark(state) {
  const job = app.jobOf(state);
  if (job?.kind === "invert" && job.left > SLOW_LEFT) {
    return state.desk.settings.quality === "fast"
      ? "Preparing takes long on this machine; it is done once, and points can be set meanwhile."
      : "Preparing takes long on this machine: wait, or cancel it and choose Fast under “Quality and engine”.";
  }
  if (job?.kind === "run" && job.left > SLOW_STEP * (job.total - job.done)) {
    return "Steps take long on this machine. Stop whenever it is enough: what was reached is kept.";
  }
  // What to expect is said until the first edit has shown it.
  return job || state.desk.edits.length > 0 ? "" : state.hello.problems.join(" ");
}

/** A line of the server as a sentence. */
function sentence(line) {
  const whole = line[0].toUpperCase() + line.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
