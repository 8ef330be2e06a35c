// The table of job types and what derives from it: their order, and which names a pipeline's jobs have. The table itself is
// generated from the files beside this one, so that a new job type is its file and no line anywhere else.

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

/** Long-running jobs that a bare submit starts, writers before their readers. */
export const STANDARD: readonly JobName[] = JOBS.filter((job) => typeOf(job).standard);

/** Whoever reads stands before whom it reads: the order in which jobs get to know a new schema. */
export const DOWNSTREAM_FIRST: readonly JobName[] = JOBS.toReversed();
