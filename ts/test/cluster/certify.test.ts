// A certificate on real engines: three hours of Singapore, shuffled and late by up to nine minutes, streamed, computed again and
// compared with the oracle window by window. 10,000 windows: `millrace prove --only certificate`.

import { expect, inject, it } from "vitest";
import { connectKafka } from "../../kafka/client.ts";
import { proveCertificate } from "../../rehearse/prove/certificate.ts";

const engines = inject("engines");

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
