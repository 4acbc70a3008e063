/**
 * A frame of a run as it comes over the socket: length of the header (4 bytes, unsigned,
 * big-endian), the header as UTF-8 JSON, the encoded picture.
 */

/** Take a frame apart: {header, picture: Uint8Array}; null where the bytes are none. */
export function parseFrame(buffer) {
  if (buffer.byteLength < 4) return null;
  const length = new DataView(buffer).getUint32(0);
  if (4 + length > buffer.byteLength) return null;
  try {
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    return { header, picture: new Uint8Array(buffer, 4 + length) };
  } catch {
    return null;
  }
}

/** Where the points of a draft are in a frame: id -> place; the others stay out. */
export function placesOf(header) {
  const places = new Map();
  (header.ids ?? []).forEach((id, k) => {
    if (id !== null && header.points[k]) places.set(id, header.points[k]);
  });
  return places;
}
