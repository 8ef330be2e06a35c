// Where a source of a pipeline writes: names, ids and codecs put together for feed.ts.
// Looks up the registry's ids, and registers nothing: that is `millrace apply`.

import { Decoder, encoder, PipelineError, type SourceCursor } from "../../contract/index.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import type { Registry } from "../../kafka/registry.ts";
import type { Contract, Names } from "../../pipelines/index.ts";
import { SPAN_OF_LATENESS } from "../replay/batches.ts";
import type { Target } from "../replay/feed.ts";
import type { Row } from "../row.ts";

export interface TargetOptions {
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  readonly contract: Contract;
  /** Name of the source: `replay`. */
  readonly source: string;
  readonly slot?: number;
}

/** Most event time one transaction of a pipeline's source may cover. */
export function spanOf(contract: Pick<Contract, "lateness_ms">): number {
  return Math.floor(contract.lateness_ms * SPAN_OF_LATENESS);
}

/** Errors: `contract_mismatch` when the registry does not hold this contract, `registry_unreachable`. */
export async function targetOf({
  kafka,
  registry,
  names,
  contract,
  source,
  slot = 0,
}: TargetOptions): Promise<Target> {
  const { raw, cursors } = names.topics;
  const raw_id = await registry.idOf(raw.subject, contract.schemas.observation);
  const cursors_id = await registry.idOf(cursors.subject, contract.schemas.cursors);
  const decoder = new Decoder<SourceCursor>(contract.schemas.cursors, (id) => registry.schemaById(id));
  return {
    kafka,
    raw_topic: raw.topic,
    cursors_topic: cursors.topic,
    transactional_id: names.transactionalId(source, slot),
    source: `${source}-${slot}`,
    event_time: contract.event_time,
    encode: encoder<Row["record"]>(contract.schemas.observation, raw_id),
    encodeCursor: encoder<SourceCursor>(contract.schemas.cursors, cursors_id),
    async decodeCursor(value) {
      const decoded = await decoder.decode(value);
      if (decoded.ok) return decoded.record;
      throw new PipelineError(
        "contract_mismatch",
        `Cannot read the cursor of source "${source}" in "${cursors.topic}": expected a source_cursor, got ${decoded.reason} (${decoded.detail})`,
      );
    },
  };
}
