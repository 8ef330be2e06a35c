// What follows a job that has succeeded, and what must be true all the time whoever dies: a trained model is judged and promoted here,
// not in the terminal that asked for the training; and an alias that was moved is announced. Both can be done again at any time.

import { mlflowOf } from "../engines/mlflow.ts";
import { findType } from "../jobs/index.ts";
import type { JobType } from "../jobs/plan/type.ts";
import type { Kafka } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import { type Audience, announce, lastEvent } from "../models/announce.ts";
import { describe, promoteTrained } from "../models/promote.ts";
import { inTurn } from "../models/turn.ts";
import { namesOf, pipelineNames, pipelineOf } from "../pipelines/index.ts";
import type { NamespaceSettings } from "../settings/settings.ts";
import type { Desired, DueJob } from "./desired.ts";

export interface FinishEffects {
  readonly settings: NamespaceSettings;
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly clock: { nowMs(): number };
  readonly log: (line: string) => void;
}

function audience({ settings, kafka, registry }: FinishEffects, name: string): Audience {
  const { pipeline, contract } = pipelineOf(name);
  return { kafka, registry, contract, names: namesOf(pipeline, settings.namespace) };
}

/** The type of a desired job; null for one that is none of ours. */
function typeIn({ name, pipeline }: Pick<DueJob, "name" | "pipeline">): JobType | null {
  return pipelineNames().includes(pipeline)
    ? findType(pipelineOf(pipeline).pipeline, name.slice(`${pipeline}-`.length))
    : null;
}

/** Errors: those of registry, Kafka and MLflow; nothing is lost by doing it again. */
export async function finishJob(effects: FinishEffects, job: DueJob, submission: string): Promise<void> {
  if (!typeIn(job)?.trains) return;
  const { settings, clock, log } = effects;
  const to = audience(effects, job.pipeline);
  const { model } = to.names;
  const verdict = await inTurn(settings, model, () =>
    promoteTrained(mlflowOf(settings), model, submission, (moved) =>
      announce(to, { ...moved, now_ms: clock.nowMs() }),
    ),
  );
  log(`${job.name}: ${describe(model, verdict)}`);
}

/**
 * Announces the champion of each pipeline whose models are served, where the last event names another version: whoever moved the
 * alias died before it could, or moved it in the registry by hand.
 */
export async function announceMoved(effects: FinishEffects, desired: Desired): Promise<void> {
  const { settings, clock, log } = effects;
  const served = new Set(
    Object.values(desired).flatMap((job) => {
      const type = typeIn(job);
      return type?.reads.includes("models") && type.kind === "stream" ? [job.pipeline] : [];
    }),
  );
  for (const name of pipelineNames()) {
    if (!served.has(name)) continue;
    const to = audience(effects, name);
    const champion = await mlflowOf(settings).byAlias(to.names.model, "champion");
    if (champion === null) continue;
    const event = await lastEvent(to);
    // An event about another alias says nothing of this one, and one more about it does no harm.
    if (event?.alias === "champion" && event.version === champion.version) continue;
    await announce(to, { alias: "champion", version: champion.version, now_ms: clock.nowMs() });
    log(`${to.names.model}: announced version ${champion.version}, which the alias champion names`);
  }
}
