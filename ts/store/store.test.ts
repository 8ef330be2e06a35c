// The store on a real PostgreSQL and a Kafka in memory: what is written, what is read of it, and what a slow oracle says of both.

import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { until } from "../ground/until.ts";
import type { OutRecord } from "../kafka/kafka.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { startPostgres, type TestDatabase } from "../test/postgres.ts";
import { HOUR_MS, T0_MS, verification } from "../test/served/weather.ts";
import { type Stored, stored } from "../test/stored.ts";
import { backup, restore } from "./backup.ts";
import { dropStore, openClient } from "./database.ts";
import type { Page, Paging, Range } from "./queries.ts";
import { rebuild } from "./rebuild.ts";
import { reportStore } from "./report.ts";
import { purge } from "./retention.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * HOUR_MS;

// A real database on a machine that others use as well: a rebuild of four rounds has taken 20 s.
vi.setConfig({ testTimeout: 90_000 });

let database: TestDatabase;
beforeAll(async () => {
  database = await startPostgres();
}, 120_000);
afterAll(() => database?.remove(), 60_000);

/** Work on a pipeline of its own, which is gone afterwards. */
const on = (work: (s: Stored) => Promise<void>) => async () => {
  const s = await stored(
    database.settings,
    fakeKafka(() => Date.now()),
  );
  try {
    await work(s);
  } finally {
    await dropStore({ settings: s.settings, names: s.names });
    await s.remove();
  }
};

const open: Range = { from_ms: null, to_ms: null };
const first: Paging = { limit: 100, cursor: null, order: "asc" };
const query = { arm: "champion", ...open, ...first } as const;

/** Every row of a question, page by page. */
async function all<T>(
  limit: number,
  ask: (paging: Paging) => Promise<Page<T>>,
  order: "asc" | "desc" = "asc",
) {
  const rows: T[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: Page<T> = await ask({ limit, cursor, order });
    rows.push(...page.rows);
    cursor = page.next;
    if (cursor === null) return rows;
  }
}

const windowsOf = (s: Stored, count: number, more: (i: number) => object = () => ({})): OutRecord[] =>
  Array.from({ length: count }, (_, i) =>
    s.record("predictions", "denver", {
      timestamp: T0_MS + i * MINUTE_MS,
      revision: 100 + i,
      ...more(i),
    }),
  );

