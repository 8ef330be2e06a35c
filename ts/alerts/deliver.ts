// One message to one target: tried again for as long as it may still be news, and given up where it is not. Knows no topic.

import { PipelineError } from "../contract/index.ts";
import { httpOf } from "../ground/http.ts";
import { ONCE } from "../ground/repeat.ts";
import type { AlertTarget } from "../pipelines/define.ts";
import { bodyOf, type Message } from "./message.ts";

/** Waits between two tries, wall time: the first and the longest. */
const FIRST_MS = 1_000;
const LONGEST_MS = 300_000;
/** Six hours: what is older than a shift is no alert any more, and behind it wait those that are. */
export const GIVE_UP_MS = 6 * 3_600_000;
/** One try: a receiver that takes longer is as good as away. */
const LIMIT_MS = 10_000;

/** How a try ended. `answer`: in words, never with the URL, which is a secret. */
export type Try =
  | { readonly outcome: "taken" }
  | { readonly outcome: "later" | "refused"; readonly answer: string };

export type Send = (message: Message) => Promise<Try>;

export interface DeliverEffects {
  readonly nowMs: () => number;
  /** Resolves early when the signal fires. */
  readonly pause: (duration_ms: number, signal: AbortSignal) => Promise<void>;
  /** Told after each try that failed and is followed by another: how often it was tried, since when, and what came. */
  readonly waits: (tries: number, since_ms: number, answer: string) => void;
}

/** `given_up`: refused, or tried for GIVE_UP_MS. `stopped`: the signal fired first; it is to be sent again. */
export type Delivery =
  | { readonly outcome: "sent" }
  | { readonly outcome: "given_up"; readonly why: string }
  | { readonly outcome: "stopped" };

export async function deliver(
  message: Message,
  send: Send,
  { nowMs, pause, waits }: DeliverEffects,
  signal: AbortSignal,
): Promise<Delivery> {
  const since_ms = nowMs();
  let wait_ms = FIRST_MS;
  for (let tries = 1; !signal.aborted; tries++) {
    const tried = await send(message);
    if (tried.outcome === "taken") return { outcome: "sent" };
    const { answer } = tried;
    if (tried.outcome === "refused") return { outcome: "given_up", why: `${answer} and refused it` };
    if (nowMs() - since_ms + wait_ms > GIVE_UP_MS)
      return { outcome: "given_up", why: `${answer}, tried ${tries} times in ${GIVE_UP_MS / 3_600_000} h` };
    waits(tries, since_ms, answer);
    await pause(wait_ms, signal);
    wait_ms = Math.min(wait_ms * 2, LONGEST_MS);
  }
  return { outcome: "stopped" };
}

/** To a URL by POST. Errors: `config_invalid` for what is no http or https URL, without naming it. */
export function webhook({ name, kind }: Pick<AlertTarget, "name" | "kind">, url: string): Send {
  const at = URL.canParse(url) ? new URL(url) : null;
  if (at === null || !/^https?:$/.test(at.protocol))
    throw new PipelineError(
      "config_invalid",
      `Cannot use the secret of alert target "${name}": expected an http or https URL, got something else`,
    );
  const http = httpOf("job_failed", { pace: ONCE });
  // Whoever reads the log knows his receiver by its host; the rest of the URL is what lets one write there.
  const { host } = at;
  return async (message) => {
    try {
      const { status } = await http({
        action: "send an alert",
        method: "POST",
        url,
        body: bodyOf(kind, message),
        limit_ms: LIMIT_MS,
      });
      if (status >= 200 && status < 300) return { outcome: "taken" };
      // Too Many Requests and Request Timeout pass; any other 4xx says that the message or the URL is wrong.
      const passes = status >= 500 || status === 429 || status === 408;
      return { outcome: passes ? "later" : "refused", answer: `${host} answered HTTP ${status}` };
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      const { got, fault } = error.context;
      return { outcome: "later", answer: `${host} gave no answer (${String(fault ?? got)})` };
    }
  };
}
