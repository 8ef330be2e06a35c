// One look at a service, as its entry says: its probes in their order, the first that is not good decides.

import { explain, PipelineError } from "../../contract/errors.ts";
import { httpOf, type Reply } from "../../ground/http.ts";
import { ONCE } from "../../ground/repeat.ts";
import type { Attempt } from "../../ground/until.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Probe, Surroundings } from "../entry.ts";
import type { LocalService } from "./hook.ts";
import { fillOf } from "./prepare.ts";
import { isExternal } from "./topology.ts";

const GOOD: Attempt<string> = { done: true, seen: "ok" };
const LIMIT_MS = 5_000;

// One try: whoever waits for a service looks again, and says what was last seen.
const http = httpOf("job_timed_out", { pace: ONCE });

/** Whether a service does its work, within seconds; `seen` says what it answered, in few words. */
export async function checkHealth(place: LocalService): Promise<Attempt<string>> {
  const { settings, service } = place;
  const external = isExternal(settings, service);
  const fill = fillOf(place);
  for (const probe of service.health) {
    if (probe.kind === "http" && probe.local && external) continue;
    const look =
      probe.kind === "kafka"
        ? await brokers(settings)
        : await answer({ ...probe, url: fill(probe.url) }, { ports: settings.ports, external });
    if (!look.done) return look;
  }
  return GOOD;
}

async function answer(
  { url, wrong, limit_ms = LIMIT_MS }: Extract<Probe, { kind: "http" }>,
  surroundings: Surroundings,
): Promise<Attempt<string>> {
  let reply: Reply;
  try {
    reply = await http({ action: "check", url, limit_ms });
  } catch (error) {
    return { done: false, seen: `${url}: ${describeError(error)}` };
  }
  if (reply.status !== 200) return { done: false, seen: `${url}: HTTP ${reply.status}` };
  let found: string | null;
  try {
    found = wrong?.(reply.text, surroundings) ?? null;
  } catch {
    found = `unexpected answer ${reply.text.slice(0, 80)}`;
  }
  return found === null ? GOOD : { done: false, seen: `${url}: ${found}` };
}

/** What a try saw instead of an answer: a status, or why there was none. */
function describeError(error: unknown): string {
  if (!(error instanceof PipelineError)) return String(error);
  const { got } = error.context;
  return got === "none" && error.cause instanceof Error ? error.cause.message : String(got);
}

/** The broker that was started answers, and its controller has let it in. */
async function brokers({ kafka }: Settings): Promise<Attempt<string>> {
  let client: Kafka | null = null;
  try {
    client = connectKafka(kafka, { client_id: "millrace-check", once: true });
    const count = await client.admin.brokers();
    return count > 0 ? GOOD : { done: false, seen: `${kafka.bootstrap}: no broker let in` };
  } catch (error) {
    return { done: false, seen: `${kafka.bootstrap}: ${explain(error).split("\n").at(-1)?.trim()}` };
  } finally {
    await client?.close();
  }
}
