/**
 * What the page draws over the photo: faces, area, landmarks, points, brush, divider.
 *
 * Its colours are the same in light and dark: they stand on the photo. Everything has a dark rim,
 * so that it is seen on any skin and any wall.
 */

import * as app from "../state/app.mjs";
import { moves } from "../state/draft.mjs";
import { corners } from "../state/face.mjs";
import { placesOf } from "../state/frame.mjs";
import { rectOf } from "../state/square.mjs";
import { toCanvas } from "../state/view.mjs";

const HANDLE = "#ff5a4f";
const TARGET = "#5b8cff";
const LOCKED = "#f4c542";
const RIM = "rgb(0 0 0 / .55)";
const LIGHT = "#fff";
const SMALL_BOX = 56;
const FONT = "600 12px system-ui, sans-serif";

/** Draw everything; the context is in CSS pixels of the canvas. */
export function drawOverlay(context, state, area) {
  context.lineJoin = context.lineCap = "round";
  // Beside the photo as it was, all this would be in the way.
  if (!state.before && state.compare === null) {
    drawFaces(context, state);
    drawSketch(context, state);
    drawArea(context, state, area);
    if (state.show.landmarks) drawLandmarks(context, state);
    drawPoints(context, state);
    drawBrush(context, state);
  }
  drawDivider(context, state);
}

function stroke(context, colour, width = 1.5) {
  context.strokeStyle = RIM;
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function drawFaces(context, state) {
  const { photo, face: chosen } = state.desk;
  for (const face of photo.faces ?? []) {
    if (face.face === chosen && !face.problem) drawSquare(context, state, face);
    else drawBox(context, state, face, chosen === null);
  }
}

function drawBox(context, state, face, strong) {
  const [x0, y0] = toCanvas(state.view, face.box.slice(0, 2));
  const [x1, y1] = toCanvas(state.view, face.box.slice(2));
  context.save();
  context.globalAlpha = strong ? 1 : 0.55;
  context.beginPath();
  context.roundRect(x0, y0, x1 - x0, y1 - y0, Math.min(8, (x1 - x0) / 6));
  if (face.problem) context.setLineDash([4, 5]);
  stroke(context, LIGHT, strong ? 2 : 1.2);
  context.setLineDash([]);
  drawBadge(context, badgeOf(state, face), badgeText(face));
  context.restore();
}

/**
 * Where the number of a face is, as [x, y, width, height] on the canvas: at the corner of its box,
 * above a small one, which it would cover.
 */
export function badgeOf(state, face) {
  const [x0, y0] = toCanvas(state.view, face.box.slice(0, 2));
  const [x1] = toCanvas(state.view, face.box.slice(2));
  const width = 12 + 8 * badgeText(face).length;
  if (x1 - x0 < SMALL_BOX) return [(x0 + x1 - width) / 2, y0 - 21, width, 19];
  return [x0 - 6, y0 - 9, width, 19];
}

function badgeText({ face, landmarks }) {
  return landmarks ? String(face) : "□";
}

function drawBadge(context, [x, y, width, height], text) {
  context.font = FONT;
  context.fillStyle = LIGHT;
  context.shadowColor = "rgb(0 0 0 / .4)";
  context.shadowBlur = 4;
  context.beginPath();
  context.roundRect(x, y, width, height, height / 2);
  context.fill();
  context.shadowBlur = 0;
  context.fillStyle = "#1b1c1f";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x + width / 2, y + height / 2 + 0.5);
}

/** The square that is being drawn, with its side in photo pixels. */
function drawSketch(context, { sketch, view, hello }) {
  if (!sketch) return;
  const rect = rectOf(sketch, hello.generator.drawn);
  const [x0, y0] = toCanvas(view, rect.slice(0, 2));
  const [x1, y1] = toCanvas(view, rect.slice(2));
  context.beginPath();
  context.rect(x0, y0, x1 - x0, y1 - y0);
  stroke(context, LIGHT, 1.8);
  const text = `${sketch[2]} px`;
  const width = 16 + 7 * text.length;
  drawBadge(context, [(x0 + x1 - width) / 2, y1 + 6, width, 19], text);
}

function drawSquare(context, state, face) {
  const places = corners(face.square).map((corner) => toCanvas(state.view, corner));
  context.beginPath();
  places.forEach(([x, y], k) => {
    for (const other of [places[(k + 3) % 4], places[(k + 1) % 4]]) {
      const length = Math.hypot(other[0] - x, other[1] - y) || 1;
      const part = Math.min(16, length / 4) / length;
      context.moveTo(x, y);
      context.lineTo(x + (other[0] - x) * part, y + (other[1] - y) * part);
    }
  });
  stroke(context, "rgb(255 255 255 / .8)", 1.2);
}

