// Memory that a burst of work has left behind. V8 keeps the heap of its busiest moment for as long as nothing presses: after a start
// that decodes some hundred thousand records, that is several times what is needed afterwards.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collects all garbage once, and gives what is free back to the machine. Stops the process for some ten milliseconds a 100 MB in use. */
export function collectGarbage(): void {
  // A context that is made with this flag has the function; the program's own stays as it is.
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as (how: object) => void;
  setFlagsFromString("--no-expose-gc");
  // As before V8 would give up for lack of memory: pages are emptied, and none is kept for later.
  gc({ type: "major", execution: "sync", flavor: "last-resort" });
}
