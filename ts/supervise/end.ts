// Waits for a submission to end, by asking its engine. An engine that does not answer for a while is asked again: the job
// goes on meanwhile, and an hour of training must not be given up for one late answer of a busy machine.

import { type ErrorCode, PipelineError } from "../contract/index.ts";
import { ended, type JobStatus } from "../engines/job.ts";
import { UNREACHABLE } from "../engines/local/index.ts";
import { pause } from "../ground/pause.ts";
import { said } from "./supervisor.ts";

export interface EndOptions {
  readonly signal: AbortSignal;
  readonly deadline_ms: number;
  /** Each new state at the engine, and that it does not answer. */
  readonly onState?: (state: string) => void;
  readonly look_ms?: number;
  /** An engine silent for this long is gone: longer than it takes to start one. */
  readonly silent_ms?: number;
}

const SILENT: readonly ErrorCode[] = [UNREACHABLE.spark, UNREACHABLE.ray];

/**
 * The status it ended with; null when `stop` was called for the signal or the deadline.
 * Errors: those of `look`; `<engine>_unreachable` only once nobody has answered for `silent_ms`.
 */
export async function toEnd(
  look: () => Promise<JobStatus>,
  stop: () => Promise<void>,
  { signal, deadline_ms, onState, look_ms = 500, silent_ms = 120_000 }: EndOptions,
): Promise<JobStatus | null> {
  const end_ms = performance.now() + deadline_ms;
  let answered_ms = performance.now();
  let before = "";
  const tell = (state: string) => {
    if (state !== before) onState?.(state);
    before = state;
  };
  while (!signal.aborted && performance.now() < end_ms) {
    try {
      const status = await look();
      answered_ms = performance.now();
      tell(said(status));
      if (ended(status)) return status;
    } catch (error) {
      const silent = error instanceof PipelineError && SILENT.includes(error.code);
      if (!silent || performance.now() - answered_ms >= silent_ms) throw error;
      tell("the engine does not answer; asked again");
    }
    await pause(look_ms, signal);
  }
  await stop();
  return null;
}
