// The store on real engines: a sink as the process it is, killed in mid-stream, its PostgreSQL killed and away, its disk full. In the
// end the tables hold each id once and are what a scan of the topics gives. A PostgreSQL of its own, because it kills.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { serve } from "../../cli/jobs/serve.ts";
import { type Identity, identify } from "../../ground/identity.ts";
import { end, launchProcess } from "../../ground/process.ts";
import { until } from "../../ground/until.ts";
import { connectKafka } from "../../kafka/client.ts";
import { type Kafka, readAll } from "../../kafka/kafka.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { topicOf } from "../../pipelines/index.ts";
import { decoderOf } from "../../serve/live.ts";
import type { Settings } from "../../settings/settings.ts";
import { openClient } from "../../store/database.ts";
import { STORED } from "../../store/rows.ts";
import { startPostgres, type TestDatabase } from "../postgres.ts";
import { T0_MS } from "../served/weather.ts";
import { type Stored, stored } from "../stored.ts";

const engines = inject("engines");
const MINUTE_MS = 60_000;
const STATIONS = ["denver", "new-york", "seattle"];

let kafka: Kafka;
let database: TestDatabase;
let s: Stored;
let sink: (Identity & { readonly mark: string }) | null = null;
let folder: string;

/** The engines, with another store. */
const withStore = ({ settings: { home, ports, databaseUrl } }: TestDatabase): Settings => ({
  ...engines,
  home,
  databaseUrl,
  ports: { ...engines.ports, postgres: ports.postgres },
});

function startSink(): void {
  const settings = join(folder, "settings.json");
  writeFileSync(settings, JSON.stringify(s.settings));
  const mark = `sink-${s.settings.namespace}-${crypto.randomUUID()}`;
  const identity = launchProcess({
    command: join(engines.root, "bin", "millrace"),
    args: ["sink", "--settings", settings, "--pipeline", "weather"],
    env: {},
    cwd: folder,
    log: join(folder, "sink.log"),
    mark,
  });
  sink = { ...identity, mark };
}

async function killSink(): Promise<void> {
  if (sink) await end("the sink", sink, { deadline_ms: 0 });
  sink = null;
}

/** Kills the first process, and waits until its port is free: the others end by themselves. */
async function killPostgres(): Promise<void> {
  const pid = database.pid();
  process.kill(pid, "SIGKILL");
  await until(() => ({ done: identify(pid) === null, seen: null }), { deadline_ms: 10_000, interval_ms: 20 });
}

let sent = 0;
/** A window of each station, its forecast and what one was worth. */
const round = () => {
  const at = T0_MS + sent++ * MINUTE_MS;
  return s.send(
    STATIONS.flatMap((station) => [
      s.record("features", station, { window_end: at }),
      ...Array.from({ length: 20 }, (_, i) =>
        s.record("predictions", station, { timestamp: at, revision: i, model_version: "3" }),
      ),
      s.record("verifications", station, { valid: at }),
    ]),
  );
};

/** Waits until everything that was sent is in the tables, by the group that lag tools look at. */
async function caughtUp(): Promise<void> {
  const { done, seen } = await until(
    async () => {
      const lags = await Promise.all(
        STORED.map((kind) => kafka.admin.lag(s.names.groups.dashboard, topicOf(s.names, kind).topic)),
      );
      const left = lags.flat().filter(({ lag, end }) => end > 0 && lag > 0);
      return { done: left.length === 0, seen: left };
    },
    { deadline_ms: 90_000, interval_ms: 200 },
  );
  expect({ done, seen }).toEqual({ done: true, seen: [] });
}

/** Each table against a scan of its topic: the same bytes at the same offsets, each once. */
async function expectExact(): Promise<void> {
  const client = await openClient({ settings: s.settings, names: s.names });
  try {
    for (const kind of STORED) {
      if (kind === "rejects") continue;
      const { rows } = await client.query<{ partition: number; offset: number; value: Buffer }>(
        `select partition, "offset", value from ${kind} order by partition, "offset"`,
      );
      const scan = (await readAll(kafka, topicOf(s.names, kind).topic)).sort(
        (a, b) => a.partition - b.partition || a.offset - b.offset,
      );
      const told = (all: readonly { partition: number; offset: number; value: Buffer | null }[]) =>
        all.map(({ partition, offset, value }) => `${partition}/${offset} ${value?.toString("base64")}`);
      expect(told(rows)).toEqual(told(scan));
      expect(scan.length).toBeGreaterThan(0);
    }
    const { rows } = await client.query<{ latest: number; windows: number; newest: number }>(
      `select (select count(*) from latest_predictions) as latest, (select count(*) from latest_features) as windows,
         (select min(revision) from latest_predictions) as newest`,
    );
    expect(rows).toEqual([{ latest: sent * STATIONS.length, windows: sent * STATIONS.length, newest: 19 }]);
  } finally {
    await client.end();
  }
}

