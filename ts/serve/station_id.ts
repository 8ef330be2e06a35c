// Which station ids can be served: one bound for what is stored, listed, asked for and described, so that no id is in a
// list whose page cannot be turned or whose forecast cannot be asked for.

import { ENTITY_ID_LENGTH_MAX, isEntityId } from "../contract/index.ts";

/** Characters of an id, inclusive: of any name that a source may have read. */
export const STATION_ID_LENGTH_MAX = ENTITY_ID_LENGTH_MAX;

/** "." and ".." mean a folder in a URL: clients and servers resolve them away before a route is looked for, encoded or not. */
export function isServable(id: string): boolean {
  return isEntityId(id) && id !== "." && id !== "..";
}
