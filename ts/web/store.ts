// What the page knows, as signals: one picture of a pipeline, kept fresh by one stream. Nothing is asked again by the clock: the stream
// says what is new, and after a gap the picture is taken once more. Pages read from here; what one page alone needs it asks itself.

import { computed, signal } from "@preact/signals";
import {
  type Alerts,
  answer,
  apiOf,
  type Health,
  type Pipeline,
  type Pipelines,
  reasonOf,
  type Station,
  type Stations,
  type StreamEvents,
} from "./api.ts";
import { route } from "./navigate.ts";
import { Pace } from "./pace.ts";
import { strange, withObservation, withPrediction } from "./picture.ts";
import { LiveStream, type StreamEffects, type StreamState } from "./stream.ts";

export const pipelines = signal<Pipelines | null>(null);
/** What is said of the pipeline that is shown; null before it is known, or for one that is not served. */
export const pipeline = computed<Pipeline | null>(() => {
  const { value } = pipelines;
  const { pipeline: name } = route.value;
  if (value === null) return null;
  return value.pipelines.find((one) => (name === null ? one.default : one.pipeline === name)) ?? null;
});

/** The stations now, by id, in order of the id; null before the first answer. */
export const stations = signal<ReadonlyMap<string, Station> | null>(null);
/** Newest window end of the network, epoch ms of event time; null before the first. */
export const frontier = signal<number | null>(null);
/** When anything of the pipeline was last committed, wall time; null before it is known. */
export const lastHeard = signal<number | null>(null);
export const speed = signal<number | null>(null);
export const health = signal<Health | null>(null);
/** What is wrong now, of all pipelines; null before the stream has said so. */
export const alerts = signal<Alerts | null>(null);
export const connection = signal<StreamState>("connecting");
/** Since when the stream is cut, wall time; null while it is not. */
export const cutSince = signal<number | null>(null);
/** Why the picture is not there, or old; null while it is well. */
export const fault = signal<string | null>(null);

/** Whoever wants each event as it comes, and not only what the picture became. */
type Follower = <K extends keyof StreamEvents>(kind: K, data: StreamEvents[K]) => void;
const followers = new Set<Follower>();
/** Hears every event of the pipeline that is shown; returns how to end that. */
export function follow(follower: Follower): () => void {
  followers.add(follower);
  return () => followers.delete(follower);
}
/** Told when something may have been missed. */
const losers = new Set<() => void>();
export function onMissed(work: () => void): () => void {
  losers.add(work);
  return () => losers.delete(work);
}

/** Pages of stations that are fetched, of a thousand each: beyond them a list is for no person. */
const PAGES_MAX = 10;
/** Events wait as long for the next picture, by how many stations there are to draw: a hundred a second are drawn ten times. */
const flushAfter = (drawn: number): number => Math.min(250, Math.max(100, drawn / 4));

const KINDS = ["prediction", "observation", "verification", "anomaly", "job", "health", "alerts"] as const;

/** The whole list, now or as of a moment. */
export async function allStations(name: string | null, at: string | null): Promise<Stations> {
  const pages: Stations[] = [];
  for (let after: string | null | undefined; pages.length < PAGES_MAX && after !== null; ) {
    const query = { ...(at === null ? {} : { at }), ...(after === undefined ? {} : { after }) };
    const page = (await answer(apiOf(name).GET("/stations", { params: { query } }))) as Stations;
    pages.push(page);
    after = page.next;
  }
  const [first] = pages;
  return { ...first!, stations: pages.flatMap((page) => page.stations) };
}

/** What is served can change, and a store can come back: asked again when something fell or came back. */
async function loadPipelines(): Promise<void> {
  try {
    pipelines.value = await answer(apiOf(null).GET("/pipelines"));
  } catch {
    // Whether the server answers is the stream's to say.
  }
}