/** The history that the API answers against a scan of the topic, and what it answers while the store is away. */
async function expectServed(): Promise<void> {
  const decode = decoderOf(s.contract, connectRegistry(engines.registryUrl));
  const issued = new Map(STATIONS.map((station) => [station, [] as string[]]));
  for (const { value } of await readAll(kafka, topicOf(s.names, "predictions").topic)) {
    const decoded = await decode("predictions", value!);
    if (!decoded.ok) throw new Error(decoded.detail);
    const { station_id, id } = decoded.record as { station_id: string; id: string };
    issued.get(station_id)!.push(id);
  }
  const stop = new AbortController();
  let running = Promise.resolve();
  const url = await new Promise<string>((resolve, reject) => {
    const said = (line: string) => resolve((JSON.parse(line) as { url: string }).url);
    const flags = { host: "127.0.0.1", port: 0, rule: {}, json: true };
    const effects = { jobs: async () => [], signal: stop.signal, print: said, warn: () => undefined };
    running = serve(s.settings, flags, effects);
    running.catch(reject);
  });
  const answered = (path: string, status: number) =>
    until(
      async () => {
        const response = await fetch(`${url}${path}`);
        return { done: response.status === status, seen: [response.status, await response.text()] as const };
      },
      { deadline_ms: 30_000, interval_ms: 100 },
    );
  try {
    for (const [station, ids] of issued) {
      const served: string[] = [];
      let next: string | undefined = `/predictions/${station}/history?revision=all&order=asc&limit=1000`;
      while (next !== undefined) {
        const response: Response = await fetch(`${url}${next}`);
        const { predictions } = (await response.json()) as { predictions: { id: string }[] };
        served.push(...predictions.map(({ id }) => id));
        next = /^<(.+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
      }
      expect(served.sort()).toEqual(ids.sort());
    }
    expect(await answered("/predictions/denver", 200)).toMatchObject({ done: true });
    await killPostgres();
    const away = await answered("/predictions/denver/history", 503);
    expect(JSON.parse(away.seen[1])).toMatchObject({
      code: "store_unreachable",
      next: expect.stringContaining("millrace up"),
    });
    expect((await fetch(`${url}/predictions/denver`)).status).toBe(200);
    // What engines answer is kept for a moment, and the server itself asks for it now and then: also just before the kill.
    const { seen: postgres } = await until(
      async () => {
        const health = (await (await fetch(`${url}/health`)).json()) as {
          engines: { name: string; status: string }[];
        };
        const seen = health.engines.find(({ name }) => name === "postgres");
        return { done: seen?.status === "down", seen };
      },
      { deadline_ms: 10_000 },
    );
    expect(postgres).toMatchObject({
      ...{ needed: false, status: "down" },
      next: expect.stringContaining("millrace up"),
    });
    await database.start();
    expect(await answered("/predictions/denver/history", 200)).toMatchObject({ done: true });
  } finally {
    stop.abort();
    await running;
  }
}

async function open(home?: string): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), "sink-"));
  database = await startPostgres(home);
  // One each: a client goes on asking for topics that it has asked for, and those of the other test are gone.
  kafka = connectKafka(engines.kafka);
  s = await stored(withStore(database), kafka, connectRegistry(engines.registryUrl));
  sent = 0;
}

async function close(): Promise<void> {
  await killSink();
  await s?.remove();
  await kafka?.close();
  await database?.remove();
  rmSync(folder, { recursive: true, force: true });
}

describe("a sink", () => {
  beforeEach(() => open());
  afterEach(() => close());

  it("writes each record once over kill -9 of itself and of PostgreSQL, and a store that was away", async () => {
    startSink();
    const rounds = async (count: number) => {
      for (let i = 0; i < count; i++) await round();
    };
    await rounds(3);
    await caughtUp();
    const feeding = rounds(60);
    await killSink();
    startSink();
    await feeding;
    const more = rounds(60);
    await killPostgres();
    await more;
    await rounds(40);
    await database.start();
    await caughtUp();
    await expectExact();
    await expectServed();
  });
});

/** Whether this machine lets us have a small disk. */
function smallDisk(): string | null {
  const at = mkdtempSync(join(tmpdir(), "disk-"));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=150m,mode=0711", "tmpfs", at]).status === 0) return at;
  rmSync(at, { recursive: true });
  return null;
}

describe("a full disk", () => {
  let disk: string | null = null;
  beforeEach(async () => {
    disk = smallDisk();
    if (disk) await open(disk);
  });
  afterEach(async () => {
    if (!disk) return;
    // The mount point itself cannot be removed before it is let go.
    await killSink();
    await s.remove();
    await kafka.close();
    await database.stop();
    execFileSync("umount", [disk]);
    rmSync(disk, { recursive: true });
    rmSync(folder, { recursive: true, force: true });
  });

  it("loses nothing: the sink waits, and goes on once there is room", async ({ skip }) => {
    if (!disk) skip("no tmpfs can be mounted here");
    startSink();
    await round();
    await caughtUp();
    // All that is left but a little.
    const ballast = join(disk!, "ballast");
    spawnSync("sh", ["-c", 'dd if=/dev/zero of="$0" bs=64k 2>/dev/null', ballast]);
    const { done } = await until(
      async () => {
        for (let i = 0; i < 10; i++) await round();
        const log = execFileSync("cat", [join(folder, "sink.log")], { encoding: "utf8" });
        return { done: log.includes("waits: Cannot write into the store"), seen: null };
      },
      { deadline_ms: 60_000 },
    );
    expect(done).toBe(true);
    rmSync(ballast);
    // A log that could not be written ends the server; `up` brings back what has ended and leaves alone what runs.
    await database.start();
    await caughtUp();
    await expectExact();
  });
});
