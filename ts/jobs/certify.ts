// weather-certify: do the stream, the backfill and a naive oracle agree row by row.

import type { CertifyParams } from "../contract/generated/params.ts";
import { topicOf } from "../pipelines/names.ts";
import { requirePart } from "../pipelines/parts.ts";
import { type Before, namesIn, needsCommand, readingOf, sharedParams, tableFor } from "./plan/params.ts";
import { BATCH_EXECUTOR_MEMORY, onSpark } from "./plan/spark.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

export interface CertifyChoice
  extends Pick<
    CertifyParams,
    | "starting_offsets"
    | "ending_offsets"
    | "writer_schemas"
    | "from_ms"
    | "to_ms"
    | "sample"
    | "seed"
    | "file_name"
    | "file_sha256"
    | "covers_from_ms"
    | "covers_to_ms"
  > {
  /** Where the certificate goes; null: beside this namespace's feature table. */
  readonly certificates_path: string | null;
}

export function planCertify(setting: Setting, choice: CertifyChoice): Planned {
  const { settings, pipeline, contract, applied } = setting;
  const names = namesIn(setting);
  const params: Before<CertifyParams> = {
    ...sharedParams(setting, "certify"),
    ...readingOf(setting, contract.stream),
    features_topic: topicOf(names, "features").topic,
    features_schemas: tableFor(applied, "features"),
    shuffle_partitions: 4,
    ...choice,
    certificates_path: choice.certificates_path ?? tables(settings).certificates,
  };
  return onSpark(
    setting,
    "certify",
    {
      cores: requirePart(pipeline, "windows").resources.cores,
      // The oracle and the sampled rows live in the driver's Python, beside this.
      driver_memory: "900m",
      executor_memory: BATCH_EXECUTOR_MEMORY,
    },
    params,
  );
}

export const certify: JobType = {
  name: "certify",
  engine: "spark",
  kind: "batch",
  summary: "whether stream, backfill and a naive oracle agree row by row",
  module: "certify.certify",
  needs: ["windows"],
  reads: ["raw", "features"],
  writes: ["certificates"],
  standard: false,
  plan(setting) {
    throw needsCommand(setting, "certify");
  },
};
