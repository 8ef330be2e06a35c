// How far the sink and the API of a line are, for whoever waits for them.

import type { Attempt } from "../../ground/until.ts";
import { topicOf } from "../../pipelines/index.ts";
import type { Namespace } from "./namespace.ts";
import { SENT } from "./records.ts";

/** Longest wait for one answer: a server that has just been started reads first. */
const ASK_MS = 5_000;

/** Whether the API can serve what there is. */
export async function apiReady({ settings }: Pick<Namespace, "settings">): Promise<Attempt<string>> {
  try {
    const { status } = await fetch(`${settings.apiUrl}/health/ready`, {
      signal: AbortSignal.timeout(ASK_MS),
    });
    return { done: status === 200, seen: `HTTP ${status}` };
  } catch (error) {
    return { done: false, seen: String(error) };
  }
}

/** Committed offsets of the sink's group against the ends as they are now: whether there are any, and how many records are left. */
export async function sinkLag({
  kafka,
  names,
}: Pick<Namespace, "kafka" | "names">): Promise<{ readonly begun: boolean; readonly left: number }> {
  const lags = await Promise.all(
    SENT.map((kind) => kafka.admin.lag(names.groups.dashboard, topicOf(names, kind).topic)),
  );
  const partitions = lags.flat().filter(({ end }) => end > 0);
  return {
    begun: partitions.some(({ committed }) => (committed ?? 0) > 0),
    left: partitions.reduce((sum, { lag }) => sum + lag, 0),
  };
}