describe("what is written", () => {
  it(
    "is every record once, and goes on after a restart where the offsets are",
    on(async (s) => {
      await s.send([
        ...windowsOf(s, 50),
        s.record("features", "denver"),
        s.record("verifications", "denver"),
        s.record("rejects", "denver"),
      ]);
      await s.fill();
      await s.send(windowsOf(s, 30, (i) => ({ timestamp: T0_MS + (50 + i) * MINUTE_MS })));
      const again = await s.fill();
      expect(again.state().rows.predictions).toBe(30);
      const report = await reportStore({ settings: s.settings, names: s.names }, s.names, s.kafka);
      expect(Object.fromEntries(report.tables.map(({ table, rows }) => [table, rows]))).toEqual({
        features: 1,
        predictions: 80,
        verifications: 1,
        rejects: 1,
        anomalies: 0,
      });
      expect(report.version).toBe(report.wanted);
    }),
  );

  it(
    "is the record as it was, and which version of a window counts",
    on(async (s) => {
      const versions = [
        { plan_epoch: 1, revision: 7, model_version: "a" },
        { plan_epoch: 2, revision: 3, model_version: "newest" },
        { plan_epoch: 1, revision: 9, model_version: "b" },
      ];
      for (const version of versions) await s.send([s.record("predictions", "denver", version)]);
      await s.fill();
      const latest = await s.store.latestPrediction("denver", "champion");
      expect(latest).toMatchObject({
        entity: "denver",
        record: { station_id: "denver", model_version: "newest", timestamp: T0_MS, inputs: [1, Number.NaN] },
        arrival: { topic: `${s.names.prefix}weather-predictions` },
      });
      const history = { ...query, entity: "denver" };
      expect((await s.store.predictions({ ...history, revision: "latest" })).rows).toEqual([latest]);
      const every = (await s.store.predictions({ ...history, revision: "all" })).rows;
      expect(every.map(({ record }) => record["model_version"])).toEqual(["a", "b", "newest"]);
    }),
  );

  it(
    "keeps a window of the future and lets it be no newest of anything",
    on(async (s) => {
      await s.send([
        s.record("predictions", "denver", { model_version: "now" }),
        s.record("predictions", "denver", { timestamp: Date.UTC(2073, 0, 1), model_version: "future" }),
        s.record("features", "denver", { window_end: Date.UTC(2073, 0, 1) }),
      ]);
      await s.fill({ days: 1, features_days: 1 });
      expect(await s.store.latestPrediction("denver", "champion")).toMatchObject({
        record: { model_version: "now" },
      });
      expect(await s.store.span()).toMatchObject({ newest_ms: T0_MS });
      const every = await s.store.predictions({ ...query, entity: "denver", revision: "all" });
      expect(every.rows).toHaveLength(2);
    }),
  );

  it(
    "leaves out what cannot be decoded or asked for, and counts it",
    on(async (s) => {
      const [good] = windowsOf(s, 1);
      await s.send([
        { ...good!, value: Buffer.from("?") },
        s.record("predictions", "x".repeat(2_000)),
        s.record("predictions", "a\0b", { model_version: "m\0" }),
        good!,
      ]);
      const sink = await s.fill();
      expect(sink.state()).toMatchObject({ undecodable: 2, rows: { predictions: 2 } });
      expect(await s.store.latestPrediction("a\0b", "champion")).toBeNull();
      expect(await s.store.latestPrediction("a\uFFFDb", "champion")).toMatchObject({
        record: { station_id: "a\0b", model_version: "m\0" },
      });
    }),
  );

  it(
    "survives that its connection is cut in mid-stream",
    on(async (s) => {
      const { sink, lines } = s.sink();
      const stop = new AbortController();
      const running = sink.run(stop.signal);
      const killer = await openClient({ settings: s.settings, names: s.names });
      for (let i = 0; i < 20; i++) {
        const { batches } = sink.state();
        await s.send(windowsOf(s, 25, (j) => ({ timestamp: T0_MS + (i * 25 + j) * MINUTE_MS })));
        if (i % 5 !== 4) continue;
        await until(() => ({ done: sink.state().batches > batches, seen: null }), { deadline_ms: 10_000 });
        await s.send(windowsOf(s, 1, () => ({ timestamp: T0_MS + 500 * MINUTE_MS })));
        await killer.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1 and pid <> pg_backend_pid()",
          [`millrace-${s.settings.namespace}-%`],
        );
      }
      stop.abort();
      await running;
      await killer.end();
      await s.fill();
      const rows = await all(200, (paging) =>
        s.store.predictions({ ...query, ...paging, entity: "denver", revision: "all" }),
      );
      expect(rows.map(({ record }) => record["timestamp"])).toEqual(
        Array.from({ length: 501 }, (_, i) => T0_MS + i * MINUTE_MS),
      );
      expect(new Set(rows.map(({ record }) => record["id"])).size).toBe(501);
      expect(lines.join("\n")).toContain("waits: Cannot");
    }),
  );

  it(
    "goes by days of event time, feature rows by fewer",
    on(async (s) => {
      const days = [0, 3, 8, 12];
      await s.send(
        days.flatMap((day) => [
          s.record("features", "denver", { window_end: T0_MS + day * DAY_MS }),
          s.record("predictions", "denver", { timestamp: T0_MS + day * DAY_MS }),
        ]),
      );
      await s.fill();
      const client = await openClient({ settings: s.settings, names: s.names });
      const retention = { days: 10, features_days: 5 };
      // Two feature rows with what points at them, and a prediction with what points at it.
      expect(await purge(client, retention)).toEqual({ removed: 6, more: false });
      expect(await purge(client, retention)).toEqual({ removed: 0, more: false });
      await client.end();
      const history = { ...query, entity: "denver", revision: "all" } as const;
      const ends = (rows: readonly { record: Readonly<Record<string, unknown>> }[], field: string) =>
        rows.map(({ record }) => (Number(record[field]) - T0_MS) / DAY_MS);
      expect(ends((await s.store.windows(history)).rows, "window_end")).toEqual([8, 12]);
      expect(ends((await s.store.predictions(history)).rows, "timestamp")).toEqual([3, 8, 12]);
      expect((await s.store.windows({ ...history, revision: "latest" })).rows).toHaveLength(2);
    }),
  );
});

