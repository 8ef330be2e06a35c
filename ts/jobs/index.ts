// The table of job types and what derives from it: their order, and which jobs a pipeline has. The table itself is generated from
// the files beside this one, so that a new job type is its file and no line anywhere else.

import { PipelineError } from "../contract/index.ts";
import type { Pipeline } from "../pipelines/define.ts";
import { partsOf } from "../pipelines/parts.ts";
import { JOB_TYPES } from "./generated/table.ts";
import { upstreamFirst } from "./plan/order.ts";
import type { JobType, Setting, Share } from "./plan/type.ts";

/** A job of a pipeline without the pipeline's name: that of its type, or of one of the type's members. */
export type JobName = string;

/** All job types, writers before their readers. */
export const TYPES: readonly JobType[] = upstreamFirst<JobType>(Object.values(JOB_TYPES));

/** The jobs that a pipeline's parts bring, each by its type, writers before their readers. */
export function typesOf(pipeline: Pipeline): readonly JobType[] {
  const parts = partsOf(pipeline);
  return TYPES.filter(({ needs }) => needs.every((part) => parts.includes(part))).flatMap(
    (type) => type.members?.(pipeline) ?? [type],
  );
}

/** Their names. */
export function jobsOf(pipeline: Pipeline): readonly JobName[] {
  return typesOf(pipeline).map(({ name }) => name);
}

/** Long-running and scheduled jobs of a pipeline that a bare submit starts, writers before their readers. */
export function standardOf(pipeline: Pipeline): readonly JobName[] {
  return typesOf(pipeline).flatMap(({ name, standard }) => (standard ? [name] : []));
}

/** What each stream that a pipeline can run on Spark needs of the application they share. */
export function sharesOf(setting: Pick<Setting, "settings" | "pipeline">): readonly Share[] {
  return typesOf(setting.pipeline).flatMap(({ share }) => share?.(setting) ?? []);
}

/** The type of a job; null for one that the pipeline does not have. */
export function findType(pipeline: Pipeline, job: JobName): JobType | null {
  return typesOf(pipeline).find(({ name }) => name === job) ?? null;
}

/** Errors: `config_invalid` for a job that the pipeline does not have. */
export function jobTypeOf(pipeline: Pipeline, job: JobName): JobType {
  const type = findType(pipeline, job);
  if (type !== null) return type;
  throw new PipelineError(
    "config_invalid",
    `Cannot use job "${pipeline.name}-${job}": expected one of ${jobsOf(pipeline).join(", ")}`,
  );
}
