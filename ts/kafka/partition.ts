// Which partition a key belongs to: murmur2 as in the Java client, so that Spark, Java, Ray (murmur2_random) and we agree.
// Written out because kafkajs computes it in BigInt, which cost a third of the producer's time.

/** Source: Kafka `clients/src/main/java/org/apache/kafka/common/utils/Utils.java`, `murmur2`, in 32-bit arithmetic. */
export function murmur2(data: Uint8Array): number {
  const M = 0x5bd1e995;
  const length = data.length;
  let h = 0x9747b28c ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    k = Math.imul(k, M);
    h = Math.imul(h, M) ^ k;
  }
  if (i < length) {
    const rest = length - i;
    if (rest === 3) h ^= data[i + 2]! << 16;
    if (rest >= 2) h ^= data[i + 1]! << 8;
    h = Math.imul(h ^ data[i]!, M);
  }
  h ^= h >>> 13;
  h = Math.imul(h, M);
  return h ^ (h >>> 15);
}

/** Partition of a key among `count`, 0 … count-1. Source: Java's `toPositive(murmur2(key)) % numPartitions`. */
export function partitionOf(key: Uint8Array, count: number): number {
  return (murmur2(key) & 0x7fffffff) % count;
}