describe("a rebuild", () => {
  it(
    "is seen by a sink to which nothing comes",
    on(async (s) => {
      await s.send(windowsOf(s, 5));
      await s.fill();
      const { effects, sink, lines } = s.sink();
      const stop = new AbortController();
      const running = sink.run(stop.signal);
      await until(() => ({ done: sink.state().waits_for === null, seen: lines }), { deadline_ms: 30_000 });
      await rebuild(effects, { empty: true, signal: stop.signal, onProgress: () => {} });
      stop.abort();
      await running;
      expect(lines).toContain("the store's offsets were moved: goes on from where they are now");
    }),
  );

  it(
    "brings back what is missing, in place and from nothing, while a sink writes",
    on(async (s) => {
      await s.send([...windowsOf(s, 40), s.record("features", "denver")]);
      await s.fill();
      const history = { ...query, entity: "denver", revision: "latest" } as const;
      const whole = await s.store.predictions(history);
      const client = await openClient({ settings: s.settings, names: s.names });
      for (const empty of [false, true])
        for (const beside of [false, true]) {
          await client.query("delete from predictions where revision % 3 = 0");
          expect((await s.store.predictions(history)).rows.length).toBeLessThan(40);
          const { effects, sink } = s.sink();
          const stop = new AbortController();
          const running = beside ? sink.run(stop.signal) : Promise.resolve();
          const lines: string[] = [];
          await rebuild(effects, { empty, signal: stop.signal, onProgress: (line) => lines.push(line) });
          stop.abort();
          await running;
          expect(await s.store.predictions(history)).toEqual(whole);
          expect(lines.at(-1)).toMatch(/^(\d+) of \1 offsets$/);
        }
      await client.end();
    }),
  );
});

describe("pages", () => {
  it(
    "go through a history once, in both orders, while rows come at both ends",
    on(async (s) => {
      await s.send(windowsOf(s, 60));
      await s.fill();
      for (const revision of ["latest", "all"] as const)
        for (const order of ["asc", "desc"] as const) {
          const ask = (paging: Paging) =>
            s.store.predictions({ ...query, ...paging, entity: "denver", revision });
          const before = (await all(100, ask, order)).map(({ record }) => record["id"]);
          const page = await ask({ limit: 7, cursor: null, order });
          await s.send([
            s.record("predictions", "denver", { timestamp: T0_MS - (before.length + 5) * MINUTE_MS }),
            s.record("predictions", "denver", { timestamp: T0_MS + (before.length + 99) * MINUTE_MS }),
          ]);
          await s.fill();
          const rest = await all(
            9,
            (paging) => ask({ ...paging, cursor: paging.cursor ?? page.next }),
            order,
          );
          const seen = [...page.rows, ...rest].map(({ record }) => record["id"]);
          // What came behind the page's end is there as well, what came before its beginning is not.
          expect(seen.slice(0, before.length)).toEqual(before);
          expect(seen).toHaveLength(before.length + 1);
        }
    }),
  );

  it(
    "refuse a cursor of another question, a forged one, and what is beyond a bound",
    on(async (s) => {
      await s.send(windowsOf(s, 3));
      await s.fill();
      const ask = (more: object) =>
        s.store.predictions({ ...query, entity: "denver", revision: "latest", limit: 1, ...more });
      const { next } = await ask({});
      expect(next).not.toBeNull();
      const invalid = { code: "config_invalid" };
      await expect(ask({ cursor: next, entity: "seattle" })).rejects.toMatchObject(invalid);
      await expect(ask({ cursor: next, order: "desc" })).rejects.toMatchObject(invalid);
      for (const forged of ["", "x", "'; drop table predictions", `${next}AA`, "A".repeat(20_000)])
        await expect(ask({ cursor: forged })).rejects.toMatchObject(invalid);
      for (const more of [
        { limit: 0 },
        { limit: 1_001 },
        { limit: 1.5 },
        { from_ms: 2, to_ms: 1 },
        { from_ms: 0, to_ms: 11 * 366 * DAY_MS },
        { from_ms: Number.NaN },
      ])
        await expect(ask(more)).rejects.toMatchObject(invalid);
      expect((await ask({ cursor: next })).rows).toHaveLength(1);
    }),
  );
});

