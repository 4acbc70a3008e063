/**
 * The keyboard: which key does what. The same table is what `?` lists.
 */

/** Rows: [group, command, keys as shown, what it does]. Keys are matched by `shortcut` below. */
export const SHORTCUTS = [
  ["Tools", "tool-drag", ["V"], "Pull points"],
  ["Tools", "tool-paint", ["B"], "Brush: paint what may change"],
  ["Tools", "tool-erase", ["E"], "Eraser"],
  ["Tools", "tool-square", ["S"], "Draw a square, for what is no face"],
  ["Tools", "tool-pan", ["H"], "Move the photo"],
  ["Tools", "hold-pan", ["Space"], "Hold to move the photo"],
  ["Tools", "brush-smaller", ["["], "Smaller brush"],
  ["Tools", "brush-larger", ["]"], "Larger brush"],
  ["Tools", "brush-harder", ["Shift+["], "Harder brush"],
  ["Tools", "brush-softer", ["Shift+]"], "Softer brush"],
  ["View", "zoom-in", ["+"], "Zoom in"],
  ["View", "zoom-out", ["-"], "Zoom out"],
  ["View", "zoom-fit", ["0"], "Whole photo"],
  ["View", "zoom-face", ["F"], "The face"],
  ["View", "zoom-full", ["1"], "100 %"],
  ["View", "landmarks", ["L"], "Show landmarks and snap to them"],
  ["View", "loupe", ["G"], "Loupe at 100 %"],
  ["View", "area", ["A"], "Show what may change"],
  ["Compare", "hold-before", ["O"], "Hold to see the photo as it was"],
  ["Compare", "compare", ["C"], "Before and after, side by side"],
  ["Points", "add-point", ["P"], "Add a point at a landmark"],
  ["Points", "nudge", ["Arrows"], "Move the chosen point’s target, or the divider"],
  ["Points", "nudge-far", ["Shift+Arrows"], "Move it ten times as far"],
  ["Points", "lock", ["K"], "Hold the chosen point in place"],
  ["Points", "mirror", ["M"], "Mirror the chosen point, or all"],
  ["Points", "delete", ["Delete", "Backspace"], "Delete the chosen point"],
  ["Area", "invert-mask", ["I"], "Invert what may change"],
  ["Edit", "run", ["Enter"], "Run, or continue"],
  ["Edit", "escape", ["Esc"], "Stop; end comparing; let go of a point"],
  ["Edit", "undo", ["Ctrl+Z"], "Undo"],
  ["Edit", "redo", ["Ctrl+Shift+Z", "Ctrl+Y"], "Redo"],
  ["File", "open", ["Ctrl+O"], "Open a photo or a recipe"],
  ["File", "export", ["Ctrl+S"], "Save"],
  ["File", "help", ["?"], "This list"],
];

const NAMES = {
  " ": "Space", Spacebar: "Space", Escape: "Esc", "=": "+", "{": "[", "}": "]", Del: "Delete",
  ArrowLeft: "Arrows", ArrowRight: "Arrows", ArrowUp: "Arrows", ArrowDown: "Arrows",
};
const SHIFTED = new Set(["+", "?", "_", "*"]);

const COMMANDS = new Map(
  SHORTCUTS.flatMap(([, command, keys]) => keys.map((key) => [key, command])),
);

/** How a key event is written in the table: "Ctrl+Shift+Z", "B", "?". */
export function written({ key, ctrlKey = false, metaKey = false, shiftKey = false }) {
  const shown = NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
  const shift = shiftKey && !SHIFTED.has(key);
  return [ctrlKey || metaKey ? "Ctrl" : null, shift ? "Shift" : null, shown]
    .filter((part) => part !== null)
    .join("+");
}

/** The command of a key event, or null. Alt is left to the browser. */
export function commandOf(event) {
  if (event.altKey) return null;
  return COMMANDS.get(written(event)) ?? null;
}

/** The way of an arrow key as [dx, dy]. */
export function arrow(key) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  return ways[key] ?? null;
}
