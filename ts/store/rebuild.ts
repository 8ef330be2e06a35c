// Fills the tables of a pipeline again from its topics, in place: rows that are there stay, rows that are missing come. The offsets are
// moved back; whoever writes the tables (the sink's job, else a sink of this call) sees that and begins where the topics begin.

import { pause } from "../ground/pause.ts";
import { topicOf } from "../pipelines/index.ts";
import { migrate, openClient, type StorePlace, storeError } from "./database.ts";
import { STORED } from "./rows.ts";
import { Sink, type SinkEffects } from "./sink.ts";
import { positionKey, readPositions } from "./write.ts";

const LOOK_MS = 1_000;

interface RebuildOptions {
  /** Throws all rows away first, those too that the topics no longer hold. */
  readonly empty: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/** Resolves once everything that was in the topics at the beginning is in the tables. Errors: `store_unreachable`, `kafka_unreachable`. */
export async function rebuild(
  effects: SinkEffects,
  { empty, signal, onProgress }: RebuildOptions,
): Promise<void> {
  const { place, names, contract, kafka } = effects;
  const topics = STORED.filter((kind) => contract.schemas[kind]).map((kind) => topicOf(names, kind).topic);
  const goals = new Map<string, number>();
  let [begin, end] = [0, 0];
  for (const topic of topics)
    for (const { partition, start, stable } of await kafka.admin.offsets(topic)) {
      if (stable > start) goals.set(positionKey(topic, partition), stable);
      begin += start;
      end += stable;
    }
  await moveBack(place, empty);
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  signal.addEventListener("abort", interrupt, { once: true });
  // Waits for as long as another one writes, and is not needed then.
  const writing = new Sink(effects).run(stop.signal);
  const client = await openClient(place);
  try {
    for (let said = ""; !stop.signal.aborted; ) {
      const positions = await readPositions(client);
      const left = [...goals].reduce(
        (sum, [key, goal]) => sum + Math.max(0, goal - (positions.get(key) ?? 0)),
        0,
      );
      const line = `${Math.max(0, end - begin - left).toLocaleString("en")} of ${(end - begin).toLocaleString("en")} offsets`;
      if (line !== said) onProgress(line);
      said = line;
      if (left === 0) break;
      // A sink that cannot go on says why.
      await Promise.race([pause(LOOK_MS, stop.signal), writing]);
    }
  } catch (error) {
    throw storeError("see how far the store is", place, error);
  } finally {
    stop.abort();
    signal.removeEventListener("abort", interrupt);
    await client.end().catch(() => undefined);
    await writing;
  }
}

async function moveBack(place: StorePlace, empty: boolean): Promise<void> {
  await migrate(place);
  const client = await openClient(place);
  try {
    await client.query("begin");
    // The batch that a writer has in hand is in before this, or it sees that the offsets moved.
    await client.query("lock table offsets in exclusive mode");
    await client.query("delete from offsets");
    if (empty)
      await client.query(
        `truncate ${STORED.join(", ")}, latest_features, latest_predictions, anomalies, entities`,
      );
    await client.query("commit");
  } catch (error) {
    throw storeError("move the store's offsets back", place, error);
  } finally {
    await client.end().catch(() => undefined);
  }
}