describe("anomalies", () => {
  interface Judged {
    readonly at: number;
    readonly revision: number;
    readonly type: string | null;
    readonly score: number;
  }

  /** Slow and obvious: the latest verdict of each window, in order, cut where the type changes. */
  function runsOf(judged: readonly Judged[]) {
    const latest = new Map<number, Judged>();
    for (const one of judged)
      if (one.revision >= (latest.get(one.at)?.revision ?? -1)) latest.set(one.at, one);
    const windows = [...latest.values()].sort((a, b) => a.at - b.at);
    const runs: {
      type: string;
      opened_ms: number;
      last_ms: number;
      ended_ms: number | null;
      severity: number;
      peak_ms: number;
      windows: number;
    }[] = [];
    let before: string | null = null;
    for (const { at, type, score } of windows) {
      const run = runs.at(-1);
      if (type !== before && before !== null) run!.ended_ms = at;
      if (type !== null && type === before) {
        run!.last_ms = at;
        run!.windows++;
        if (score > run!.severity) [run!.severity, run!.peak_ms] = [score, at];
      } else if (type !== null)
        runs.push({
          ...{ type, opened_ms: at, last_ms: at, ended_ms: null, severity: score, peak_ms: at, windows: 1 },
        });
      before = type;
    }
    return runs;
  }

  it(
    "are the runs of the latest verdicts, however late, revised and cut into batches they came",
    on(async (s) => {
      let seed = 7;
      const random = () => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
        return seed / 2_147_483_648;
      };
      const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
      const judged: Judged[] = [];
      for (let batch = 0; batch < 40; batch++) {
        const records = Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
          const one: Judged = {
            at: T0_MS + Math.floor(random() * 30) * MINUTE_MS,
            revision: judged.length + 1 - (random() < 0.2 ? Math.floor(random() * judged.length) : 0),
            type: pick([null, null, "spike", "spike", "step"]),
            score: Math.round(random() * 100) / 100,
          };
          judged.push(one);
          const { at, revision, type, score } = one;
          return s.record("predictions", "denver", {
            timestamp: at,
            revision,
            model_version: String(judged.length),
            anomaly: {
              ...{ is_anomaly: type !== null, anomaly_score: score, anomaly_type: type },
              ...{ evidence: [], method: "rules" },
            },
          });
        });
        await s.send(records);
        if (batch % 3 === 0) await s.fill();
      }
      await s.fill();
      const ask = (paging: Paging) =>
        s.store.anomalies({ ...query, ...paging, entity: null, type: null, severity: null, open: false });
      const found = await all(4, ask);
      expect(found.map(({ id: _, entity: __, ...run }) => run)).toEqual(runsOf(judged));
      expect(found.length).toBeGreaterThan(3);
      expect(new Set(found.map(({ id }) => id)).size).toBe(found.length);
      for (const one of found) expect(await s.store.anomaly(one.id, query.arm)).toEqual(one);
      for (const id of [`${found[0]!.id.slice(0, -1)}g`, "", "a", "-", "zzzzzzzzzzz-".padEnd(36, "0"), "\0"])
        expect(await s.store.anomaly(id, query.arm)).toBeNull();
      expect(await s.store.anomaly(found[0]!.id, "challenger")).toBeNull();
      const [from_ms, to_ms] = [T0_MS + 10 * MINUTE_MS, T0_MS + 12 * MINUTE_MS];
      const within = await s.store.anomalies({
        ...query,
        ...{ entity: "denver", type: "spike", severity: 0.3, open: false, from_ms, to_ms },
      });
      expect(within.rows.map(({ opened_ms }) => opened_ms)).toEqual(
        runsOf(judged)
          .filter(({ type, severity }) => type === "spike" && severity >= 0.3)
          .filter(({ opened_ms, ended_ms }) => opened_ms < to_ms && (ended_ms ?? Infinity) > from_ms)
          .map(({ opened_ms }) => opened_ms),
      );
    }),
  );
});

