// What the page asks, by the generated client: no shape of an answer is stated here. The types of the client are those of the
// pipelines the repo has; what is named by a contract (columns, forecasts, bands) is opened up, because the page knows no domain.

import { type components, millrace } from "../client/index.ts";

type Schemas = components["schemas"];

/** Keys whose objects have a key for each column, forecast, horizon or band of a contract. */
type Named =
  | "values"
  | "predictions"
  | "intervals"
  | "bands"
  | "climatology"
  | "units"
  | "valid_at"
  | "valid_after_ms"
  | "coverage"
  | "promised";

/** The same shape for any pipeline: names from a contract are any names. */
export type General<T> = T extends readonly (infer U)[]
  ? readonly General<U>[]
  : T extends object
    ? {
        readonly [P in keyof T]: P extends Named
          ? T[P] extends readonly (infer U)[]
            ? readonly General<U>[]
            : Opened<T[P]>
          : General<T[P]>;
      }
    : T;
type Opened<T> = T extends null | undefined ? T : Readonly<Record<string, T[keyof T]>>;

export type Pipelines = Schemas["Pipelines"];
export type Pipeline = Pipelines["pipelines"][number];
export type Health = Schemas["Health"];
export type Jobs = Schemas["Jobs"];
export type Alerts = Schemas["Alerts"];
export type Alert = Schemas["Alert"];
export type System = Schemas["System"];
export type Models = Schemas["Models"];
export type Problem = Schemas["Problem"];
export type Stations = General<Schemas["WeatherStations"]>;
export type Station = Stations["stations"][number];
export type Forecast = General<Schemas["WeatherForecast"]>;
export type Scoreboard = General<Schemas["WeatherScoreboard"]>;
export type Anomalies = General<Schemas["WeatherAnomalies"]>;
export type Verifications = General<Schemas["WeatherVerifications"]>;
export type Verification = General<Schemas["WeatherVerification"]>;
export type History = General<Schemas["WeatherHistory"]>;
export type Observations = General<Schemas["WeatherObservations"]>;

/** What each event of the stream carries. */
export interface StreamEvents {
  readonly prediction: General<Schemas["WeatherPredictionEvent"]>;
  readonly verification: General<Schemas["WeatherVerificationEvent"]>;
  readonly anomaly: Schemas["AnomalyEvent"];
  readonly observation: General<Schemas["WeatherObservationEvent"]>;
  readonly job: Schemas["JobEvent"];
  readonly health: Health;
  readonly alerts: Alerts;
}

/** A refusal in the words of the server. */
export class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** Longest the page waits for an answer: the server's own waits are shorter. */
const TIMEOUT_MS = 15_000;

/** Asks below a pipeline's prefix; null for the default one. Any pipeline answers under the same paths. */
export function apiOf(pipeline: string | null) {
  const base = `${location.origin}${pipeline === null ? "" : `/${pipeline}`}`;
  return millrace(base, {
    fetch: (input) => fetch(input, { signal: AbortSignal.timeout(TIMEOUT_MS) }),
  });
}

/** The data of an answer. Errors: `Refused` for a problem document, `TypeError` for no answer. */
export async function answer<T>(
  asked: Promise<{ readonly data?: T; readonly error?: unknown; readonly response: Response }>,
): Promise<T> {
  const { data, error, response } = await asked;
  if (data !== undefined) return data;
  if (error !== null && typeof error === "object" && "code" in error) throw new Refused(error as Problem);
  throw new TypeError(`HTTP ${response.status}`);
}

/** Why something is not there, for people, with what to do. */
export function reasonOf(error: unknown): string {
  if (error instanceof Refused) return `${error.problem.title}. ${error.problem.next}.`;
  if (error instanceof DOMException && error.name === "TimeoutError") return "The server took too long.";
  return "No answer from the server.";
}
