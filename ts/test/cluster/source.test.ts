// `millrace replay` as a process of its own on a real broker: killed, started twice, interrupted. Every observation once.

import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { Decoder } from "../../contract/index.ts";
import { wallClock } from "../../ground/clock.ts";
import { type KafkaRecord, readAll } from "../../kafka/kafka.ts";
import { namesOf, pipelineOf, subjectsOf, topicOf, topicsOf } from "../../pipelines/index.ts";
import { type Namespace, openNamespace, removeNamespace, uniqueName } from "../../rehearse/line/namespace.ts";
import type { Settings } from "../../settings/settings.ts";
import { feed } from "../../source/replay/feed.ts";
import { positionOf } from "../../source/replay/position.ts";
import { syntheticInput } from "../../source/replay/synthetic.ts";
import { readCursor } from "../../source/send/cursor.ts";
import { spanOf, targetOf } from "../../source/send/target.ts";
import { apply } from "../../supervise/apply.ts";

const engines = inject("engines");
const folder = mkdtempSync(join(engines.home, "source-"));

type Child = ReturnType<typeof start>;
const start = (file: string, args: readonly string[]) => execa(file, args, { reject: false });

describe("millrace replay", () => {
  let ground: Namespace;
  let settings: string;
  const running = new Set<Child>();

  beforeAll(async () => {
    ground = await openNamespace(engines, uniqueName("source"));
    settings = join(folder, "settings.json");
    writeFileSync(settings, JSON.stringify(ground.settings));
  });
  afterAll(async () => {
    for (const child of running) child.kill("SIGKILL");
    await Promise.allSettled(running);
    await removeNamespace(ground);
  });

  /** Rows ten seconds apart: a transaction covers at most 150 s of event time, so the file takes hundreds of them. */
  const written = (name: string, count: number): string => {
    const path = join(folder, `${name}.csv`);
    const start = Date.UTC(2017, 0, 1);
    const lines = Array.from(
      { length: count },
      (_, i) => `${name}-${i % 20},${start + i * 10_000},${i % 50}`,
    );
    writeFileSync(path, `station_id,timestamp,temperature\n${lines.join("\n")}\n`);
    return path;
  };
  const replay = (path: string, source: string, ...flags: string[]): Child => {
    const child = start(join(ground.settings.root, "bin", "millrace"), [
      ...["replay", path, "--source", source, "--json", "--settings", settings],
      ...flags,
    ]);
    running.add(child);
    child.then(() => running.delete(child));
    return child;
  };
  const sent = async (prefix: string): Promise<KafkaRecord[]> =>
    (await readAll(ground.kafka, topicOf(ground.names, "raw").topic)).filter((r) =>
      String(r.key).startsWith(`${prefix}-`),
    );
  /** Waits until so many more records of a feed are committed. */
  const committed = async (prefix: string, count: number): Promise<void> => {
    const signal = AbortSignal.timeout(60_000);
    const reader = ground.kafka.read(topicOf(ground.names, "raw").topic, {
      from: "beginning",
      until: "never",
      signal,
    });
    let seen = 0;
    for await (const records of reader) {
      seen += records.filter((r) => String(r.key).startsWith(`${prefix}-`)).length;
      if (seen >= count) return;
    }
    throw new Error(`Only ${seen} of ${count} records of ${prefix} within a minute`);
  };
  const proveOnce = async (prefix: string, count: number): Promise<void> => {
    const records = await sent(prefix);
    const { contract, registry } = ground;
    const decoder = new Decoder<Record<string, number>>(contract.schemas.observation, (id) =>
      registry.schemaById(id),
    );
    const times: number[] = [];
    const newest = new Map<string, number>();
    for (const { key, value, headers } of records) {
      const decoded = await decoder.decode(value);
      if (!decoded.ok) throw new Error(decoded.detail);
      const time = decoded.record["timestamp"]!;
      times.push(time);
      expect(time).toBeGreaterThan(newest.get(String(key)) ?? 0);
      newest.set(String(key), time);
      expect(Number(headers["clock"])).toBe(time);
    }
    expect(times.sort((a, b) => a - b)).toEqual(
      Array.from({ length: count }, (_, i) => Date.UTC(2017, 0, 1) + i * 10_000),
    );
  };

  it("sends every observation once across kill -9", async () => {
    const count = 4_000;
    const path = written("killed", count);
    for (const part of [200, 1_500]) {
      const child = replay(path, "killed", "--speed", "max");
      await committed("killed", part);
      child.kill("SIGKILL");
      expect((await child).signal).toBe("SIGKILL");
    }
    const last = await replay(path, "killed", "--speed", "max");
    expect(last.exitCode, String(last.stderr)).toBe(0);
    const report = JSON.parse(String(last.stdout));
    expect(report).toMatchObject({ finished: true, position: count, bad: 0 });
    expect(report.resumed_at).toBeGreaterThanOrEqual(1_500);
    expect(report.sent + report.resumed_at).toBe(count);
    await proveOnce("killed", count);
    const again = await replay(path, "killed", "--speed", "max");
    expect(JSON.parse(String(again.stdout))).toMatchObject({ sent: 0, resumed_at: count });
    await proveOnce("killed", count);
  });

  it("a second one of the same name takes over, the first says so and ends", async () => {
    const count = 3_000;
    const path = written("twin", count);
    // 60 rows a second: the first still has most of the file to send when the second has started, however slow that is.
    const first = replay(path, "twin", "--speed", "600");
    await committed("twin", 100);
    const second = replay(path, "twin", "--speed", "max");
    const [one, two] = await Promise.all([first, second]);
    expect(two.exitCode, String(two.stderr)).toBe(0);
    expect(one.exitCode).toBe(1);
    expect(String(one.stderr)).toContain("fenced by a newer one");
    expect(String(one.stderr)).not.toContain("    at ");
    await proveOnce("twin", count);
  });

  it("Ctrl-C commits and exits cleanly, a paced feed keeps its timetable", async () => {
    const path = written("paced", 4_000);
    const child = replay(path, "paced", "--speed", "3600");
    await committed("paced", 30);
    child.kill("SIGINT");
    const { exitCode, stdout, stderr } = await child;
    expect(exitCode, String(stderr)).toBe(0);
    const report = JSON.parse(String(stdout));
    expect(report.finished).toBe(false);
    expect(await sent("paced")).toHaveLength(report.position);
    for (const { stable, end } of await ground.kafka.admin.offsets(topicOf(ground.names, "raw").topic))
      expect(stable).toBe(end);
  });

  it("says what is wrong with a file, a cursor, a registry and a broker, and what to do", async () => {
    const path = join(folder, "bad.csv");
    writeFileSync(path, "station_id,timestamp,temperature\nbad-a,1,2\nbad-b,x,2\nbad-c,3,4\n");
    const rows = await replay(path, "bad");
    expect(rows.exitCode).toBe(0);
    expect(String(rows.stderr)).toContain('bad.csv:3 column "timestamp": expected RFC 3339');
    expect(JSON.parse(String(rows.stdout))).toMatchObject({ sent: 2, bad: 1 });

    const other = await replay(written("other", 10), "bad");
    expect(other.exitCode).toBe(2);
    expect(String(other.stderr)).toMatch(/expected the input of its cursor/);

    const missing = await replay(join(folder, "none.csv"), "none");
    expect(missing.exitCode).toBe(2);
    expect(String(missing.stderr)).toContain("ENOENT");

    const away = join(folder, "away.json");
    writeFileSync(away, JSON.stringify({ ...ground.settings, registryUrl: "http://127.0.0.1:1" }));
    const unreachable = await replay(path, "away", "--settings", away);
    expect(unreachable.exitCode).toBe(3);
    expect(String(unreachable.stderr)).toContain("http://127.0.0.1:1");
    expect(String(unreachable.stderr)).not.toContain("    at ");
  });

  it("applies over a namespace of before, and goes on from the cursor it finds there", async () => {
    const before = join(ground.settings.root, "schemas", "golden", "before");
    const json = (path: string) => JSON.parse(readFileSync(join(before, path), "utf8"));
    const tables: Record<string, Record<string, string>> = json("state/default/applied-weather.json").tables;
    const old: Settings = { ...ground.settings, namespace: `before-${randomUUID().slice(0, 8)}` };
    const { pipeline, contract } = pipelineOf(old.pipeline);
    const names = namesOf(pipeline, old.namespace);
    const { kafka, registry } = ground;
    const oldSettings = join(folder, "before.json");
    writeFileSync(oldSettings, JSON.stringify(old));
    const topics = topicsOf(names);
    try {
      await kafka.admin.ensure(topics);
      let cursor_id = 0;
      for (const { what, subject } of subjectsOf(names, contract))
        for (const schema of Object.values(tables[what] ?? {})) {
          const id = await registry.register(subject, schema, "BACKWARD_TRANSITIVE");
          if (what === "cursors") cursor_id = id;
        }
      const [, second]: { key: string; value: string }[] = json("topics/cursors.json");
      const value = Buffer.from(second!.value, "hex");
      value.writeUInt32BE(cursor_id, 1);
      const producer = await kafka.producer({ transactional_id: names.transactionalId("before", 0) });
      const transaction = await producer.begin();
      await transaction.send([{ topic: names.topics.cursors.topic, key: second!.key, value }]);
      await transaction.commit();
      await producer.close();

      const path = join(ground.settings.root, "schemas", "golden", "weather", "observations.csv");
      const unapplied = await replay(path, "replay", "--settings", oldSettings, "--speed", "max");
      expect(unapplied.exitCode).toBe(1);
      expect(String(unapplied.stderr)).toContain("millrace apply");
      const report = await apply({ settings: old, kafka, registry });
      expect(report.subjects.find(({ subject }) => subject === names.topics.cursors.subject)).toMatchObject({
        change: "evolved",
      });
      const done = await replay(path, "replay", "--settings", oldSettings, "--speed", "max");
      expect(done.exitCode, String(done.stderr)).toBe(0);
      expect(JSON.parse(String(done.stdout))).toMatchObject({ resumed_at: 6, sent: 20, position: 26 });
    } finally {
      await kafka.admin.remove(topics.map(({ topic }) => topic));
      for (const { subject } of topics) await registry.remove(subject);
    }
  });

  it("goes on with a log that has grown, and sends nothing twice under another name", async () => {
    const path = written("grown", 40);
    expect(JSON.parse(String((await replay(path, "grown", "--speed", "max")).stdout))).toMatchObject({
      sent: 40,
    });
    written("grown", 50);
    const other = await replay(path, "grown-more", "--speed", "max");
    expect(other.exitCode).toBe(2);
    expect(String(other.stderr)).toMatch(/which source "grown-0" has; .*--source grown/);
    const more = await replay(path, "grown", "--speed", "max");
    expect(JSON.parse(String(more.stdout))).toMatchObject({ sent: 10, resumed_at: 40 });
    await proveOnce("grown", 50);
  });

  it("fills its transactions when times are dense", async () => {
    const { kafka, registry, names, contract } = ground;
    const target = await targetOf({ kafka, registry, names, contract, source: "dense" });
    const count = 40_000;
    const input = syntheticInput({
      contract,
      stations: 1_000,
      rate: 50_000,
      count,
      start_ms: Date.UTC(2018, 0, 1),
    });
    const start_ms = wallClock.nowMs();
    let commits = 0;
    const { sent } = await feed(input, target, {
      speed: "max",
      loop: false,
      span_ms: spanOf(contract),
      clock: wallClock,
      onProgress: () => commits++,
    });
    // The rate is for the eye: this machine runs a whole test suite. `make bench` judges it.
    console.log(`feed() ${Math.round(count / ((wallClock.nowMs() - start_ms) / 1000))} observations/s`);
    expect({ sent, commits }).toEqual({ sent: count, commits: count / 1_000 });
    const cursor = await readCursor(target, target.source);
    expect(cursor).toMatchObject({ kind: "replay", commits });
    expect(positionOf(cursor!.token)).toMatchObject({ pass: 0, position: count });
  });
});
