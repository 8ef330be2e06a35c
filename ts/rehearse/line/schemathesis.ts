// Asks a server all that its own description says may be asked, and judges each answer by what the description promises:
// Schemathesis, of the jobs' Python environment. The stream is left out: it has no end, and a suite of its own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

export interface Judged {
  /** 0 when every promise was kept. */
  readonly exitCode: number | null;
  readonly said: string;
  readonly generated: number;
  /** 0 where one failed: it then says no such number. */
  readonly passed: number;
}

export interface Judging {
  /** The checkout. */
  readonly root: string;
  /** Of the server. */
  readonly url: string;
  /** Cases of each operation. */
  readonly cases: number;
  /** Further arguments. */
  readonly words?: readonly string[];
  readonly limit_ms: number;
  readonly signal?: AbortSignal;
}

/** Seeded by nothing but the description: the same cases each time. */
export async function judge({ root, url, cases, words = [], limit_ms, signal }: Judging): Promise<Judged> {
  // It leaves what it found where it was started.
  const cwd = mkdtempSync(join(tmpdir(), "millrace-promises-"));
  const config = ["--config-file", join(root, "ts", "serve", "schemathesis.toml")];
  const how = ["--phases", "coverage,fuzzing", "--generation-deterministic", "--no-color"];
  const bounds = ["--request-timeout", "10", "--exclude-path", "/stream", "--max-examples", String(cases)];
  try {
    const { all, exitCode } = await execa(
      join(root, ".venv", "bin", "st"),
      [...config, "run", `${url}/openapi.json`, ...how, ...bounds, ...words],
      { cwd, all: true, timeout: limit_ms, reject: false, ...(signal && { cancelSignal: signal }) },
    );
    return { exitCode: exitCode ?? null, said: all, ...countsOf(all) };
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

/** What its summary says of all test cases; each phase says beside it how many operations passed. */
export function countsOf(said: string): Pick<Judged, "generated" | "passed"> {
  const [, generated = "0", passed = "0"] = /(\d+) generated(?:, (\d+) passed)?/.exec(said) ?? [];
  return { generated: Number(generated), passed: Number(passed) };
}