function drawArea(context, state, area) {
  const face = app.chosenFace(state);
  const painting = state.tool === "paint" || state.tool === "erase";
  if (!face || !(painting || areaShown(state))) return;
  const tint = area.tint(state);
  if (!tint) return;
  const [x0, y0] = toCanvas(state.view, face.window.slice(0, 2));
  const [x1, y1] = toCanvas(state.view, face.window.slice(2));
  context.save();
  context.globalAlpha = painting ? 0.42 : 0.2;
  context.imageSmoothingEnabled = true;
  context.drawImage(tint, x0, y0, x1 - x0, y1 - y0);
  context.restore();
}

// Over what a run has just made a tint would be in the way.
function areaShown(state) {
  return state.show.area && app.working(state) !== "run" && app.nextRun(state) !== "continue";
}

function drawLandmarks(context, state) {
  const landmarks = app.landmarksOf(state);
  if (!landmarks) return;
  context.beginPath();
  for (const landmark of landmarks) {
    const [x, y] = toCanvas(state.view, landmark);
    context.moveTo(x + 2, y);
    context.arc(x, y, 2, 0, 2 * Math.PI);
  }
  context.strokeStyle = RIM;
  context.lineWidth = 2;
  context.stroke();
  context.fillStyle = "#8ff0d2";
  context.fill();
}

function drawPoints(context, state) {
  const live = state.frame ? placesOf(state.frame) : new Map();
  for (const point of app.draftOf(state).points) {
    const at = toCanvas(state.view, live.get(point.id) ?? point.at);
    const to = toCanvas(state.view, point.to);
    const chosen = point.id === state.selected;
    if (moves(point)) drawWay(context, at, to, chosen);
    drawHandle(context, at, point.lock, chosen);
  }
}

function drawWay(context, at, to, chosen) {
  const length = Math.hypot(to[0] - at[0], to[1] - at[1]);
  if (length > 9) {
    const part = (length - 8) / length;
    context.beginPath();
    context.moveTo(...at);
    context.lineTo(at[0] + (to[0] - at[0]) * part, at[1] + (to[1] - at[1]) * part);
    context.setLineDash([1, 5]);
    stroke(context, LIGHT, 2);
    context.setLineDash([]);
  }
  context.beginPath();
  context.arc(...to, chosen ? 8.5 : 7, 0, 2 * Math.PI);
  stroke(context, chosen ? LIGHT : TARGET, chosen ? 2.5 : 2.2);
  context.beginPath();
  context.arc(...to, chosen ? 5 : 1.8, 0, 2 * Math.PI);
  context.fillStyle = TARGET;
  context.fill();
}

function drawHandle(context, [x, y], lock, chosen) {
  const radius = chosen ? 6 : 5;
  context.beginPath();
  if (lock) context.roundRect(x - radius, y - radius, 2 * radius, 2 * radius, 2);
  else context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = lock ? LOCKED : HANDLE;
  context.fill();
  stroke(context, LIGHT, chosen ? 2.2 : 1.6);
  context.fillStyle = lock ? LOCKED : HANDLE;
  context.fill();
}

function drawBrush(context, state) {
  const { pointer, tool, brush } = state;
  if (!pointer || (tool !== "paint" && tool !== "erase") || !app.chosenFace(state)) return;
  context.beginPath();
  context.arc(...pointer, brush.radius, 0, 2 * Math.PI);
  stroke(context, LIGHT, 1.4);
  if (brush.softness > 0) {
    context.beginPath();
    context.arc(...pointer, Math.max(brush.radius * (1 - brush.softness), 1), 0, 2 * Math.PI);
    context.strokeStyle = "rgb(255 255 255 / .55)";
    context.lineWidth = 1;
    context.stroke();
  }
  if (tool === "erase") {
    context.beginPath();
    context.moveTo(pointer[0] - 4, pointer[1]);
    context.lineTo(pointer[0] + 4, pointer[1]);
    stroke(context, LIGHT, 1.6);
  }
}

function drawDivider(context, state) {
  if (state.compare === null || state.before) return;
  const [width, height] = state.canvas;
  const x = Math.round(state.compare * width) + 0.5;
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, height);
  stroke(context, LIGHT, 1.5);
  context.beginPath();
  context.arc(x, height / 2, 15, 0, 2 * Math.PI);
  context.fillStyle = LIGHT;
  context.shadowColor = "rgb(0 0 0 / .4)";
  context.shadowBlur = 6;
  context.fill();
  context.shadowBlur = 0;
  context.beginPath();
  for (const side of [-1, 1]) {
    context.moveTo(x + side * 4, height / 2 - 4);
    context.lineTo(x + side * 8, height / 2);
    context.lineTo(x + side * 4, height / 2 + 4);
  }
  context.strokeStyle = "#1b1c1f";
  context.lineWidth = 1.8;
  context.stroke();
}
