/**
 * Small steps of the DOM that every panel takes.
 */

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; null children are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(key, value);
    else if (value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** One of the icons in index.html. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  made.append(use);
  return made;
}

const CONTROLS = "button, select, input";

/**
 * Rebuild the children of a parent only when `key` is another than last time. Who has the focus in
 * there keeps it, at the same place.
 */
export function rebuild(parent, key, build) {
  const text = JSON.stringify(key);
  if (parent.dataset.key === text) return;
  parent.dataset.key = text;
  const focused = [...parent.querySelectorAll(CONTROLS)].indexOf(document.activeElement);
  parent.replaceChildren(...build());
  if (focused < 0) return;
  const controls = [...parent.querySelectorAll(CONTROLS)];
  (controls[focused] ?? controls.at(-1))?.focus({ preventScroll: true });
}

/** Arrow keys walk round the buttons of a group. */
export function walkable(group) {
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const all = [...group.querySelectorAll("button:enabled")];
    all.at((all.indexOf(document.activeElement) + step) % all.length)?.focus();
  });
}

/** A toolbar: arrow keys walk round it, the tab key leaves it. */
export function toolbar(group) {
  walkable(group);
  group.addEventListener("keydown", ({ key }) => {
    if (key !== "Tab") return;
    const others = [...group.querySelectorAll("button")].filter((one) => one !== document.activeElement);
    const reach = (index) => others.forEach((one) => (one.tabIndex = index));
    reach(-1);
    setTimeout(() => reach(0));
  });
}

/** Let a button ask for a file, and the panel around it take one that is dropped there. */
export function takesFile(button, input, panel, take) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  });
  panel.addEventListener("dragover", () => button.classList.add("over"));
  panel.addEventListener("dragleave", () => button.classList.remove("over"));
  panel.addEventListener("drop", (event) => {
    event.preventDefault(); // what nobody takes is opened
    button.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file && !button.disabled) take(file);
  });
}

/** Set a text only when it changes, so that readers are not told again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set `aria-pressed` and the like. */
export function mark(node, attribute, value) {
  const text = String(value);
  if (node.getAttribute(attribute) !== text) node.setAttribute(attribute, text);
}

/** Colour a slider from its zero to its value. */
export function fillSlider(slider) {
  const [least, most] = [Number(slider.min), Number(slider.max)];
  const share = (value) => (100 * (value - least)) / (most - least);
  const zero = share(Math.min(Math.max(0, least), most));
  const value = share(Number(slider.value));
  // The thumb's middle runs over the track less its own width.
  slider.style.setProperty("--from", `calc(7px + (100% - 14px) * ${Math.min(zero, value) / 100})`);
  slider.style.setProperty("--to", `calc(7px + (100% - 14px) * ${Math.max(zero, value) / 100})`);
}
