// What a proof is about: the folders whose code it runs and judges by. As long as none of their files changes, what was proved
// holds, and is not proved again.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { digestOf } from "../../engines/package.ts";

const spark = (...rooms: readonly string[]) => rooms.map((room) => `jobs/pyspark/spark_jobs/${room}`);
const WINDOWS = [
  ...spark("kit", "generated", "windows"),
  "jobs/pyspark/tests",
  "ts/rehearse/line",
  "ts/rehearse/prove",
];

/** Folders of the repository by proof. Tests of the folders' own do not count. */
export const PROOF_FOLDERS = {
  kills: [
    "jobs/pyspark",
    "jobs/pyspark/tests",
    "jobs/ray",
    "jobs/ray/tests",
    ...[
      "contract",
      "engines",
      "ground",
      "jobs",
      "kafka",
      "pipelines",
      "rehearse/line",
      "rehearse/prove",
      "settings",
      "source",
      "supervise",
      "topology",
    ].map((room) => `ts/${room}`),
  ],
  windows: [...WINDOWS, "ts/source"],
  archive: [...WINDOWS, ...spark("archive"), "ts/lines"],
  serving: ["contract", "kafka", "rehearse/prove", "serve", "settings", "store", "supervise"].map(
    (room) => `ts/${room}`,
  ),
  lines: [
    ...["contract", "kafka", "lines", "pipelines/city", "rehearse/line", "rehearse/prove", "source"].map(
      (room) => `ts/${room}`,
    ),
  ],
  certificate: [...WINDOWS, ...spark("certify")],
} as const satisfies Record<string, readonly string[]>;

export type Proof = keyof typeof PROOF_FOLDERS;
export const PROOF_NAMES = Object.keys(PROOF_FOLDERS) as readonly Proof[];

/** SHA-256 over a proof's folders, 32 hex digits. */
export function proofDigest(root: string, proof: Proof): string {
  const digests = PROOF_FOLDERS[proof].map((folder) => `${folder} ${digestOf(join(root, folder))}`);
  return createHash("sha256").update(digests.join("\n")).digest("hex").slice(0, 32);
}

/** What a result is of. */
export interface ProofRequest {
  readonly proof: Proof;
  /** Digest of the code it is about. */
  readonly code: string;
  readonly seed: number;
  readonly count: number;
}

/** A result as it is written: with more of its own. */
export interface Written extends ProofRequest {
  /** Whether all of its rounds are in it. */
  readonly whole: boolean;
  readonly wrong: number;
}

/** Whether a result says all that is asked. */
export function proved(asked: ProofRequest, result: Written | null): boolean {
  return (
    result?.whole === true &&
    result.wrong === 0 &&
    (Object.keys(asked) as (keyof ProofRequest)[]).every((what) => result[what] === asked[what])
  );
}
