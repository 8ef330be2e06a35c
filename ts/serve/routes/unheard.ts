// A station that neither the contract nor memory nor the store has heard of: told apart from one without rows in a range.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import type { Page } from "../../store/queries.ts";
import type { Served } from "../effects.ts";
import { problem, respond } from "../problem.ts";

/** The refusal, or null where somebody has heard of it. `whole`: the question without its range. */
export async function unheardOf(
  { contract, latest }: Pick<Served, "contract" | "latest">,
  id: string,
  path: string,
  whole: () => Promise<Page<unknown>>,
): Promise<Response | null> {
  if (Object.hasOwn(contract.stations, id) || latest.get(id)) return null;
  if ((await whole()).rows.length > 0) return null;
  const shown = id.slice(0, ENTITY_ID_LENGTH_MAX);
  return respond(problem("unknown_station", `No station "${shown}" is known to this pipeline`, path));
}
