import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const THEME = readFileSync(new URL("../../../../pipeline/studio/page/style/theme.css", import.meta.url), "utf8");
const COLOURS = new Map(
  [...THEME.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, ...shades]) => [name, shades]),
);

// What is written on what; pressed chips and chosen points have the accent's soft ground.
const GROUNDS = {
  text: ["canvas", "chrome", "raised", "sunken", "hover", "accent-soft"],
  "text-soft": ["canvas", "chrome", "raised", "sunken", "hover", "accent-soft"],
  "text-faint": ["chrome", "raised", "hover", "accent-soft"],
  "accent-strong": ["chrome", "accent-soft"],
  bad: ["chrome", "raised", "bad-soft"],
  warn: ["chrome", "raised", "warn-soft"],
  "on-accent": ["accent", "accent-strong"],
};

// What shows where a slider or a field is.
const LINES = { control: ["chrome", "raised"], accent: ["canvas", "chrome", "raised"] };

/** Relative luminance of "#rrggbb" (WCAG 2.2). */
function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((k) => {
    const value = parseInt(colour.slice(k, k + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Contrast on each ground, in light and in dark, is at least `least` (WCAG 2.2). */
function standsOut(pairs, least) {
  for (const [what, grounds] of Object.entries(pairs)) {
    for (const [ground, shade] of grounds.flatMap((one) => [[one, 0], [one, 1]])) {
      const [dim, bright] = [what, ground].map((name) => luminance(COLOURS.get(name)[shade])).sort((a, b) => a - b);
      const ratio = (bright + 0.05) / (dim + 0.05);
      assert.ok(ratio >= least, `${what} on ${ground}, ${["light", "dark"][shade]}: ${ratio.toFixed(2)}`);
    }
  }
}

test("every text stands out by 4.5 to 1, in light and in dark", () => standsOut(GROUNDS, 4.5));

test("what is pulled, typed in or focused stands out by 3 to 1", () => standsOut(LINES, 3));
