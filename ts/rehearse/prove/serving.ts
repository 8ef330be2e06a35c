// The proof that what is served is what was committed: sink, API and PostgreSQL killed with SIGKILL in a seeded order while
// predictions flow, and afterwards each table compared with a scan of its topic, and the API's history with both. One call is one
// round in a namespace of its own. Records are made from their schemas: what a forecast says is no matter here.

import { randomBytes } from "node:crypto";
import { PipelineError } from "../../contract/index.ts";
import { pause } from "../../ground/pause.ts";
import { until } from "../../ground/until.ts";
import { readAll } from "../../kafka/kafka.ts";
import { topicOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { openClient } from "../../store/database.ts";
import { up } from "../../topology/local/index.ts";
import { closeLine, type Line, openLine, startJobs } from "../line/line.ts";
import { SENT, windowsOf } from "../line/records.ts";
import { judge } from "../line/schemathesis.ts";
import { apiReady, sinkLag } from "../line/serving.ts";
import { randomOf, shuffled } from "./random.ts";
import { kill, ownProcess, storeProcess, type Victim } from "./victims.ts";

export const SERVING_KINDS = ["sink", "api", "postgres"] as const;
type ServingKind = (typeof SERVING_KINDS)[number];

export interface ServingOptions {
  readonly engines: Settings;
  readonly seed: number;
  /** Kills of each kind. */
  readonly count: number;
  /** Schemathesis' cases of each operation, against the server as it stands in the end; 0 for none. */
  readonly cases: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface ServingRound {
  readonly seed: number;
  readonly kills: readonly {
    readonly kind: ServingKind;
    readonly what: string;
    readonly recovery_ms: number;
  }[];
  /** Records that were committed, rows that were found, forecasts that the API has answered. */
  readonly committed: number;
  readonly rows: number;
  readonly served: number;
  /** Rows that are missing, twice or other ones, and ids that the API lacks or has twice. */
  readonly wrong: number;
  /** Null where none were asked for. */
  readonly schemathesis: { readonly cases: number; readonly passed: number; readonly said: string } | null;
  readonly seconds: number;
}

export function servingWrong({ wrong, schemathesis }: Pick<ServingRound, "wrong" | "schemathesis">): number {
  return (
    wrong +
    (schemathesis === null
      ? 0
      : schemathesis.cases - schemathesis.passed + (schemathesis.cases === 0 ? 1 : 0))
  );
}

const STATIONS = ["denver", "new-york", "seattle"];
const T0_MS = Date.UTC(2016, 11, 4);
const MINUTE_MS = 60_000;
/** Versions of a window's forecast in one transaction. */
const VERSIONS = 5;
/** Between two transactions. */
const EVERY_MS = 50;
/** A supervisor backs off up to half a minute before it starts a job again, and PostgreSQL reads its log. */
const BACK_MS = 180_000;
const CASES_MS = 3_600_000;

/** Sends windows of each station, their forecasts and what one was worth, a transaction at a time, until it is told to end. */
async function feed(line: Line, signal: AbortSignal, onSent: () => void): Promise<void> {
  const { kafka, names } = line;
  const windows = windowsOf(line);
  const id = () => randomBytes(16).toString("hex");
  const producer = await kafka.producer({ transactional_id: names.transactionalId("proof", 0) });
  try {
    for (let i = 0; !signal.aborted; i++) {
      const at = T0_MS + i * MINUTE_MS;
      const transaction = await producer.begin();
      await transaction.send(
        STATIONS.flatMap((station) => [
          windows.features(station, at, i),
          ...Array.from({ length: VERSIONS }, (_, revision) =>
            windows.prediction(station, at, id(), revision),
          ),
          windows.verification(station, at, id(), id()),
        ]),
      );
      await transaction.commit();
      onSent();
      await pause(EVERY_MS, signal);
    }
  } finally {
    await producer.close();
  }
}

/** One round. Errors: `job_timed_out` when something does not come back; whatever its parts raise. */
export async function proveServing(options: ServingOptions): Promise<ServingRound> {
  const { engines, seed, count, cases, signal, log } = options;
  const begin_ms = performance.now();
  const line = await openLine(engines, { what: "serving", signal, log });
  const stop = new AbortController();
  let fine = false;
  try {
    await startJobs(line, ["sink", "serve"]);
    await untilServed(line);
    let sent = 0;
    const feeding = feed(line, AbortSignal.any([stop.signal, signal]), () => {
      sent++;
    });
    feeding.catch(() => undefined);
    const random = randomOf(seed);
    const order = shuffled(
      SERVING_KINDS.flatMap((kind) => Array.from({ length: count }, () => kind)),
      random,
    );
    const kills: ServingRound["kills"][number][] = [];
    for (const kind of order) {
      const goal = sent + 5 + Math.floor(random() * 60);
      await seen(line, `${goal} transactions`, async () => ({ done: sent >= goal, seen: sent }));
      const killed = await strike(line, kind, random());
      log(`${kind} (${killed.what}) killed, back after ${(killed.recovery_ms / 1000).toFixed(1)} s`);
      kills.push(killed);
    }
    stop.abort();
    await feeding;
    await caughtUp(line);
    const compared = await compare(line);
    const schemathesis = cases === 0 ? null : await keepsPromises(line, cases);
    const seconds = Math.round((performance.now() - begin_ms) / 1000);
    fine = servingWrong({ wrong: compared.wrong, schemathesis }) === 0;
    log(`${compared.wrong} wrong of ${compared.committed} records, ${seconds} s`);
    return { seed, kills, ...compared, schemathesis, seconds };
  } finally {
    stop.abort();
    await closeLine(line, { keep: !fine && !signal.aborted });
  }
}

/** Waits for a condition. Errors: `job_timed_out`. */
async function seen<T>(
  line: Line,
  what: string,
  look: () => Promise<{ done: boolean; seen: T }>,
): Promise<void> {
  const found = await until(look, { deadline_ms: BACK_MS, interval_ms: 100, signal: line.signal });
  if (!found.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot see ${what}: expected it within ${BACK_MS / 1000} s, saw ${JSON.stringify(found.seen)}`,
    );
}

const untilServed = (line: Line) => seen(line, "the API answer", () => apiReady(line));

const caughtUp = (line: Line) =>
  seen(line, "the store catch up", async () => {
    const { left } = await sinkLag(line);
    return { done: left === 0, seen: left };
  });

/** Resolves once everything that is committed now is in the store. */
async function untilStored(line: Line): Promise<void> {
  const { kafka, names } = line;
  const { topic } = topicOf(names, "predictions");
  const goals = new Map(
    (await kafka.admin.offsets(topic)).map(({ partition, stable }) => [partition, stable]),
  );
  await seen(line, "the store go on", async () => {
    const at = await kafka.admin.lag(names.groups.dashboard, topic);
    // A transaction's marker is the last offset before the end, and no record.
    const left = at.filter(({ partition, committed }) => (committed ?? 0) < (goals.get(partition) ?? 0) - 1);
    return { done: left.length === 0, seen: left.length };
  });
}

async function strike(line: Line, kind: ServingKind, aim: number): Promise<ServingRound["kills"][number]> {
  const victim = await found(line, kind, aim);
  const begin_ms = Date.now();
  await kill(victim);
  // Nobody but `millrace up` starts an engine again.
  if (kind === "postgres") await up(line.settings);
  if (kind === "api") await untilServed(line);
  else await untilStored(line);
  return { kind, what: victim.what, recovery_ms: Date.now() - begin_ms };
}

async function found(line: Line, kind: ServingKind, aim: number): Promise<Victim> {
  const { settings, names } = line;
  let victim: Victim | null = null;
  await seen(line, `the process of the ${kind}`, async () => {
    victim =
      kind === "postgres"
        ? storeProcess(settings)
        : ownProcess(
            settings,
            names.job(kind === "api" ? "serve" : "sink"),
            kind === "api" ? "serve" : "sink",
            aim,
          );
    return { done: victim !== null, seen: null };
  });
  return victim!;
}

/** Each table against its topic: the same bytes at the same offsets, each once; and the API's history against both. */
async function compare(line: Line): Promise<Pick<ServingRound, "committed" | "rows" | "served" | "wrong">> {
  const { settings, kafka, names } = line;
  const client = await openClient({ settings, names });
  let [committed, found, served, wrong] = [0, 0, 0, 0];
  try {
    for (const kind of SENT) {
      const left = new Map<string, string>();
      for (const { partition, offset, value } of await readAll(kafka, topicOf(names, kind).topic)) {
        committed++;
        left.set(`${partition}/${offset}`, value?.toString("base64") ?? "");
      }
      const { rows } = await client.query<{ partition: number; offset: number; value: Buffer }>(
        `select partition, "offset", value from ${kind}`,
      );
      found += rows.length;
      for (const { partition, offset, value } of rows) {
        const place = `${partition}/${offset}`;
        if (left.get(place) !== value.toString("base64")) wrong++;
        left.delete(place);
      }
      wrong += left.size;
    }
    for (const station of STATIONS) {
      const { rows } = await client.query<{ id: string }>("select id from predictions where entity = $1", [
        station,
      ]);
      const ids = new Set(rows.map(({ id }) => id.replaceAll("-", "")));
      let next: string | undefined = `/predictions/${station}/history?revision=all&order=asc&limit=1000`;
      while (next !== undefined) {
        const response: Response = await fetch(`${settings.apiUrl}${next}`);
        if (!response.ok)
          throw new PipelineError(
            "job_failed",
            `Cannot read the history: expected it, got HTTP ${response.status}`,
          );
        const { predictions } = (await response.json()) as {
          readonly predictions: readonly { readonly id: string }[];
        };
        served += predictions.length;
        for (const { id } of predictions) if (!ids.delete(id)) wrong++;
        next = /^<(.+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
      }
      wrong += ids.size;
    }
    return { committed, rows: found, served, wrong };
  } finally {
    await client.end();
  }
}

/** All that the server describes. */
async function keepsPromises(
  { settings, signal }: Line,
  cases: number,
): Promise<NonNullable<ServingRound["schemathesis"]>> {
  const { root, apiUrl: url } = settings;
  const { generated, passed, said } = await judge({ root, url, cases, limit_ms: CASES_MS, signal });
  return { cases: generated, passed, said: said.slice(-2_000) };
}
