// A station that neither the contract nor memory nor the store has heard of: told apart from one without rows in a range.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import type { Page } from "../../store/queries.ts";
import type { Served } from "../effects.ts";
import { problem, respond } from "../problem.ts";

/** A row of any time. */
const ANY = { from_ms: null, to_ms: null, limit: 1, cursor: null } as const;

/** The refusal, or null where somebody has heard of it. `page` is the answer to the question, `ask` puts it without its range. */
export async function unheardOf(
  { contract, latest }: Pick<Served, "contract" | "latest">,
  id: string,
  path: string,
  page: Page<unknown>,
  ask: (of: typeof ANY) => Promise<Page<unknown>>,
): Promise<Response | null> {
  if (page.rows.length > 0 || Object.hasOwn(contract.stations, id) || latest.get(id)) return null;
  if ((await ask(ANY)).rows.length > 0) return null;
  const shown = id.slice(0, ENTITY_ID_LENGTH_MAX);
  return respond(problem("unknown_station", `No station "${shown}" is known to this pipeline`, path));
}
