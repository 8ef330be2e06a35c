// Which names an entity of a stream can have: one bound for what is read, stored, listed, asked for and described.

/**
 * Characters of a name, inclusive. Each is at most 9 bytes in a URL, and Node takes 16 KiB for the head of a request:
 * `next` of any page fits with room for the other headers.
 */
export const ENTITY_ID_LENGTH_MAX = 1_000;

/** Half of a surrogate pair has no UTF-8: on the wire all of them would be one name. */
export function isEntityId(id: string): boolean {
  return id !== "" && id.length <= ENTITY_ID_LENGTH_MAX && id.isWellFormed();
}
