// The name of a submission: what finds it again at its engine. Put together and taken apart here and nowhere else, so that a
// namespace whose name begins like another's jobs never meets them: a hash must follow the job's name at once.

import { randomBytes } from "node:crypto";

/** `<prefix><pipeline>-<job>-<hash>-<unique>`, without the pipeline for a job that all of them share. */
export interface SubmissionName {
  /** `<pipeline>-<job>`, or the job alone. */
  readonly job: string;
  /** Of the way to run it (runHash). */
  readonly hash: string;
  /** Base36. */
  readonly unique: string;
}

const PARTS = /^((?:[a-z][a-z0-9]*-)?[a-z][a-z0-9_]*)-([0-9a-f]{8})-([0-9a-z]+)$/;

export function submissionName(prefix: string, { job, hash, unique }: SubmissionName): string {
  return `${prefix}${job}-${hash}-${unique}`;
}

/** Null for a name that is not one of this prefix (a namespace's). */
export function readSubmission(prefix: string, submission: string): SubmissionName | null {
  if (!submission.startsWith(prefix)) return null;
  const parts = PARTS.exec(submission.slice(prefix.length));
  return parts && { job: parts[1]!, hash: parts[2]!, unique: parts[3]! };
}

/** Six base36 digits of time would wrap in 25 days; eight last until 2059. The rest keeps two of one millisecond apart. */
export const uniqueSuffix = () => `${Date.now().toString(36)}${randomBytes(3).toString("hex")}`;
