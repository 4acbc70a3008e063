/**
 * Saving, and the list of shortcuts.
 */

import { byId, element, rebuild, say } from "../dom.mjs";
import * as app from "../state/app.mjs";
import { SHORTCUTS } from "../state/keys.mjs";
import { titleOf } from "../state/recipe.mjs";

export function createDialogs(store, actions) {
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => actions.export(button.dataset.export));
  }
  byId("command-copy").addEventListener("click", () => copyCommand(store));
  fillShortcuts();
  for (const dialog of document.querySelectorAll("dialog")) {
    // A click beside the dialog closes it.
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  byId("recipe-dialog").addEventListener("close", () => store.change(app.recipeCame, null));
  let taken = null;
  return (state) => {
    updateRecipe(state.recipe, actions);
    const { desk, exported } = state;
    if (exported && exported !== taken) download(exported);
    taken = exported;
    if (!desk?.photo) return;
    say(byId("export-photo-text"), `${desk.photo.width} × ${desk.photo.height}, ${desk.photo.kind ?? "as it came"}, with its metadata`);
    byId("command-block").hidden = !desk.command;
    rebuild(byId("command"), desk.command, () => commandWords(desk.command ?? ""));
    const saving = app.working(state) === "export";
    for (const button of document.querySelectorAll("[data-export]")) {
      button.disabled = saving || (["frames", "film"].includes(button.dataset.export) && desk.shown === 0);
    }
    say(byId("export-state"), saving ? "Saving …" : exported ? `${exported.name} was saved to your downloads.` : "");
  };
}

/** Which edit of a recipe shall be set up. */
function updateRecipe(recipe, actions) {
  const dialog = byId("recipe-dialog");
  if (dialog.open && !recipe) dialog.close();
  if (!recipe || dialog.open) return;
  byId("recipe-edits").replaceChildren(...recipe.edits.map((edit) => element("li", {},
    element("button", { class: "soft wide", onclick: () => actions.setUp(edit) }, titleOf(edit)))));
  dialog.showModal();
}

/** The command's words, each of which stays on one line where it fits. */
function commandWords(command) {
  return command.split(" ").flatMap((word) => [element("span", {}, word), " "]);
}

/** Open the dialog for saving. */
export function openExport() {
  byId("export-dialog").showModal();
}

/** Open the list of shortcuts. */
export function openHelp() {
  byId("help-dialog").showModal();
}

function download({ url, name }) {
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

async function copyCommand(store) {
  try {
    await navigator.clipboard.writeText(store.state.desk.command);
    store.change(app.toast, "info", "Copied");
  } catch {
    getSelection().selectAllChildren(byId("command"));
    store.change(app.toast, "info", "Press Ctrl+C to copy");
  }
}

function fillShortcuts() {
  const groups = [...new Set(SHORTCUTS.map(([group]) => group))];
  rebuild(byId("shortcuts"), groups, () => groups.map((group) => element("section", {},
    element("h3", {}, group),
    element("dl", {}, ...SHORTCUTS.filter(([of]) => of === group).map(([, , keys, what]) =>
      element("div", {}, element("dt", {}, what), element("dd", {}, ...keyCaps(keys))))))));
}

function keyCaps(keys) {
  return keys.flatMap((key, k) => {
    const caps = key === "+" ? ["+"] : key.split("+");
    const shown = caps.flatMap((cap, m) => (m ? [" ", element("kbd", {}, cap)] : [element("kbd", {}, cap)]));
    return k ? [" or ", ...shown] : shown;
  });
}
