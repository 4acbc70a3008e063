/**
 * The draft: what the next run shall do. Every function returns a new draft.
 *
 * A draft is {points, presets, expression, region, mask} as the server keeps it; a point is
 * {id, at, to, lock} in photo pixels.
 */

export const EMPTY = Object.freeze({
  points: Object.freeze([]),
  presets: Object.freeze({}),
  expression: null,
  region: null,
  mask: null,
});

/** Whether there is nothing to run: no point that moves, no preset, no expression. */
export function isEmpty(draft) {
  return (
    !draft.points.some((point) => moves(point)) &&
    Object.values(draft.presets).every((strength) => strength === 0) &&
    draft.expression === null
  );
}

/** Whether a point has somewhere to go. */
export function moves(point) {
  return !point.lock && Math.hypot(point.to[0] - point.at[0], point.to[1] - point.at[1]) >= 0.5;
}

/** A name that no point of the draft has. */
export function freshId(draft) {
  const used = draft.points.map((point) => Number(point.id.slice(1))).filter(Number.isFinite);
  return `p${Math.max(0, ...used) + 1}`;
}

/** Add a point that is pulled from `at` to `to`. */
export function addPoint(draft, at, to = at, lock = false) {
  return { ...draft, points: [...draft.points, { id: freshId(draft), at, to, lock }] };
}

function changePoint(draft, id, change) {
  const points = draft.points.map((point) => (point.id === id ? change(point) : point));
  return { ...draft, points };
}

/** Pull a point to another target. A locked one is released by that. */
export function setTarget(draft, id, to) {
  return changePoint(draft, id, (point) => ({ ...point, to, lock: false }));
}

/** Move a handle; its target keeps the same way from it, as far as `within` lets it. */
export function setHandle(draft, id, at, within = (place) => place) {
  return changePoint(draft, id, (point) => ({
    ...point,
    at,
    to: within([point.to[0] + at[0] - point.at[0], point.to[1] + at[1] - point.at[1]]),
  }));
}

/** Hold a point where it is, or let it go again. */
export function toggleLock(draft, id) {
  return changePoint(draft, id, (point) => ({ ...point, lock: !point.lock }));
}

/** Take a point away. */
export function deletePoint(draft, id) {
  return { ...draft, points: draft.points.filter((point) => point.id !== id) };
}

/**
 * Add the mirror image {at, to, lock} of a point. A point that is there already, within `reach`
 * of it, gets the image's target instead; the point itself stays as it is.
 */
export function addMirrored(draft, point, image, reach) {
  const near = (other) => Math.hypot(other.at[0] - image.at[0], other.at[1] - image.at[1]) <= reach;
  if (near(point)) return draft;
  const there = draft.points.find((other) => other.id !== point.id && near(other));
  if (!there) return addPoint(draft, image.at, image.to, image.lock);
  const way = [image.to[0] - image.at[0], image.to[1] - image.at[1]];
  return changePoint(draft, there.id, (other) => ({
    ...other,
    to: [other.at[0] + way[0], other.at[1] + way[1]],
    lock: image.lock,
  }));
}

/** Take all points away. */
export function clearPoints(draft) {
  return { ...draft, points: [] };
}

/** Strength of a preset; 0 takes it out. */
export function setPreset(draft, name, strength) {
  const { [name]: _, ...others } = draft.presets;
  return { ...draft, presets: strength === 0 ? others : { ...others, [name]: strength } };
}

/** Take the expression of another photo, {expression, name}, or none. */
export function setExpression(draft, expression) {
  return { ...draft, expression };
}

/** What may change, by name; a painted mask would win over it, so it goes. */
export function setRegion(draft, region) {
  return { ...draft, region, mask: null };
}

/** What may change, painted; null clears it and leaves the choice to the server. */
export function setMask(draft, mask) {
  return { ...draft, mask, region: null };
}

/** The draft with its places to a hundredth of a pixel, as recipes and commands show them. */
export function rounded(draft) {
  const round = (place) => place.map((value) => Math.round(value * 100) / 100);
  return { ...draft, points: draft.points.map((point) => ({ ...point, at: round(point.at), to: round(point.to) })) };
}

/** Whether two drafts ask for the same. */
export function sameDraft(one, other) {
  return canonical(one) === canonical(other);
}

function canonical(draft) {
  const presets = Object.entries(draft.presets)
    .filter(([, strength]) => strength !== 0)
    .sort(([one], [other]) => (one < other ? -1 : 1));
  const points = draft.points.map(({ id, at, to, lock }) => [id, at, to, lock]);
  return JSON.stringify([points, presets, draft.expression, draft.region, draft.mask]);
}
