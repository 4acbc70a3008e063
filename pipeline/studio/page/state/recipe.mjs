/**
 * Recipes: files that say what to do. The server takes one apart into edits, each
 * {face, settings, draft, hidden, label, follows, continued, notes}.
 */

import { fromName } from "./square.mjs";

/** Whether a file that was dropped or picked is a recipe, by its name or kind. */
export function isRecipe({ name, type }) {
  return type === "application/json" || /\.json$/i.test(name ?? "");
}

/** An edit of a recipe in half a line. */
export function titleOf({ face, label, follows }) {
  const square = fromName(face);
  const of = square ? `Square at ${square[0]}, ${square[1]}` : `Face ${face}`;
  return `${of}: ${label}${follows ? ", on top of the one before" : ""}`;
}

/** What to say once an edit is set up: {kind, title, text}. */
export function setUpRemark({ continued, notes }) {
  if (continued) return { kind: "info", title: "This edit goes on with the one before", text: "Show that one, and press Continue." };
  const [first, ...others] = notes;
  if (!first) return { kind: "info", title: "The recipe is set up", text: "Press Run." };
  const text = [first[0].toUpperCase() + first.slice(1), ...others].join("; ");
  return { kind: "warn", title: "The recipe is set up but for this", text: `${text}.` };
}
