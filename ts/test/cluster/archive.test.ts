// Every committed record in the archive once, on real Spark, across two kill -9 of its driver in mid-stream, with compaction
// and vacuum running; and a backfill from it that equals the oracle. At full count: `millrace prove --only archive`.
// Then what an archive that is not whole is told apart by, on a table made by hand.

import { execa } from "execa";
import { expect, inject, it } from "vitest";
import { sendOnce } from "../../kafka/kafka.ts";
import { proveArchive } from "../../prove/archive.ts";
import { archiveOf, reachOf } from "../../supervise/archive.ts";
import { tables } from "../../supervise/plan.ts";
import { namespace } from "./namespace.ts";

const engines = inject("engines");

it("the archive holds each committed record once, bytes and all, and a backfill from it is right", {
  timeout: 900_000,
}, async () => {
  const round = await proveArchive({
    engines,
    seed: 1,
    kills: 2,
    share: 0.4,
    signal: new AbortController().signal,
    log: (line) => console.log(line),
  });
  expect(round.first_wrong).toEqual([]);
  expect(round.checked).toMatchObject({ missing: 0, extra: 0, repeated: 0, changed: 0 });
  expect(round.checked.records).toBeGreaterThan(10_000);
  expect(round.whole).toBe(true);
  expect(round.kills).toHaveLength(2);
  expect(round.backfill).toMatchObject({ wrong: 0 });
  expect(round.backfill.rejects).toBeGreaterThan(50);
});

/** Rows of partition 0 as the archive has them, one hour of 1970 after another. */
const TABLE = `
import sys, json
import pyarrow as pa
from datetime import date
from deltalake import write_deltalake
path, offsets = sys.argv[1], json.loads(sys.argv[2])
write_deltalake(path, pa.table({
    "partition": pa.array([0] * len(offsets), pa.int32()),
    "offset": pa.array(offsets, pa.int64()),
    "event_time": pa.array([o * 3_600_000_000 for o in offsets], pa.timestamp("us", "UTC")),
    "clock_ms": pa.array([o * 3_600_000 for o in offsets], pa.int64()),
    "reason": pa.array([None] * len(offsets), pa.string()),
    "event_date": pa.array([date(1970, 1, 1)] * len(offsets)),
}), partition_by=["event_date"])
`;

it("names a missing archive, a gap, a repeat and an empty range, with what to do", async () => {
  const { settings, kafka, names, clear } = await namespace(engines, "archive-gap");
  try {
    await expect(archiveOf(settings, kafka)).rejects.toThrow(
      /there is none; "millrace submit weather-archive"/,
    );
    const { topic } = names.topics.raw;
    const send = (slot: number) =>
      sendOnce(
        kafka,
        names.transactionalId("gap", slot),
        [1, 2, 3].map(() => ({ topic, key: "a", value: Buffer.from("v"), partition: 0 })),
      );
    // Records 0 to 2, a marker, records 4 to 6, a marker, records 8 to 10.
    for (const slot of [0, 1, 2]) await send(slot);
    const archived = [0, 1, 2, 4, 6, 6];
    await execa(settings.pythonPath, ["-c", TABLE, tables(settings).archive, JSON.stringify(archived)]);

    const archive = await archiveOf(settings, kafka);
    expect(archive).toMatchObject({ rows: 6, files: 1, whole: false });
    expect(archive.partitions[0]).toEqual({
      partition: 0,
      rows: 6,
      first: 0,
      last: 6,
      repeated: 1,
      gaps: [{ first: 5, last: 5, records: 1, kind: "missing" }],
      unknowable: 0,
      behind: 5,
    });
    expect(archive.partitions).toHaveLength(names.topics.raw.partitions);

    await expect(reachOf(settings, kafka, {})).rejects.toThrow(
      /partition 0 lacks 1 committed records of offsets 5 to 5; the topic still holds them: run it with --from-topic/,
    );
    await expect(reachOf(settings, kafka, { offsets: { "0": [100, 200] } })).rejects.toThrow(
      /it holds none; the archive has 6 rows of 1970-01-01 to 1970-01-01/,
    );
    const hour_ms = 3_600_000;
    await expect(
      reachOf(settings, kafka, { span: { from_ms: 20 * hour_ms, to_ms: 30 * hour_ms } }),
    ).rejects.toThrow(/it holds none/);
    const whole = await reachOf(settings, kafka, { span: { from_ms: 0, to_ms: 4 * hour_ms } });
    expect(whole).toEqual({
      starting_offsets: JSON.stringify({ [topic]: { "0": 0 } }),
      ending_offsets: JSON.stringify({ [topic]: { "0": 3 } }),
      records: 3,
      unknowable: 0,
    });
  } finally {
    await clear();
  }
});
