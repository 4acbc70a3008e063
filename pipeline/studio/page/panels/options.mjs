/**
 * Quality and engine: fields as the server describes them.
 */

import { byId, element, rebuild } from "../dom.mjs";

export function createOptions(store, actions) {
  const panel = byId("options");
  panel.addEventListener("toggle", () => panel.open && panel.scrollIntoView({ block: "nearest" }));
  return (state) => {
    if (!state.hello || !state.desk?.photo) return;
    const { settings } = state.desk;
    const key = [state.hello.qualities, state.hello.engines, settings];
    // A field being typed in must not be replaced under the person's hands.
    if (byId("fields").contains(document.activeElement) && document.activeElement.matches("input")) return;
    rebuild(byId("fields"), key, () => fields(state.hello, settings, store, actions));
  };
}

function fields(hello, settings, store, actions) {
  const engine = hello.engines.find(({ name }) => name === settings.engine.name) ?? hello.engines[0];
  const { options } = settings.engine;
  // Ahead of the server: the next field may be left before the last one has been answered.
  let wanted = options;
  const set = async (name, value) => {
    const { [name]: _, ...others } = wanted;
    wanted = value === undefined ? others : { ...others, [name]: value };
    const answer = await actions.settings({ engine: { name: engine.name, options: wanted } });
    if (answer === null) wanted = store.state.desk.settings.engine.options;
    return answer;
  };
  return [
    qualityField(hello, settings, actions),
    labelled("Seed", number({ kind: "integer", value: settings.seed, least: 0 }, (seed) => actions.settings({ seed: seed ?? 0 }))),
    engineField(hello, engine, actions),
    ...engine.fields.map((field) => engineOption(field, options[field.name], (value) => set(field.name, value))),
  ];
}

function labelled(title, control, { help = null, unit = null } = {}) {
  const name = element("span", {}, title, unit ? element("span", { class: "unit" }, ` ${unit}`) : null);
  return element("label", { class: "field", "data-tip": help }, name, control);
}

function choice(entries, chosen, take) {
  const select = element("select", {}, ...entries.map(([value, title]) =>
    element("option", { value, selected: value === chosen }, title)));
  select.addEventListener("change", () => take(select.value));
  return select;
}

function number({ kind, value, least = null, most = null, placeholder = null }, take) {
  const step = kind === "integer" ? "1" : "any";
  const input = element("input", {
    type: "number", step, value: value === null || value === undefined ? "" : String(value), placeholder,
    min: least === null ? null : String(least), max: most === null ? null : String(most),
  });
  typed(input, () => take(input.value === "" ? undefined : Number(input.value)));
  return input;
}

/** Take what was typed into a field; what is refused gives way to what was there before. */
function typed(input, take) {
  const before = input.value;
  input.addEventListener("change", async () => {
    if (input.reportValidity() && (await take()) === null) input.value = before;
  });
}

function qualityField(hello, settings, actions) {
  const entries = hello.qualities.map(({ name, title }) => [name, title]);
  return labelled("Quality", choice(entries, settings.quality, (quality) => actions.settings({ quality })), {
    help: "How long the face is prepared; better is truer and slower",
  });
}

function engineField(hello, engine, actions) {
  const entries = hello.engines.map(({ name, title }) => [name, title]);
  return labelled("Engine", choice(entries, engine.name, (name) => actions.settings({ engine: { name, options: {} } })));
}

function engineOption(field, value, take) {
  const automatic = field.default === null ? "automatic" : String(field.default);
  if (field.kind === "choice") {
    const entries = field.choices.map((one) => [one, one]);
    const chosen = value ?? field.default;
    const all = field.optional || field.default === null ? [["", "automatic"], ...entries] : entries;
    return labelled(field.title, choice(all, chosen ?? "", (one) => take(one === "" ? undefined : one)), field);
  }
  if (field.kind === "integers") return labelled(field.title, integers(field, value, take), field);
  return labelled(field.title, number({ kind: field.kind, value, placeholder: automatic }, take), field);
}

function integers(field, value, take) {
  const shown = (numbers) => (numbers ?? []).join(", ");
  const input = element("input", { type: "text", value: shown(value), placeholder: shown(field.default) || "automatic", pattern: "\\s*\\d+(\\s*,\\s*\\d+)*\\s*" });
  typed(input, () => {
    const numbers = input.value.split(",").map((part) => part.trim()).filter((part) => part !== "");
    return take(numbers.length ? numbers.map(Number) : undefined);
  });
  return input;
}
