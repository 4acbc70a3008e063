/**
 * The loupe: the place under the pointer at one photo pixel per screen pixel, or larger.
 */

import * as app from "../state/app.mjs";
import { toPhoto } from "../state/view.mjs";

const RADIUS = 84;
const AWAY = 34;

/** Scale in the loupe: 100 %, or twice the view where that is 100 % already. */
function scaleOf(view, density) {
  const full = 1 / density;
  return view.scale < 0.8 * full ? full : view.scale * 2;
}

/** Whether the loupe is seen: asked for, or a point is pulled in a photo shown small or by a finger. */
export function loupeShown({ pointer, finger, before, gesture, view, show }, density) {
  if (!pointer || before) return false;
  const hard = finger || view.scale * density < 0.8;
  return show.loupe || (gesture !== null && hard);
}

/** Draw the loupe; `pictures(context, scale, state)` draws the photo in its own pixels. */
export function drawLoupe(context, state, density, pictures) {
  if (!loupeShown(state, density)) return;
  const [cx, cy] = centre(state);
  const scale = scaleOf(state.view, density);
  const [x, y] = toPhoto(state.view, state.pointer);
  context.save();
  context.beginPath();
  context.arc(cx, cy, RADIUS, 0, 2 * Math.PI);
  context.shadowColor = "rgb(0 0 0 / .5)";
  context.shadowBlur = 14;
  context.fillStyle = "#2a2b2f";
  context.fill();
  context.shadowBlur = 0;
  context.clip();
  context.translate(cx, cy);
  context.scale(scale, scale);
  context.translate(-x, -y);
  const view = { scale, x: RADIUS - x * scale, y: RADIUS - y * scale };
  const canvas = [2 * RADIUS, 2 * RADIUS];
  pictures(context, scale * density, { ...state, compare: null, before: isBefore(state), view, canvas });
  context.restore();
  drawRim(context, [cx, cy], `${Math.round(scale * density * 100)} %`);
}

/** Whether the pointer is on the divider's side of the photo as it was. */
function isBefore({ pointer, compare, canvas }) {
  return compare !== null && pointer[0] < compare * canvas[0];
}

/** Beside the pointer and above it, where no finger and no hand is. */
function centre({ pointer: [x, y], canvas: [width] }) {
  const left = x - RADIUS - AWAY;
  const side = left - RADIUS > 8 || x + 2 * RADIUS + AWAY > width ? left : x + RADIUS + AWAY;
  return [side, Math.max(y - RADIUS - AWAY / 2, RADIUS + 8)];
}

function drawRim(context, [cx, cy], text) {
  context.beginPath();
  context.arc(cx, cy, RADIUS, 0, 2 * Math.PI);
  context.strokeStyle = "#fff";
  context.lineWidth = 2;
  context.stroke();
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(cx + dx * 5, cy + dy * 5);
    context.lineTo(cx + dx * 13, cy + dy * 13);
  }
  context.strokeStyle = "rgb(0 0 0 / .55)";
  context.lineWidth = 3.2;
  context.stroke();
  context.strokeStyle = "#fff";
  context.lineWidth = 1.4;
  context.stroke();
  context.font = "500 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = "rgb(0 0 0 / .6)";
  context.beginPath();
  context.roundRect(cx - 22, cy + RADIUS - 25, 44, 17, 8.5);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, cx, cy + RADIUS - 16);
}
