// One HTTP exchange with an engine, for spark.ts and ray.ts: finite deadlines, and errors told apart into "nobody answers"
// and "answered something else". Through axios because Ray's dashboard refuses the built-in fetch (it sends Sec-Fetch-*:
// HTTP 405). Knows no route.

import axios, { type AxiosInstance, isAxiosError } from "axios";
import { type ErrorCode, PipelineError } from "../contract/errors.ts";

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
  readonly body?: unknown;
}

export type Http = (exchange: Exchange) => Promise<Reply>;

/** A look that takes longer would keep the supervisor from its other jobs. */
const LOOK_MS = 10_000;
/** The slowest answer wanted is a package upload or a job start on a busy machine. */
const CHANGE_MS = 30_000;

/** Exchanges with one engine; any HTTP status is a reply, only silence is an error. Errors: `unreachable`. */
export function httpOf(unreachable: ErrorCode, next_step: string): Http {
  const client: AxiosInstance = axios.create({
    proxy: false,
    validateStatus: () => true,
    responseType: "text",
    transformResponse: (data: unknown) => data,
    maxBodyLength: Number.POSITIVE_INFINITY,
  });
  return async ({ action, method = "GET", url, body }) => {
    try {
      const reply = await client.request<string>({
        method,
        url,
        timeout: method === "GET" ? LOOK_MS : CHANGE_MS,
        ...(body === undefined
          ? {}
          : Buffer.isBuffer(body)
            ? { data: body, headers: { "Content-Type": "application/octet-stream" } }
            : { data: JSON.stringify(body), headers: { "Content-Type": "application/json;charset=UTF-8" } }),
      });
      return { status: reply.status, text: reply.data ?? "" };
    } catch (error) {
      if (!isAxiosError(error)) throw error;
      throw new PipelineError(
        unreachable,
        `Cannot ${action} at "${url}": expected an answer, got none; ${next_step}`,
        {
          // The axios error holds the request with its body; its message and code are all a reader needs.
          cause: new Error(error.code ? `${error.code} ${error.message}`.trim() : error.message),
          context: { url },
        },
      );
    }
  };
}

/** The reply as JSON. Errors: `rejected` naming the status and the beginning of what came instead. */
export function json<T>(reply: Reply, rejected: ErrorCode, action: string, url: string): T {
  if (reply.status >= 200 && reply.status < 300) {
    try {
      return JSON.parse(reply.text) as T;
    } catch {
      // Reported below with what came instead.
    }
  }
  throw refused(reply, rejected, action, url, "JSON");
}

const SHOWN_CHARS = 2_000;

export function refused(
  reply: Reply,
  rejected: ErrorCode,
  action: string,
  url: string,
  wanted: string,
): PipelineError {
  // Ray and Spark answer errors with a stack trace; its last line says what is wrong.
  const last = reply.text.trim().split("\n").at(-1)?.slice(0, SHOWN_CHARS) ?? "";
  return new PipelineError(
    rejected,
    `Cannot ${action} at "${url}": expected ${wanted}, got HTTP ${reply.status}`,
    {
      ...(last === "" ? {} : { cause: new Error(last) }),
      context: { url, body: reply.text.slice(-SHOWN_CHARS) },
    },
  );
}
