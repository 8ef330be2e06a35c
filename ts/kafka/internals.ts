// The parts of kafkajs below its public surface, typed here, and nothing else touches them.
// Why below: a public consumer always joins a group, passes commit markers only in the middle of a batch, stalls on what
// compaction emptied, and leaks aborted records when two aborted transactions begin before the first record fetched
// (kafkajs 2.2.4, src/consumer/filterAbortedMessages.js takes one transaction a record). reader.ts reads partitions itself.
// kafkajs is pinned to an exact version, so these cannot move under us. It has no maintainer any more; it stays because what is
// asked of it works against Kafka 4.3 and is held by suite.ts, which another client behind kafka.ts would have to pass first.

export interface RawRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>;
  readonly isControlRecord: boolean;
  readonly batchContext: {
    readonly firstOffset: string;
    readonly lastOffsetDelta: number;
    readonly producerId: string;
    readonly inTransaction: boolean;
  };
}

export interface FetchedPartition {
  readonly partition: number;
  readonly highWatermark: string;
  readonly lastStableOffset: string;
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[];
  readonly messages: readonly RawRecord[];
}

interface ListedPartition {
  readonly partition: number;
  readonly offset: string;
}

export interface Broker {
  fetch(request: {
    isolationLevel: 0 | 1;
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    topics: {
      topic: string;
      partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
    }[];
  }): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
  listOffsets(request: {
    isolationLevel: 0 | 1;
    topics: { topic: string; partitions: { partition: number; timestamp: string }[] }[];
  }): Promise<{ responses: { topic: string; partitions: ListedPartition[] }[] }>;
  /** Of nobody's membership: generation -1 and no member. */
  offsetCommit(request: {
    groupId: string;
    groupGenerationId: -1;
    memberId: "";
    retentionTime: -1;
    topics: { topic: string; partitions: { partition: number; offset: string }[] }[];
  }): Promise<unknown>;
}

export interface KafkajsCluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findGroupCoordinator(options: { groupId: string }): Promise<Broker>;
  findBroker(options: { nodeId: number }): Promise<Broker>;
  removeBroker(address: { host: string; port: number }): void;
  isConnected(): boolean;
}

/** A connection of its own to the cluster of a kafkajs client, found under the client's private symbol. */
export function clusterOf(client: object): KafkajsCluster {
  const symbol = Object.getOwnPropertySymbols(client).find(
    (candidate) => candidate.description === "private:Kafka:createCluster",
  );
  if (symbol === undefined)
    throw new Error("kafkajs changed inside: no createCluster; see internals.ts before moving its version");
  const create = (client as Record<symbol, (options: object) => KafkajsCluster>)[symbol]!;
  return create.call(client, { metadataMaxAge: 300_000, allowAutoTopicCreation: false });
}
