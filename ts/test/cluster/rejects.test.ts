// Dead letters on a real broker: listed, shown, mended, sent again once; and `tail` of what came of it.

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { encoder } from "../../contract/index.ts";
import { readAll, sendOnce } from "../../kafka/kafka.ts";
import { topicOf } from "../../pipelines/index.ts";
import { type Namespace, openNamespace, removeNamespace, uniqueName } from "../../rehearse/line/namespace.ts";
import { resend } from "../../source/rejects.ts";

const engines = inject("engines");
const folder = mkdtempSync(join(engines.home, "rejects-"));
const CLOCK = Date.UTC(2017, 0, 1);

describe("millrace rejects and tail", () => {
  let ground: Namespace;
  let settings: string;
  let raw: string;
  const observation = {
    station_id: "new-york",
    timestamp: CLOCK,
    temperature: 480,
    humidity: 50,
    pressure: null,
    wind_speed: null,
    wind_direction: null,
    precipitation: null,
  };

  beforeAll(async () => {
    ground = await openNamespace(engines, uniqueName("rejects"));
    settings = join(folder, "settings.json");
    writeFileSync(settings, JSON.stringify(ground.settings));
    const { names, contract, registry, kafka } = ground;
    raw = topicOf(names, "raw").topic;
    const encode = encoder(
      contract.schemas.observation,
      await registry.idOf(topicOf(names, "raw").subject, contract.schemas.observation),
    );
    const encodeReject = encoder<Record<string, unknown>>(
      contract.schemas.rejects,
      await registry.idOf(names.topics.rejects.subject, contract.schemas.rejects),
    );
    const value = encode(observation);
    const reject = (offset: number, rest: Record<string, unknown>) => ({
      topic: names.topics.rejects.topic,
      key: "new-york",
      value: encodeReject({
        topic: raw,
        partition: 1,
        offset,
        field: null,
        reason: "undecodable",
        detail: "expected an observation",
        station_id: "new-york",
        schema_id: null,
        key: Buffer.from("new-york"),
        value,
        headers: { clock: Buffer.from(String(CLOCK)) },
        append_time: CLOCK,
        rejected_time: CLOCK + offset,
        ...rest,
      }),
    });
    await sendOnce(kafka, names.transactionalId("test", 0), [
      reject(7, { field: "temperature", reason: "out_of_range", detail: "expected -90 to 60, got 480" }),
      reject(7, { field: "temperature", reason: "out_of_range", detail: "expected -90 to 60, got 480" }),
      reject(8, { value: Buffer.from("junk"), reason: "bad_framing" }),
      reject(9, {
        reason: "time_jump",
        value: encode({ ...observation, temperature: 1, timestamp: CLOCK + 10 * 86_400_000 }),
      }),
      reject(10, { topic: topicOf(names, "features").topic, reason: "unscorable" }),
    ]);
  });
  afterAll(() => removeNamespace(ground));

  const millrace = async (
    ...args: string[]
  ): Promise<{ code: number | undefined; out: string; err: string }> => {
    const { exitCode, stdout, stderr } = await execa(
      join(ground.settings.root, "bin", "millrace"),
      [...args, "--settings", settings],
      { reject: false },
    );
    return { code: exitCode, out: String(stdout), err: String(stderr) };
  };
  const rows = (out: string): Record<string, unknown>[] =>
    out
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));

  it("list names each reject once, oldest first, and filters", async () => {
    const all = await millrace("rejects", "list", "--json");
    expect(all.code, all.err).toBe(0);
    expect(rows(all.out).map((r) => [r["id"], r["reason"], r["resent"]])).toEqual([
      [`${raw}/1/7/temperature`, "out_of_range", false],
      [`${raw}/1/8`, "bad_framing", false],
      [`${raw}/1/9`, "time_jump", false],
      [`${topicOf(ground.names, "features").topic}/1/10`, "unscorable", false],
    ]);
    const some = await millrace("rejects", "list", "--reason", "time_jump");
    expect(some.out).toContain(`${raw}/1/9`);
    expect(some.out).toContain("1 rejects");
  });

  it("show gives the bytes and the observation they hold", async () => {
    const { out } = await millrace("rejects", "show", `${raw}/1/7/temperature`);
    expect(JSON.parse(out)).toMatchObject({
      reason: "out_of_range",
      observation,
      headers: { clock: String(CLOCK) },
    });
    const unknown = await millrace("rejects", "show", `${raw}/9/9`);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain("millrace rejects list");
  });

  it("replay refuses what would be refused again, and sends nothing", async () => {
    const id = `${raw}/1/7/temperature`;
    const refused: readonly (readonly [readonly string[], Record<string, unknown>, RegExp])[] = [
      [[id], {}, /"temperature" from -90 to 60 degC, got 480/],
      [[id], { temperature: "99" }, /got 99/],
      [[id], { temperature: "" }, /a value for "temperature"/],
      [[id], { temp: "1" }, /"temp" expected one of/],
      [[`${raw}/1/8`], {}, /--value/],
      [[`${raw}/1/9`], {}, /ms ahead of its clock/],
      [[`${topicOf(ground.names, "features").topic}/1/10`], {}, /expected one of topic/],
      [[`${raw}/1/9`, id], { timestamp: CLOCK }, /got 480/],
    ];
    for (const [ids, changes, message] of refused)
      await expect(resend(ground, ids, changes)).rejects.toMatchObject({
        code: "config_invalid",
        message: expect.stringMatching(message),
      });
    const { code, err } = await millrace("rejects", "replay", id, "--set", "temperature=99");
    expect(code).toBe(2);
    expect(err).toContain("got 99");
    expect(await readAll(ground.kafka, raw)).toEqual([]);
  });

  it("replay sends a mended reject once, with its origin, and only the refused field", async () => {
    const id = `${raw}/1/7/temperature`;
    const first = await millrace("rejects", "replay", id, "--set", "temperature=48.0");
    expect(first.code, first.err).toBe(0);
    const again = await millrace("rejects", "replay", id, "--set", "temperature=48.0");
    expect(again.code).toBe(2);
    expect(again.err).toContain("each goes once");

    const corrected = join(folder, "corrected.json");
    writeFileSync(
      corrected,
      JSON.stringify({ timestamp: new Date(CLOCK + 60_000).toISOString(), humidity: 40 }),
    );
    const whole = await millrace("rejects", "replay", `${raw}/1/8`, "--value", corrected);
    expect(whole.code, whole.err).toBe(0);

    const { out } = await millrace("tail", "raw", "--json", "--from-beginning");
    const clock = { clock: String(CLOCK) };
    const nothing = {
      humidity: null,
      pressure: null,
      wind_speed: null,
      wind_direction: null,
      precipitation: null,
    };
    expect(rows(out)).toEqual([
      expect.objectContaining({
        key: "new-york",
        headers: { ...clock, origin: id },
        value: { station_id: "new-york", timestamp: CLOCK, temperature: 48, ...nothing },
      }),
      expect.objectContaining({
        headers: { ...clock, origin: `${raw}/1/8` },
        value: {
          station_id: "new-york",
          timestamp: CLOCK + 60_000,
          temperature: null,
          ...nothing,
          humidity: 40,
        },
      }),
    ]);
    const listed = await millrace("rejects", "list", "--json");
    expect(rows(listed.out).map((r) => r["resent"])).toEqual([true, true, false, false]);
  });

  it("tail ends at its limit, follows without a start, and says why a value cannot be decoded", async () => {
    const { kafka, names } = ground;
    const limited = await millrace("tail", raw, "--json", "--from-beginning", "--limit", "1");
    expect(rows(limited.out)).toHaveLength(1);
    await sendOnce(kafka, names.transactionalId("test", 0), [
      { topic: names.topics.progress.topic, key: Buffer.from([0xff]), value: Buffer.from("junk") },
    ]);
    const { out } = await millrace("tail", "job-progress", "--json", "--from-beginning");
    expect(rows(out)).toMatchObject([
      {
        key: "base64:/w==",
        partition: 0,
        value: { refused: "bad_framing", bytes: Buffer.from("junk").toString("base64") },
      },
    ]);
    const missing = await millrace("tail", "nothing-of-the-kind", "--from-beginning");
    expect(missing.code).toBe(2);
    expect(missing.err).toContain("millrace apply");
  });
});
