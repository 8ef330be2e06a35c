// Where a stream stands: the next offset of each partition of each topic, as the text that an event's `id:` is. Whoever comes back
// gives it as Last-Event-ID, so it is read as a stranger's. Example: `job-progress:0=14;weather-predictions:0=7,1=9`.

/** By topic, then by partition: the next offset. */
export type Position = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** Longest text that is looked at: a hundred topics of a hundred partitions have less. */
const LENGTH_MAX = 16_384;
const TOPIC = /^([a-zA-Z0-9._-]{1,249}):((?:\d{1,6}=\d{1,15})(?:,\d{1,6}=\d{1,15})*)$/;

export function positionText(position: Position): string {
  return [...position]
    .map(
      ([topic, offsets]) =>
        `${topic}:${[...offsets].map(([partition, offset]) => `${partition}=${offset}`).join(",")}`,
    )
    .join(";");
}

/** Null for any other text. */
export function readPosition(text: string): Position | null {
  if (text.length > LENGTH_MAX) return null;
  const position = new Map<string, Map<number, number>>();
  for (const part of text.split(";")) {
    const [, topic, offsets] = TOPIC.exec(part) ?? [];
    if (topic === undefined || offsets === undefined || position.has(topic)) return null;
    const pairs = offsets.split(",").map((pair) => pair.split("=").map(Number) as [number, number]);
    position.set(topic, new Map(pairs));
  }
  return position;
}

/** Records between two positions, counting what the first does not name as nothing; null where the first lies behind the second. */
export function recordsBetween(from: Position, to: Position): number | null {
  let records = 0;
  for (const [topic, offsets] of from)
    for (const [partition, offset] of offsets) {
      const end = to.get(topic)?.get(partition);
      if (end === undefined || offset > end) return null;
      records += end - offset;
    }
  return records;
}
