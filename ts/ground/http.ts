// The one place that speaks HTTP, for Spark, Ray, MLflow, the schema registry and the checks of engines: finite deadlines, faults
// that pass are tried again, and errors are told apart into "nobody answers" and "answered something else". Through axios
// because Ray's dashboard refuses the built-in fetch (it sends Sec-Fetch-*: HTTP 405). Never through a proxy of the
// environment: engines are reached directly, from TypeScript and from Python alike. Knows no route.

import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import axios, { isAxiosError } from "axios";
import { type ErrorCode, PipelineError } from "../contract/errors.ts";
import { type Fault, type Pace, type RepeatEffects, repeat } from "./repeat.ts";

export interface Reply {
  readonly status: number;
  /** As text; the caller parses what it expects to be JSON. */
  readonly text: string;
}

export interface Exchange {
  /** "Cannot <action>" opens every message. */
  readonly action: string;
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly url: string;
  /** Bytes, or what is sent as JSON. */
  readonly body?: unknown;
  /** Content type of the body, if it is not the usual one. */
  readonly type?: string;
  /**
   * Whether asking twice does no more than asking once. If not given, all but POST may be repeated (RFC 9110, 9.2.2). What may
   * not is repeated only after a refusal, when nothing was sent; otherwise change() of repeat.ts resolves it.
   */
  readonly repeatable?: boolean;
  /** Longest wait for one answer; 10 s for a GET and 30 s for others if not given. */
  readonly limit_ms?: number;
}

export type Http = (exchange: Exchange) => Promise<Reply>;

/** A look that takes longer would keep the supervisor from its other jobs. */
const POLL_MS = 10_000;
/** The slowest answer wanted is a package upload or a job start on a busy machine. */
const CHANGE_MS = 30_000;

const FAULTS: Readonly<Record<string, Fault>> = {
  ECONNREFUSED: "refused",
  EHOSTUNREACH: "refused",
  ENETUNREACH: "refused",
  // A name that a resolver does not know yet or any more: a container that is started again.
  ENOTFOUND: "refused",
  EAI_AGAIN: "refused",
  ECONNRESET: "lost",
  EPIPE: "lost",
  // axios: the answer ended in the middle.
  ERR_BAD_RESPONSE: "lost",
  ECONNABORTED: "late",
  ETIMEDOUT: "late",
};

/** What a server, or a gateway before it, answers when it cannot now. 500 is an answer: the request was at fault, or the server's code. */
const BUSY: ReadonlySet<number> = new Set([502, 503, 504]);

/** Why one try got no answer. */
class Unanswered extends Error {
  readonly fault: Fault | null;
  readonly got: string;

  constructor(fault: Fault | null, got: string, reason: string) {
    super(reason);
    this.fault = fault;
    this.got = got;
  }
}

export interface HttpOptions {
  readonly pace?: Pace;
  readonly effects?: RepeatEffects;
}

// Agents of our own: Node's global one takes HTTP_PROXY when NODE_USE_ENV_PROXY is set, whatever axios is told.
const KEEP_ALIVE = {
  httpAgent: new HttpAgent({ keepAlive: true }),
  httpsAgent: new HttpsAgent({ keepAlive: true }),
};
// A kept connection may have been closed by the other side a moment ago: harmless for what can be asked again, but of a change
// nobody would know whether it arrived. So a change gets a connection of its own.
const FRESH = {
  httpAgent: new HttpAgent({ keepAlive: false }),
  httpsAgent: new HttpsAgent({ keepAlive: false }),
};

const client = axios.create({
  proxy: false,
  validateStatus: () => true,
  responseType: "text",
  transformResponse: (data: unknown) => data,
  maxBodyLength: Number.POSITIVE_INFINITY,
});

/**
 * Exchanges with one server; any status but 502, 503 and 504 is a reply. Errors: `unreachable` after the last try, with the
 * last fault in its context.
 */
export function httpOf(unreachable: ErrorCode, { pace, effects }: HttpOptions = {}): Http {
  return async (exchange) => {
    const { action, url, method = "GET", repeatable = method !== "POST" } = exchange;
    let tries = 0;
    try {
      return await repeat(
        async ({ number, left_ms }) => {
          tries = number;
          return ask(exchange, method, repeatable, left_ms);
        },
        {
          passes: (error) =>
            error instanceof Unanswered && error.fault !== null && (repeatable || error.fault === "refused"),
          pace,
          effects,
        },
      );
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      const { fault, got, message } = error;
      throw new PipelineError(
        unreachable,
        `Cannot ${action} at "${url}": expected an answer, got ${got}${tries > 1 ? ` in ${tries} tries` : ""}`,
        { ...(message === "" ? {} : { cause: new Error(message) }), context: { url, fault, got } },
      );
    }
  };
}

/** One try. Errors: Unanswered. */
async function ask(
  { url, body, type, limit_ms }: Exchange,
  method: NonNullable<Exchange["method"]>,
  repeatable: boolean,
  left_ms: number,
): Promise<Reply> {
  const bytes = Buffer.isBuffer(body);
  try {
    const { status, data } = await client.request<string | undefined>({
      method,
      url,
      timeout: Math.ceil(Math.min(limit_ms ?? (method === "GET" ? POLL_MS : CHANGE_MS), left_ms)),
      ...(repeatable ? KEEP_ALIVE : FRESH),

      ...(body === undefined
        ? {}
        : {
            data: bytes ? body : JSON.stringify(body),
            headers: {
              "Content-Type": type ?? (bytes ? "application/octet-stream" : "application/json;charset=UTF-8"),
            },
          }),
    });
    const text = data ?? "";
    if (BUSY.has(status)) throw new Unanswered("busy", `HTTP ${status}`, lastLine(text));
    return { status, text };
  } catch (error) {
    if (!isAxiosError(error)) throw error;
    // The axios error holds the request with its body; its message and code are all a reader needs.
    const reason = error.code ? `${error.code} ${error.message}`.trim() : error.message;
    throw new Unanswered(FAULTS[error.code ?? ""] ?? null, "none", reason);
  }
}

/** Whether an error leaves open if the request was carried out: what change() of repeat.ts resolves. */
export function isUncertain(error: unknown): boolean {
  if (!(error instanceof PipelineError)) return false;
  const fault = error.context["fault"] as Fault | null | undefined;
  return fault === "lost" || fault === "late" || fault === "busy";
}

/** The reply as JSON. Errors: `rejected` naming the status and the beginning of what came instead. */
export function parseReply<T>(reply: Reply, rejected: ErrorCode, action: string, url: string): T {
  if (reply.status >= 200 && reply.status < 300) {
    try {
      return JSON.parse(reply.text) as T;
    } catch {
      // Reported below with what came instead.
    }
  }
  throw refusedReply(reply, rejected, action, url, "JSON");
}

const SHOWN_CHARS = 2_000;

// Ray and Spark answer errors with a stack trace; its last line says what is wrong.
const lastLine = (text: string) => text.trim().split("\n").at(-1)?.slice(0, SHOWN_CHARS) ?? "";

export function refusedReply(
  reply: Reply,
  rejected: ErrorCode,
  action: string,
  url: string,
  wanted: string,
): PipelineError {
  const last = lastLine(reply.text);
  return new PipelineError(
    rejected,
    `Cannot ${action} at "${url}": expected ${wanted}, got HTTP ${reply.status}`,
    {
      ...(last === "" ? {} : { cause: new Error(last) }),
      context: { url, body: reply.text.slice(-SHOWN_CHARS) },
    },
  );
}
