/**
 * The strip of edits: a click shows one, the next run branches from it.
 */

import { byId, element, icon, mark, rebuild, walkable } from "../dom.mjs";
import { stopTitle } from "../state/wording.mjs";

export function createHistory(actions) {
  walkable(byId("history"));
  return (state) => {
    const { desk, hello } = state;
    const none = !desk?.photo || desk.face === null;
    byId("history").hidden = none;
    byId("history-hint").hidden = !none;
    if (none) return;
    const key = [desk.photo.photo, desk.face, desk.inversion?.id, desk.edits.map(({ edit, label }) => [edit, label])];
    rebuild(byId("history"), key, () => [original(desk, actions), ...desk.edits.map((edit) => past(desk, named(edit, hello), actions))]);
    for (const item of byId("history").children) {
      const chosen = Number(item.firstChild.dataset.edit) === desk.shown;
      mark(item.firstChild, "aria-selected", chosen);
      item.firstChild.tabIndex = chosen ? 0 : -1;
      item.firstChild.disabled = desk.job?.kind === "run";
      if (chosen && byId("history").dataset.shown !== String(desk.shown)) item.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    byId("history").dataset.shown = String(desk.shown);
  };
}

/** The edit with a label in the words of the sliders. */
function named(edit, hello) {
  const titles = (hello?.presets ?? []).map(({ name, title }) => [name, title]);
  const label = titles.reduce((text, [name, title]) => text.replace(name, title), edit.label || "Edit");
  return { ...edit, label };
}

function original({ photo, face }, actions) {
  return entry(0, `photos/${photo.photo}/faces/${face}/thumbnail`, "Original", "The photo as it was", null, actions);
}

function past({ photo, face, inversion }, edit, actions) {
  const address = `photos/${photo.photo}/faces/${face}/edits/${edit.edit}/thumbnail?v=${inversion?.id ?? ""}`;
  const branch = edit.parent !== edit.edit - 1 ? edit.parent : null;
  const from = branch === null ? "" : `, from ${branch === 0 ? "the original" : branch}`;
  const about = `${edit.label}: ${stopTitle(edit.stopped).toLowerCase()} after ${edit.steps} steps${from}`;
  return entry(edit.edit, address, `${edit.edit} · ${edit.label}`, about, branch, actions);
}

function entry(edit, address, label, about, branch, actions) {
  const badge = branch === null ? null : element("span", { class: "from" }, icon("redo"), branch === 0 ? "" : String(branch));
  return element("li", { role: "presentation" },
    element("button", {
      class: "past", role: "option", "data-edit": String(edit), "data-tip": about, "aria-label": `${edit ? `Edit ${edit}` : "Original"}. ${about}`,
      onclick: () => actions.show(edit),
    },
    element("span", { class: "shot" }, element("img", { src: address, alt: "", draggable: "false" }), badge),
    element("span", { class: "label" }, label)));
}
