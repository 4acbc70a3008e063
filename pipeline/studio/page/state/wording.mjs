/**
 * Words for numbers, stages and errors, as the person reads them.
 */

const STAGES = {
  read: "Reading the photo",
  faces: "Looking for faces",
  invert: "Preparing the face",
  encode: "A first guess",
  project: "Finding the face",
  tune: "Learning its details",
  drag: "Moving the points",
  run: "Moving the points",
  compose: "Composing the photo",
  frames: "Drawing the frames",
  export: "Saving",
  save: "Saving",
  expression: "Reading the expression",
  recipe: "Reading the recipe",
  forget: "Forgetting the photo",
};

// What preparing a face goes through, in this order.
const PREPARING = ["encode", "project", "tune"];

const STOPS = {
  reached: "Arrived",
  stalled: "Done",
  "step cap": "Out of steps",
  stopped: "Stopped",
  interrupted: "Interrupted",
  "nothing to do": "Nothing to do",
};

const TITLES = {
  "not-a-photo": "This is not a photo",
  "broken-photo": "The photo cannot be read",
  "too-large": "The photo is too large",
  "no-face": "No face found",
  "face-too-small": "The face is too small",
  request: "This cannot be done",
  "no-inversion": "The face is not ready yet",
  busy: "One moment",
  unknown: "No longer there",
  disk: "The disk refuses",
  memory: "Out of memory",
  internal: "Something went wrong",
  "bad-request": "Something went wrong",
  offline: "The studio does not answer",
};

/** A stage's name; the stages of preparing a face are numbered. */
export function stageTitle(stage) {
  const number = PREPARING.indexOf(stage) + 1;
  const title = STAGES[stage] ?? (stage ? stage[0].toUpperCase() + stage.slice(1) : "Working");
  return number ? `${number} of ${PREPARING.length} · ${title}` : title;
}

/** Why a run ended. */
export function stopTitle(stopped) {
  return STOPS[stopped] ?? stopped;
}

/** Headline of an error. */
export function errorTitle(code) {
  return TITLES[code] ?? "Something went wrong";
}

/** "about 8 s left", "about 2 min left"; nothing when unknown. */
export function timeLeft(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds < 1.5) return "almost done";
  return `about ${duration(seconds)} left`;
}

/** "8 s", "2 min". */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** "12.4 px", "3 px". */
export function distance(pixels) {
  return `${pixels < 10 ? pixels.toFixed(1) : Math.round(pixels)} px`;
}

/** "67 %". */
export function percent(scale) {
  const value = scale * 100;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** "+0.80", "0.00", "−1.20". */
export function strength(value) {
  const text = Math.abs(value).toFixed(2);
  if (Number(text) === 0) return "0";
  return value > 0 ? `+${text}` : `−${text}`;
}
