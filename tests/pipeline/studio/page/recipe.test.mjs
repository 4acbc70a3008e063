import assert from "node:assert/strict";
import { test } from "node:test";
import * as app from "../../../../pipeline/studio/page/state/app.mjs";
import { isRecipe, setUpRemark, titleOf } from "../../../../pipeline/studio/page/state/recipe.mjs";

test("a recipe is known by its name or kind", () => {
  assert.ok(isRecipe({ name: "smile.JSON", type: "" }));
  assert.ok(isRecipe({ name: "smile", type: "application/json" }));
  assert.ok(!isRecipe({ name: "json.jpg", type: "image/jpeg" }));
  assert.ok(!isRecipe({ type: "image/png" }));
});

test("its edits are listed by what they edit, and how", () => {
  assert.equal(titleOf({ face: 2, label: "smile 0.8", follows: false }), "Face 2: smile 0.8");
  assert.equal(titleOf({ face: "10,20,300", label: "1 point", follows: true }), "Square at 10, 20: 1 point, on top of the one before");
});

test("what of a recipe is missing is said", () => {
  assert.equal(setUpRemark({ notes: [] }).text, "Press Run.");
  assert.deepEqual(setUpRemark({ notes: ["its mask is not kept here", "expect differences"] }), {
    kind: "warn", title: "The recipe is set up but for this", text: "Its mask is not kept here; expect differences.",
  });
  assert.match(setUpRemark({ continued: true, notes: [] }).text, /Continue/);
});

test("a recipe of several edits waits for the choice of one", () => {
  const recipe = { name: "r.json", edits: [{ face: 1 }, { face: 2 }] };
  const asked = app.recipeCame(app.initial(), recipe);
  assert.equal(asked.recipe, recipe);
  assert.equal(app.recipeCame(asked, null).recipe, null);
});
