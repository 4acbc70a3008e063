/**
 * The main button with what the run does now, and the bar over the stage for other long work.
 */

import { byId, mark, say } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { machineRemark, runRemark } from "../state/remarks.mjs";
import { distance, stageTitle, timeLeft } from "../state/wording.mjs";

export function createRun(store, actions) {
  byId("run").addEventListener("click", () =>
    app.working(store.state) === "run" ? actions.stop() : actions.run());
  byId("job-cancel").addEventListener("click", () => {
    const { desk } = store.state;
    if (desk?.job) actions.cancel(desk.job.job);
  });
  return (state) => {
    updateJob(state);
    if (state.desk?.photo && state.hello) updateRun(state);
  };
}

function fill(bar, job) {
  if (job.total) bar.value = Math.min(job.done / job.total, 1);
  else bar.removeAttribute("value");
}

function updateJob(state) {
  const job = app.jobOf(state);
  const shown = state.upload || (job && job.kind !== "run");
  byId("job").hidden = !shown;
  if (!shown) return;
  byId("job-cancel").hidden = Boolean(state.upload);
  if (state.upload) {
    say(byId("job-title"), `Opening ${state.upload.name}`);
    say(byId("job-left"), "");
    byId("job-bar").removeAttribute("value");
    return;
  }
  say(byId("job-title"), stageTitle(job.stage || job.kind));
  say(byId("job-left"), timeLeft(job.left));
  fill(byId("job-bar"), job);
}

function updateRun(state) {
  const running = app.working(state) === "run";
  const job = app.jobOf(state);
  const next = app.nextRun(state);
  const button = byId("run");
  button.classList.toggle("stop", running);
  button.disabled = !running && (next === "none" || state.runWhenReady);
  byId("run-icon").setAttribute("href", running ? "#i-stop" : "#i-play");
  say(byId("run-label"), running ? "Stop" : state.runWhenReady ? "Runs when the face is ready" : next === "continue" ? "Continue" : "Run");
  byId("run-progress").hidden = !running;
  if (running) fill(byId("run-progress"), job);
  const { text, kind } = runRemark(state);
  byId("run-state").classList.toggle("warn", !running && kind === "warn");
  // Each step would be read aloud.
  mark(byId("run-state"), "aria-live", running ? "off" : "polite");
  sayState(running ? runningText(state, job) : [text]);
  updateMachine(state);
}

function sayState(parts) {
  const node = byId("run-state");
  const text = parts.join("");
  if (node.textContent === text) return;
  node.replaceChildren(...parts.map((part, k) => {
    if (k % 2 === 0) return part;
    const strong = document.createElement("b");
    strong.textContent = part;
    return strong;
  }));
}

function runningText(state, job) {
  const away = state.frame?.distance ?? job.distance;
  if (!job.total) return [stageTitle(job.stage || "run")];
  const steps = String(Math.max(job.done ?? 0, state.frame?.step ?? 0));
  const text = ["Step ", steps, ` of at most ${job.total}`];
  return away === null || away === undefined
    ? text : [...text.slice(0, 2), `${text[2]}  ·  `, distance(away), " to go"];
}

function updateMachine(state) {
  const text = machineRemark(state);
  byId("machine").hidden = text === "";
  say(byId("machine"), text);
}
