// The store as the routes ask it: opened by the first question, bounded in time, and refused with words while it is away, so that
// nothing which answers from memory ever waits for it. Knows no database; ts/store does.

import { PipelineError } from "../contract/index.ts";
import type { Queries, Store } from "../store/queries.ts";
import { TooLate, withDeadline } from "./cache.ts";
import { problem, respond } from "./problem.ts";
import type { Answer } from "./route.ts";

/** What the routes ask. */
export type Asks = Pick<
  Queries,
  "predictions" | "windows" | "anomalies" | "anomaly" | "scores" | "entitiesAt" | "span"
>;

export interface ServedStore extends Asks {
  close(): Promise<void>;
}

/** Longest wait for one question, wall time: a connection that has to be made first, and the server's own bound. */
const WITHIN_MS = 10_000;

/**
 * A store that is opened when something is asked, and again by the next question where that failed: a server that was not there when
 * the API started is found later. Errors of every question: `store_unreachable`, and `config_invalid` for what may not be asked.
 */
export function storeWhenAsked(open: () => Store): ServedStore {
  let held: Store | null = null;
  const store = (): Store => {
    try {
      held ??= open();
      return held;
    } catch (error) {
      if (error instanceof PipelineError && error.code === "store_unreachable") throw error;
      // `config_invalid` would read as a fault of the question.
      throw new PipelineError(
        "store_unreachable",
        "Cannot open the store: expected settings that name a database, got some that were refused",
        { cause: error, context: { next: "Run: millrace doctor" } },
      );
    }
  };
  const ask = async <T>(question: (store: Store) => Promise<T>): Promise<T> => {
    const answer = question(store());
    // Whoever is told that it takes too long does not hear how it ended.
    answer.catch(() => undefined);
    try {
      return await withDeadline(answer, WITHIN_MS);
    } catch (error) {
      if (!(error instanceof TooLate)) throw error;
      throw new PipelineError(
        "store_unreachable",
        "Cannot ask the store: expected an answer in time, got none",
        {
          cause: error,
        },
      );
    }
  };
  return {
    predictions: (query) => ask((of) => of.predictions(query)),
    windows: (query) => ask((of) => of.windows(query)),
    anomalies: (query) => ask((of) => of.anomalies(query)),
    anomaly: (id, arm) => ask((of) => of.anomaly(id, arm)),
    scores: (query) => ask((of) => of.scores(query)),
    entitiesAt: (query) => ask((of) => of.entitiesAt(query)),
    span: () => ask((of) => of.span()),
    close: async () => {
      await held?.close();
      held = null;
    },
  };
}

/** The answer, or the problem of a question that the store refuses: a cursor that it did not hand out. */
export async function asked<B>(path: string, work: () => Promise<Answer<B>>): Promise<Answer<B>> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PipelineError) || error.code !== "config_invalid") throw error;
    return respond(problem("bad_parameter", error.message, path));
  }
}
