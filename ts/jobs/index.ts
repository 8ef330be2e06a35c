// The table of job types and what derives from it: their order, and which names a pipeline's jobs have. The table itself is
// generated from the files beside this one, so that a new job type is its file and no line anywhere else.

import type { Pipeline } from "../pipelines/define.ts";
import { type PartName, partsOf } from "../pipelines/parts.ts";
import { JOB_TYPES } from "./generated/table.ts";
import { upstreamFirst } from "./plan/order.ts";
import type { JobType } from "./plan/type.ts";

export type JobName = keyof typeof JOB_TYPES;

/** All job types, writers before their readers. */
export const JOBS: readonly JobName[] = upstreamFirst(Object.values(JOB_TYPES)).map(
  ({ name }) => name as JobName,
);

export function typeOf(job: JobName): JobType {
  return JOB_TYPES[job];
}

/** The jobs that a pipeline's parts bring, writers before their readers. */
export function jobsOf(pipeline: Pick<Pipeline, PartName>): readonly JobName[] {
  const parts = partsOf(pipeline);
  return JOBS.filter((job) => typeOf(job).needs.every((part) => parts.includes(part)));
}

/** Long-running jobs of a pipeline that a bare submit starts, writers before their readers. */
export function standardOf(pipeline: Pick<Pipeline, PartName>): readonly JobName[] {
  return jobsOf(pipeline).filter((job) => typeOf(job).standard);
}