describe("a backup", () => {
  /** Every row of every table but the offsets, as text. */
  async function contents(s: Stored): Promise<Record<string, readonly string[]>> {
    const client = await openClient(s);
    try {
      const found: Record<string, readonly string[]> = {};
      for (const table of [
        ...["schemas", "entities", "features", "latest_features", "predictions", "latest_predictions"],
        ...["anomalies", "verifications", "rejects"],
      ]) {
        const { rows } = await client.query<{ row: string }>(
          `select t::text as row from ${table} t order by 1`,
        );
        found[table] = rows.map(({ row }) => row);
      }
      return found;
    } finally {
      await client.end();
    }
  }
  const offsets = async (s: Stored): Promise<number> => {
    const client = await openClient(s);
    const { rows } = await client.query<{ count: number }>("select count(*) from offsets");
    await client.end();
    return rows[0]!.count;
  };
  const file = () => join(mkdtempSync(join(tmpdir(), "millrace-backup-")), "store");
  const filled = async (s: Stored) => {
    const flagged = {
      is_anomaly: true,
      anomaly_score: 2,
      anomaly_type: "range",
      evidence: ["x"],
      method: "rules",
    };
    await s.send([
      ...windowsOf(s, 300, (i) => (i > 250 ? { anomaly: flagged } : {})),
      ...Array.from({ length: 100 }, (_, i) =>
        s.record("features", "denver", { window_end: T0_MS + i * MINUTE_MS }),
      ),
      s.record("verifications", "denver"),
      s.record("rejects", "denver"),
    ]);
    await s.fill();
  };

  it(
    "brings every row back, in the same and in another namespace, and the sink goes on without a row twice",
    on(async (s) => {
      await filled(s);
      const before = await contents(s);
      expect(before["anomalies"]).toHaveLength(1);
      const path = file();
      const written = await backup(s, path, T0_MS);
      expect(written.rows).toMatchObject({ predictions: 300, features: 100, verifications: 1, rejects: 1 });
      expect(readdirSync(dirname(path))).toEqual(["store"]);
      await s.send(windowsOf(s, 20, (i) => ({ timestamp: T0_MS + (300 + i) * MINUTE_MS })));
      await s.fill();
      await expect(restore(s, path, { replace: false })).rejects.toThrow(
        "expected empty tables, or --replace, got rows in",
      );
      expect(await restore(s, path, { replace: true })).toEqual(written);
      expect(await contents(s)).toEqual(before);
      expect(await offsets(s)).toBe(0);
      // All of the topics again: what is there is there once, what came after the backup comes.
      const { effects } = s.sink();
      const signal = new AbortController().signal;
      await rebuild(effects, { empty: false, signal, onProgress: () => undefined });
      const after = await contents(s);
      expect(after["predictions"]).toHaveLength(320);
      expect(after["features"]).toEqual(before["features"]);
      const other = await stored(database.settings, fakeKafka());
      try {
        await restore(other, path, { replace: false });
        expect(await contents(other)).toEqual(before);
      } finally {
        await dropStore(other);
        await other.remove();
      }
    }),
  );

  it(
    "is of one moment, whatever is written meanwhile",
    on(async (s) => {
      await filled(s);
      const before = await contents(s);
      const path = file();
      const more = windowsOf(s, 200, (i) => ({ timestamp: T0_MS + (500 + i) * MINUTE_MS }));
      await s.send(more);
      await Promise.all([s.fill(), backup(s, path, T0_MS)]);
      await restore(s, path, { replace: true });
      const after = await contents(s);
      // A window that counts is in all tables or in none.
      expect(after["latest_predictions"]).toHaveLength(after["predictions"]!.length);
      expect([before["predictions"]!.length, before["predictions"]!.length + 200]).toContain(
        after["predictions"]!.length,
      );
    }),
  );

  it(
    "that is cut, changed, of another pipeline or version, or none changes nothing",
    on(async (s) => {
      await filled(s);
      const path = file();
      await backup(s, path, T0_MS);
      const before = await contents(s);
      const whole = readFileSync(path);
      const plain = gunzipSync(whole);
      const from = (bytes: Buffer) => {
        writeFileSync(path, bytes);
        return restore(s, path, { replace: true });
      };
      const changed = Buffer.from(plain);
      const at = changed.length - 2_000;
      changed[at] = changed[at]! ^ 1;
      const end = plain.lastIndexOf('{"rows"');
      const said = (text: string, more: string) =>
        gzipSync(Buffer.from(plain.toString("latin1").replace(text, more), "latin1"));
      for (const [bytes, words] of [
        [whole.subarray(0, whole.length / 2), "cut or broken"],
        [whole.subarray(0, whole.length - 4), "cut or broken"],
        [gzipSync(plain.subarray(0, end)), "bytes are not those"],
        [gzipSync(plain.subarray(0, plain.length / 2)), "cut"],
        [gzipSync(changed), "expected a whole backup"],
        [Buffer.alloc(0), "expected a whole backup"],
        [Buffer.from("nothing"), "cut or broken"],
        [gzipSync(Buffer.from("{}\n")), "a file of another kind"],
        [
          said('"pipeline":"weather"', '"pipeline":"meters!"'),
          'one of pipeline "weather", got one of "meters!"',
        ],
        [
          said('"version":"0001_tables"', '"version":"0009_tables"'),
          "restore it with the software that wrote it",
        ],
      ] as const)
        await expect(from(bytes)).rejects.toThrow(words);
      await expect(restore(s, `${path}.none`, { replace: true })).rejects.toThrow(
        "no file that can be read (ENOENT)",
      );
      await expect(backup(s, join(path, "below"), T0_MS)).rejects.toThrow("a file that can be written");
      expect(await contents(s)).toEqual(before);
      expect(await offsets(s)).toBeGreaterThan(0);
    }),
  );
});

