/**
 * Squares that are edited in place of a face: [x, y, side], the top-left corner and the side in
 * whole photo pixels. `drawn` is the share of the width that the generator draws; below 1 the
 * corner is that of the drawn part. A photo's size is [width, height].
 */

/** How the server names a square. */
export function nameOf(square) {
  return square.join(",");
}

/** The square of a name; null where it names a face. */
export function fromName(name) {
  return typeof name === "string" ? name.split(",").map(Number) : null;
}

/** The part that is drawn, as [x0, y0, x1, y1]. */
export function rectOf([x, y, side], drawn = 1) {
  return [x, y, x + drawn * side, y + side];
}

/** The square that is pulled open from one place of the photo to another, as far as the photo goes. */
export function between(from, to, [width, height], drawn = 1) {
  const hold = (value, most) => Math.min(Math.max(Math.round(value), 0), most);
  const [x, y] = [hold(from[0], width), hold(from[1], height)];
  const [right, down] = [to[0] >= x, to[1] >= y];
  const asked = Math.max(Math.abs(to[0] - x) / drawn, Math.abs(to[1] - y));
  const room = Math.min((right ? width - x : x) / drawn, down ? height - y : y);
  const side = Math.floor(Math.min(asked, room));
  return [right ? x : x - Math.floor(side * drawn), down ? y : y - side, side];
}

/** A square to begin with: half of the photo's middle. */
export function middle([width, height], drawn = 1) {
  const side = Math.floor(Math.min(width / drawn, height) / 2);
  return [Math.round((width - side * drawn) / 2), Math.round((height - side) / 2), side];
}
