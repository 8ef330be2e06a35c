// The proof that the certificate passes where it should: minute data of Singapore, shuffled and late by up to nine minutes,
// streamed through the real features job and certified. What must make it fail is in jobs/pyspark/tests/test_certify.py.

import { createHash, randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { pipelineOf } from "../../pipelines/index.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { fileInput } from "../../source/replay/input.ts";
import type { Input, Row } from "../../source/row.ts";
import { certifyInput } from "../../supervise/certify.ts";
import { randomOf } from "./random.ts";

export interface CertificateOptions {
  readonly engines: Settings;
  readonly seed: number;
  /** Most windows that are compared; about as many observations are streamed. */
  readonly sample: number;
  /** Only observations before this time, epoch ms; null for the whole sample file. */
  readonly to_ms: number | null;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface CertificateRound {
  readonly seed: number;
  readonly verdict: "passed" | "failed";
  readonly reasons: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly sha256: string;
  readonly seconds: number;
}

/** Late by at most this always counts; the contract's lateness is ten minutes, and a transaction spans some of it. */
const LATE_MS = 9 * 60_000;
/** Share of the rows that come late. */
const LATE_SHARE = 0.3;

/** The same rows as a network that delays some of them would hand them on. Holds them all. Same seed, same order. */
export async function delayedRows(input: Input, seed: number): Promise<Input> {
  const random = randomOf(seed);
  const arrivals: { readonly at: number; readonly row: Row }[] = [];
  for await (const rows of input.rows())
    for (const row of rows)
      arrivals.push({ at: row.time + (random() < LATE_SHARE ? random() * LATE_MS : 0), row });
  arrivals.sort((a, b) => a.at - b.at);
  let clock = Number.NEGATIVE_INFINITY;
  const rows = arrivals.map(({ row }) => {
    clock = Math.max(clock, row.clock);
    return { ...row, clock };
  });
  return {
    name: input.name,
    fingerprint: async () =>
      createHash("sha256")
        .update(`${await input.fingerprint()} shuffled ${seed}`)
        .digest("hex"),
    async *rows() {
      if (rows.length > 0) yield rows;
    },
  };
}

export async function proveCertificate(options: CertificateOptions): Promise<CertificateRound> {
  const { engines, seed, sample, to_ms, signal, log } = options;
  const begin_ms = performance.now();
  const settings: Settings = { ...engines, namespace: `cert-${randomUUID().slice(0, 8)}` };
  const { contract } = pipelineOf(settings.pipeline);
  const path = join(engines.root, "samples", "singapore-1min-3days.csv.gz");
  try {
    const input = await delayedRows(fileInput({ path, contract, to_ms }), seed);
    const { certificate, sha256 } = await certifyInput(
      settings,
      input,
      { sample, seed },
      { signal, say: log, onState: (state) => log(`certify: ${state}`) },
    );
    const { verdict, reasons, counts, first_differences } = certificate;
    return {
      seed,
      verdict,
      reasons: [...reasons, ...first_differences.map((row) => JSON.stringify(row))],
      counts,
      sha256,
      seconds: Math.round((performance.now() - begin_ms) / 1000),
    };
  } finally {
    rmSync(stateDir(settings), { recursive: true, force: true });
  }
}