describe("sums", () => {
  it(
    "are those of the columns, by horizon, day and entity",
    on(async (s) => {
      const of = (station: string, valid: number, error: number, more: object = {}) =>
        s.record("verifications", station, {
          ...verification({ valid }),
          id: `${station}${valid}${error}`,
          model: { ...verification().model, error, covered_50: Math.abs(error) < 1 },
          ...more,
        });
      await s.send([
        of("denver", T0_MS, -1),
        of("denver", T0_MS + DAY_MS, 0.5),
        of("seattle", T0_MS, 2, { persistence: { value: null, error: null } }),
        of("seattle", T0_MS + HOUR_MS, 9, { in_sample: true }),
        of("seattle", T0_MS + 2 * HOUR_MS, 9, { status: "unverifiable" }),
        of("seattle", T0_MS + 3 * HOUR_MS, 9, { arm: "challenger" }),
      ]);
      await s.fill();
      const range = { arm: "champion", from_ms: T0_MS, to_ms: T0_MS + 2 * DAY_MS, entity: null };
      const [whole, ...none] = await s.store.scores({ ...range, by: "horizon" });
      expect(none).toEqual([]);
      expect(whole).toMatchObject({
        ...{ target: "temperature", horizon_h: 6, day_ms: null, entity: null },
        ...{ pairs: 3, unverifiable: 1, in_sample: 1, abs: 3.5, bias: 1.5, pinball: 4.5, width: 13.5 },
        covered: { 50: 1, 80: 3, 90: 3 },
        persistence: { pairs: 2, model: 1.5, baseline: 4 },
        dap: { pairs: 3, model: 3.5, baseline: 4.5 },
      });
      const days = await s.store.scores({ ...range, by: "day" });
      expect(days.map(({ day_ms, pairs }) => [day_ms, pairs])).toEqual([
        [Date.UTC(2016, 11, 4), 2],
        [Date.UTC(2016, 11, 5), 1],
      ]);
      const stations = await s.store.scores({ ...range, by: "entity" });
      expect(stations.map(({ entity, pairs }) => [entity, pairs])).toEqual([
        ["denver", 2],
        ["seattle", 1],
      ]);
      const listed = await all(2, (paging) =>
        s.store.verifications({ ...query, ...paging, entity: null, target: null, horizon_h: 6 }),
      );
      expect(listed).toHaveLength(5);
      expect(await s.store.span()).toMatchObject({ verified_ms: T0_MS + DAY_MS });
    }),
  );
});

