// A certificate on real engines: three hours of Singapore, shuffled and late by up to nine minutes, streamed, computed again and
// compared with the oracle window by window. 10,000 windows: `millrace prove --only certificate`.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, inject, it } from "vitest";
import { generate } from "../../codegen/generate.ts";
import { connectKafka } from "../../kafka/client.ts";
import { addPipelines, pipelineOf } from "../../pipelines/index.ts";
import { proveCertificate } from "../../rehearse/prove/certificate.ts";
import { randomOf } from "../../rehearse/prove/random.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { fileInput } from "../../source/replay/input.ts";
import { certifyInput } from "../../supervise/certify.ts";

const engines = inject("engines");
const folder = mkdtempSync(join(tmpdir(), "certify-"));
afterAll(() => {
  addPipelines(null);
  rmSync(folder, { recursive: true, force: true });
});

/** Ten trams say every 15 seconds where they are; some change their line, some reports come up to a minute and a half late. */
function tramReports(minutes: number): string {
  const random = randomOf(1);
  const start_ms = Date.UTC(2024, 2, 7, 6);
  const reports = Array.from({ length: minutes * 4 }, (_, slot) => slot).flatMap((slot) =>
    Array.from({ length: 10 }, (_, tram) => {
      const time_ms = start_ms + slot * 15_000 + tram * 1_000;
      const line = ["4", "7", "E2"][random() < 0.9 ? tram % 3 : 0]!;
      const values = [Math.round(random() * 300) - 60, (random() * 14).toFixed(1)];
      return {
        at: time_ms + (random() < 0.2 ? random() * 90_000 : 0),
        text: [`t${tram}`, new Date(time_ms).toISOString(), line, "", ...values].join(","),
      };
    }),
  );
  const rows = reports.sort((a, b) => a.at - b.at).map(({ text }) => text);
  return `tram,reported_at,line,platform,delay,speed\n${rows.join("\n")}\n`;
}

it("a stream of late and shuffled records gets a certificate, and nothing of it is left behind", {
  timeout: 1_800_000,
}, async () => {
  const round = await proveCertificate({
    engines,
    seed: 1,
    sample: 3_000,
    to_ms: Date.UTC(2017, 2, 7, 3),
    signal: new AbortController().signal,
    log: (line) => console.log(line),
  });
  console.log(JSON.stringify(round));
  expect(round.reasons).toEqual([]);
  expect(round).toMatchObject({ verdict: "passed", counts: { different: 0, refused: 0, repeated: 0 } });
  expect(round.counts["sampled"]).toBeGreaterThan(2_500);
  expect(round.counts["equal"]! + round.counts["late"]!).toBe(round.counts["sampled"]);
  const kafka = connectKafka(engines.kafka);
  try {
    expect((await kafka.admin.topics()).filter((topic) => topic.startsWith("certify-"))).toEqual([]);
  } finally {
    await kafka.close();
  }
});

it("windows by an attribute get one too: of the lines that trams of several partitions run on", {
  timeout: 1_800_000,
}, async () => {
  cpSync(join(engines.root, "ts", "test", "pipelines", "trams"), join(folder, "trams"), { recursive: true });
  generate({ root: engines.root, check: false, pipelines: folder });
  addPipelines(folder);
  const settings: Settings = { ...engines, namespace: "lines", pipeline: "trams", pipelines: folder };
  const { contract } = pipelineOf("trams");
  const path = join(folder, "trams.csv");
  writeFileSync(path, tramReports(90));
  try {
    const { certificate } = await certifyInput(
      settings,
      fileInput({ path, contract, order: "file" }),
      { sample: 10_000, seed: 1 },
      {
        signal: new AbortController().signal,
        say: (line) => console.log(line),
        onState: (state) => console.log(`certify: ${state}`),
      },
    );
    const { verdict, reasons, counts, first_differences } = certificate;
    console.log(JSON.stringify(counts));
    expect({ verdict, reasons, first_differences }).toEqual({
      verdict: "passed",
      reasons: [],
      first_differences: [],
    });
    expect(counts).toMatchObject({ records: 3_600, different: 0, refused: 0, repeated: 0 });
    // Three lines; a window ends every minute and the first and last are begun only.
    expect(counts["windows"]).toBeGreaterThan(3 * 88);
    expect(counts["equal"]! + counts["late"]!).toBe(counts["windows"]);
  } finally {
    rmSync(stateDir(settings), { recursive: true, force: true });
  }
});
