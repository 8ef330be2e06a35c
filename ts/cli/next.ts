// What to do next when something does not answer, by what was seen of it: an engine that nobody has started is told apart from
// one that runs and lost a connection. The engines' clients do not know the words of this command.

import { type ErrorCode, PipelineError } from "../contract/errors.ts";
import type { Fault } from "../ground/repeat.ts";

const ENGINE: Partial<Record<ErrorCode, { readonly name: string; readonly setting: string }>> = {
  kafka_unreachable: { name: "Kafka", setting: "MILLRACE_KAFKA_BOOTSTRAP" },
  registry_unreachable: { name: "the schema registry", setting: "MILLRACE_REGISTRY_URL" },
  spark_unreachable: { name: "Spark", setting: "MILLRACE_SPARK_REST_URL" },
  ray_unreachable: { name: "Ray", setting: "MILLRACE_RAY_URL" },
  store_unreachable: { name: "MLflow", setting: "MILLRACE_MLFLOW_URL" },
};

/** One line, or null when the error itself says what to do, or nobody can. */
export function nextStep(error: unknown): string | null {
  if (!(error instanceof PipelineError)) return null;
  const { next, log, fault } = error.context;
  if (typeof next === "string") return next;
  const engine = ENGINE[error.code];
  if (engine === undefined || error.message.includes("millrace up")) return null;
  // It was started and did not come up: starting it again would say the same.
  if (typeof log === "string") return `read "${log}"`;
  const { name, setting } = engine;
  switch (fault as Fault | null | undefined) {
    case "refused":
      return `start ${name} with "millrace up", or set ${setting}`;
    case "lost":
      // A broker that waits for TLS or a login hangs up on who speaks neither, and says nothing.
      if (error.code === "kafka_unreachable")
        return `${name} hung up: run the same command again; where its listener wants TLS or a login, MILLRACE_KAFKA_PROPERTIES must say so`;
      return `${name} runs but did not answer in full: run the same command again; "millrace status" says how it is`;
    case "late":
    case "busy":
      return `${name} runs but did not answer in time or in full: run the same command again; "millrace status" says how it is`;
    case null:
    case undefined:
      // Said by a job, or an answer that nobody understood.
      return `see with "millrace status" whether ${name} works; "millrace up" starts what does not, ${setting} names another`;
  }
}
