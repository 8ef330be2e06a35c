// Which turns in the life of an anomaly a target is told of, and what it is told. Pure.

import type { AlertTarget } from "../pipelines/define.ts";

/** A record of the topic of anomalies, as far as a message needs it. Times are ms of event time; `name` is of whose windows they are. */
export interface Turn {
  readonly id: string;
  readonly name: string;
  readonly anomaly_type: string;
  readonly state: "opened" | "confirmed" | "resolved";
  readonly cause: "flagged" | "clear" | "silent";
  readonly timestamp: number;
  readonly opened: number;
  readonly resolved: number | null;
  readonly severity: number;
  readonly windows: number;
  readonly evidence: readonly string[];
}

export interface Message {
  /** The same in every try and every run: a receiver tells a repeat by it. */
  readonly id: string;
  readonly event: "opened" | "resolved";
  readonly pipeline: string;
  readonly text: string;
  readonly turn: Turn;
}

/**
 * What one target has been told, from the topic alone: whoever reads it again from its beginning knows the same. One that becomes
 * severe enough later is told of when it is confirmed, or else, once, when it is over.
 */
export class Told {
  readonly #pipeline: string;
  readonly #target: Pick<AlertTarget, "severity" | "types">;
  /** Ids of anomalies that go on and were told of. */
  readonly #open = new Set<string>();

  constructor(pipeline: string, target: Pick<AlertTarget, "severity" | "types">) {
    this.#pipeline = pipeline;
    this.#target = target;
  }

  /** Takes the turns of each anomaly in their order; null for one that is no news to the target. */
  take(turn: Turn): Message | null {
    const { severity, types } = this.#target;
    const known = this.#open.has(turn.id);
    const matters = turn.severity >= severity && (types === undefined || types.includes(turn.anomaly_type));
    if (turn.state === "resolved") {
      this.#open.delete(turn.id);
      return known || matters ? this.#message("resolved", turn) : null;
    }
    if (known || !matters) return null;
    this.#open.add(turn.id);
    return this.#message("opened", turn);
  }

  #message(event: Message["event"], turn: Turn): Message {
    const pipeline = this.#pipeline;
    return { id: `${turn.id}-${event}`, event, pipeline, text: textOf(pipeline, event, turn), turn };
  }
}

/** One line for people. Times are event time, UTC. */
function textOf(pipeline: string, event: Message["event"], turn: Turn): string {
  const { name, anomaly_type, severity, opened, resolved, windows, cause, evidence } = turn;
  const what = `Anomaly at ${pipeline} ${name}: ${anomaly_type.replaceAll("_", " ")}`;
  if (event === "opened") {
    const first = evidence[0] === undefined ? "" : `. ${evidence[0]}`;
    return `${what} since ${minute(opened)}, severity ${severity.toFixed(2)}${first}`;
  }
  const how = cause === "silent" ? "ended when nothing more came" : "is over";
  const span = `${minute(opened)} to ${minute(resolved ?? turn.timestamp)}`;
  return `${what} ${how}: ${span}, ${windows} flagged window${windows === 1 ? "" : "s"}, severity ${severity.toFixed(2)}`;
}

const iso = (ms: number): string => new Date(ms).toISOString();
const minute = (ms: number): string => `${iso(ms).slice(0, 16)}Z`;

/** What is sent to a URL of that kind. */
export function bodyOf(kind: AlertTarget["kind"], { id, event, pipeline, text, turn }: Message): object {
  if (kind === "slack") return { text: `${event === "opened" ? ":warning:" : ":white_check_mark:"} ${text}` };
  const anomaly = {
    id: turn.id,
    name: turn.name,
    anomaly_type: turn.anomaly_type,
    state: turn.state,
    cause: turn.cause,
    timestamp: iso(turn.timestamp),
    opened: iso(turn.opened),
    resolved: turn.resolved === null ? null : iso(turn.resolved),
    severity: turn.severity,
    windows: turn.windows,
    evidence: turn.evidence,
  };
  return { message_id: id, event, pipeline, text, anomaly };
}
