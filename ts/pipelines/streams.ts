// The streams of a pipeline by name: which one is meant where nothing is said, and what is refused. Pure.

import { PipelineError } from "../contract/index.ts";
import type { Pipeline } from "./define.ts";

/** Which streams there are, and which of them the windows read. */
export type Streams = Pick<Pipeline, "name" | "windows"> & {
  readonly streams: Readonly<Record<string, unknown>>;
};

/** Their names, in the order of the definition. */
export function streamNames({ streams }: Pick<Streams, "streams">): readonly string[] {
  return Object.keys(streams);
}

/**
 * The stream that is meant where none is named: the windows', else the one called `raw`, else the only one. Null where that does
 * not say.
 */
export function usualStream(pipeline: Streams): string | null {
  const names = streamNames(pipeline);
  const named = pipeline.windows?.reads ?? names.find((name) => name === "raw");
  return named ?? (names.length === 1 ? names[0]! : null);
}

/** The stream of a contract's top level: the usual one, or the first. Windows always have a usual one. */
export function leadingStream(pipeline: Streams): string {
  return usualStream(pipeline) ?? streamNames(pipeline)[0]!;
}

/** The streams that no window reads: whoever windows them would say what is refused of them. */
export function streamsBesideWindows(pipeline: Streams): readonly string[] {
  return streamNames(pipeline).filter((name) => !pipeline.windows || name !== leadingStream(pipeline));
}

/** The stream of a word, without one the usual one. Errors: `config_invalid`, naming the streams there are. */
export function requireStream(pipeline: Streams, word: string | null = null): string {
  const names = streamNames(pipeline);
  const stream = word ?? usualStream(pipeline);
  if (stream !== null && names.includes(stream)) return stream;
  throw noStream(pipeline.name, stream, names);
}

/** For whoever named a stream that is not there, or (null) none where one must be chosen. */
export function noStream(pipeline: string, seen: string | null, names: readonly string[]): PipelineError {
  const list = names.join(", ");
  return new PipelineError(
    "config_invalid",
    seen === null
      ? `Cannot choose a stream of pipeline "${pipeline}": expected one of ${list}, got none; name it with --stream`
      : `Cannot use stream "${seen}" of pipeline "${pipeline}": expected one of ${list}`,
  );
}
