// Which station ids can be served: one bound for what is stored, listed, asked for and described, so that no id is in a
// list whose page cannot be turned or whose forecast cannot be asked for.

/**
 * Characters of an id, inclusive. Each is at most 9 bytes in a URL, and Node takes 16 KiB for the head of a request:
 * `next` of any page fits with room for the other headers.
 */
export const STATION_ID_LENGTH_MAX = 1_000;

/** "." and ".." mean a folder in a URL: clients and servers resolve them away before a route is looked for, encoded or not. */
export function isServable(id: string): boolean {
  return id !== "" && id.length <= STATION_ID_LENGTH_MAX && id !== "." && id !== "..";
}
