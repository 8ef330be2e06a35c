// Which station ids can be served: one bound for what is stored, listed, asked for and described, so that no id is in a
// list whose page cannot be turned or whose forecast cannot be asked for.

import { isEntityId } from "../contract/index.ts";

/** "." and ".." mean a folder in a URL: clients and servers resolve them away before a route is looked for, encoded or not. */
export function isServable(id: string): boolean {
  return isEntityId(id) && id !== "." && id !== "..";
}
