// Asks each engine whether it answers, for /health and /metrics. One short question each, all at once, kept for a
// moment so that many callers cost the engines one question. Judges nothing: health.ts does.

import type { EngineProbe } from "./health.ts";

/** How one engine is asked. `ask` resolves to what was seen, and rejects when the engine does not answer well. */
export interface Question {
  readonly name: string;
  readonly address: string;
  readonly needed: boolean;
  readonly next: string;
  ask(signal: AbortSignal): Promise<string>;
}

/** An engine that takes longer counts as down: a health check must answer while engines hang. */
const TIMEOUT_MS = 2_000;
/** How long an answer is good for, wall time. */
const KEEP_MS = 2_000;

/** A question that is well answered by any 2xx. `say` reads what was seen from the body. */
export function http(
  question: Omit<Question, "ask">,
  url: string,
  say: (body: string) => string = () => "answers",
): Question {
  return {
    ...question,
    ask: async (signal) => {
      const response = await fetch(url, { signal });
      const body = await response.text();
      if (!response.ok) throw new Error(`Expected 200 from "${url}", got HTTP ${response.status}`);
      return say(body);
    },
  };
}

/** Why a question failed, in a few words: the deepest cause says more than "fetch failed". */
function reason(error: unknown): string {
  let at = error;
  while (at instanceof Error && at.cause instanceof Error) at = at.cause;
  if (!(at instanceof Error)) return String(at);
  const code = "code" in at ? String(at.code) : "";
  return code === "ECONNREFUSED" ? "connection refused" : at.message || code || at.name;
}

/** The result of work that must end within the time all probes have, or an error that says so. */
export async function within<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error(`no answer within ${TIMEOUT_MS} ms`)));
  });
  return Promise.race([work(signal), late]);
}

/** Keeps the answer of `work` for a moment; callers meanwhile, and while it is under way, share it. */
export function kept<T>(
  work: () => Promise<T>,
  clock: { nowMs(): number },
  keep_ms = KEEP_MS,
): () => Promise<T> {
  let held: { at_ms: number; value: Promise<T> } | null = null;
  return () => {
    const now_ms = clock.nowMs();
    if (held && now_ms - held.at_ms < keep_ms) return held.value;
    const value = work();
    held = { at_ms: now_ms, value };
    // A failure is not kept: the next caller asks again.
    value.catch(() => {
      if (held?.value === value) held = null;
    });
    return value;
  };
}

/** Asks all engines at once. Never rejects: an engine that is down is an answer. */
export async function probe(questions: readonly Question[]): Promise<EngineProbe[]> {
  return Promise.all(
    questions.map(async ({ name, address, needed, next, ask }) => {
      const about = { name, address, needed };
      try {
        return { ...about, up: true, detail: await within(ask), next: null };
      } catch (error) {
        return { ...about, up: false, detail: reason(error), next };
      }
    }),
  );
}