let loading = 0;
async function loadStations(): Promise<void> {
  const turn = ++loading;
  // Without windows nobody knows of any; such a pipeline shows something else.
  if (pipeline.peek()?.parts.includes("windows") !== true) {
    fault.value = null;
    return;
  }
  const { pipeline: name } = route.peek();
  try {
    const { stations: rows, frontier: end, at } = await allStations(name, null);
    if (turn !== loading) return;
    const now = stations.peek();
    stations.value = new Map(
      rows.map((row) => {
        // What the stream has brought meanwhile may be newer.
        const held = now?.get(row.station_id);
        const newer = held?.forecast && (row.forecast?.timestamp ?? "") < held.forecast.timestamp;
        return [row.station_id, newer ? { ...held, observed: row.observed } : row];
      }),
    );
    const youngest_s = Math.min(...rows.flatMap(({ age_s }) => (age_s === null ? [] : [age_s])));
    if (Number.isFinite(youngest_s))
      lastHeard.value = Math.max(lastHeard.peek() ?? 0, Date.parse(at) - youngest_s * 1000);
    if (end !== null) frontier.value = Math.max(frontier.peek() ?? 0, Date.parse(end));
    fault.value = null;
  } catch (error) {
    if (turn === loading) fault.value = reasonOf(error);
  }
}

let waiting: { kind: keyof StreamEvents; data: never }[] = [];
let pace = new Pace();

function flush(): void {
  const events = waiting;
  waiting = [];
  const next = new Map(stations.peek());
  let end = frontier.peek();
  for (const { kind, data } of events) {
    if (kind === "prediction") {
      const event: StreamEvents["prediction"] = data;
      const { station_id, prediction } = event;
      next.set(station_id, withPrediction(next.get(station_id) ?? strange(station_id), event));
      const at_ms = Date.parse(prediction.timestamp);
      end = Math.max(end ?? 0, at_ms);
      const commit_ms = Date.parse(prediction.stages["commit_time"] ?? "") || Date.now();
      lastHeard.value = Math.max(lastHeard.peek() ?? 0, commit_ms);
      pace.take(at_ms, commit_ms);
    } else if (kind === "observation") {
      const event: StreamEvents["observation"] = data;
      next.set(
        event.station_id,
        withObservation(next.get(event.station_id) ?? strange(event.station_id), event),
      );
      end = Math.max(end ?? 0, Date.parse(event.observed.window_end));
    } else if (kind === "health") {
      if (health.peek() !== null) void loadPipelines();
      health.value = data;
    } else if (kind === "alerts") alerts.value = data;
    for (const follower of followers) follower(kind, data);
  }
  // Before the first list only half of a station would be known.
  if (stations.peek() !== null) stations.value = next;
  frontier.value = end;
  speed.value = pace.speed;
}

export const browserEffects: StreamEffects = {
  open: (url) => new EventSource(url) as never,
  probe: async (url) => {
    try {
      return (await fetch(url, { method: "HEAD" })).status;
    } catch {
      return null;
    }
  },
  signIn: () => location.reload(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

let stream: LiveStream | null = null;

/** Begins the picture of a pipeline, and ends that of the one before. */
function begin(name: string): void {
  stream?.close();
  stations.value = null;
  frontier.value = null;
  lastHeard.value = null;
  speed.value = null;
  pace = new Pace();
  waiting = [];
  stream = new LiveStream(
    `/stream?pipeline=${encodeURIComponent(name)}&kind=${KINDS.join(",")}`,
    KINDS,
    browserEffects,
    {
      event: (kind, data) => {
        if (waiting.push({ kind: kind as keyof StreamEvents, data: data as never }) === 1)
          setTimeout(flush, flushAfter(stations.peek()?.size ?? 0));
      },
      state: (state) => {
        connection.value = state;
        if (state === "cut") cutSince.value ??= Date.now();
        if (state !== "live") return;
        cutSince.value = null;
      },
      missed: () => {
        void loadStations();
        for (const work of losers) work();
      },
    },
  );
  void loadStations();
}

/** Starts once: asks what is served, then follows the pipeline that the address names. */
export async function start(): Promise<void> {
  for (let wait_ms = 500; ; wait_ms = Math.min(wait_ms * 2, 10_000)) {
    try {
      pipelines.value = await answer(apiOf(null).GET("/pipelines"));
      fault.value = null;
      break;
    } catch (error) {
      fault.value = reasonOf(error);
      await new Promise((resolve) => setTimeout(resolve, wait_ms));
    }
  }
  let shown: string | null = null;
  pipeline.subscribe((now) => {
    if (now === null || now.pipeline === shown) return;
    shown = now.pipeline;
    begin(now.pipeline);
  });
}