describe("a moment", () => {
  it(
    "shows each entity's newest window that had ended by then",
    on(async (s) => {
      await s.send([
        ...windowsOf(s, 3),
        s.record("features", "seattle", { window_end: T0_MS + 5 * MINUTE_MS }),
        s.record("features", "denver", { window_end: T0_MS }),
      ]);
      await s.fill();
      const at = async (at_ms: number | null) =>
        (await s.store.entitiesAt({ arm: "champion", at_ms, limit: 10, cursor: null })).rows.map(
          ({ entity, features, prediction }) => [
            entity,
            features?.record["window_end"] ?? null,
            prediction?.record["timestamp"] ?? null,
          ],
        );
      expect(await at(T0_MS + MINUTE_MS)).toEqual([
        ["denver", T0_MS, T0_MS + MINUTE_MS],
        ["seattle", null, null],
      ]);
      expect(await at(null)).toEqual([
        ["denver", T0_MS, T0_MS + 2 * MINUTE_MS],
        ["seattle", T0_MS + 5 * MINUTE_MS, null],
      ]);
      const one = await s.store.entitiesAt({ arm: "champion", at_ms: null, limit: 1, cursor: null });
      const two = await s.store.entitiesAt({ arm: "champion", at_ms: null, limit: 1, cursor: one.next });
      expect([...one.rows, ...two.rows].map(({ entity }) => entity)).toEqual(["denver", "seattle"]);
      expect(two.next).toBeNull();
    }),
  );
});

describe("a store that is not there", () => {
  it(
    "is said as such, before anything was written and while PostgreSQL is away",
    on(async (s) => {
      await expect(s.store.span()).rejects.toMatchObject({ code: "store_unreachable" });
      await s.send(windowsOf(s, 2));
      await s.fill();
      await database.stop();
      await expect(s.store.latestPrediction("denver", "champion")).rejects.toMatchObject({
        code: "store_unreachable",
      });
      const { sink } = s.sink();
      const stop = new AbortController();
      const running = sink.run(stop.signal);
      await s.send(windowsOf(s, 2, (i) => ({ timestamp: T0_MS + (10 + i) * MINUTE_MS })));
      await database.start();
      stop.abort();
      await running;
      await s.fill();
      expect(await s.store.latestPrediction("denver", "champion")).toMatchObject({
        record: { timestamp: T0_MS + 11 * MINUTE_MS },
      });
    }),
  );
});
