// One GET of a server on the internet that owes us nothing: its answer bounded in bytes and in time, no redirect followed, nothing
// repeated. A fault is a value with a reason for people, never an error. Engines of ours are asked by http.ts instead.
// A secret is handed in apart from the URL and put in at the last moment, so that no message can hold it.

import axios, { isAxiosError } from "axios";

export interface Secret {
  /** Query parameter that carries it. */
  readonly parameter: string;
  readonly value: string;
}

export interface GetRequest {
  /** Without the secret. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly secret?: Secret | null;
  /** Largest body, after decompression. */
  readonly bytes_max: number;
  /** From the first byte asked to the last byte answered: a body that trickles is cut off as well. */
  readonly limit_ms: number;
  readonly signal?: AbortSignal | undefined;
}

export type Got =
  | {
      readonly kind: "answer";
      readonly status: number;
      /** Names in lower case; of one that came several times the last one. */
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Buffer;
    }
  | { readonly kind: "none"; readonly reason: string };

export type Get = (request: GetRequest) => Promise<Got>;

/** What is wrong, by the code of Node, zlib or axios. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ENOTFOUND: "its name is not known (is there an internet connection?)",
  EAI_AGAIN: "its name could not be looked up (is there an internet connection?)",
  ENETUNREACH: "its network cannot be reached",
  EHOSTUNREACH: "its machine cannot be reached",
  ECONNRESET: "the connection was cut in the middle of the answer",
  EPIPE: "the connection was cut",
  ERR_BAD_RESPONSE: "the answer ended in the middle",
  Z_DATA_ERROR: "the body is not compressed as its Content-Encoding says",
  Z_BUF_ERROR: "the compressed body ended in the middle",
  HPE_INVALID_CONSTANT: "what answers does not speak HTTP",
};

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Asks once. A proxy that the environment names is used, unless the server is on this machine. */
export const get: Get = async ({ url, headers = {}, secret = null, bytes_max, limit_ms, signal }) => {
  const late = AbortSignal.timeout(Math.max(1, Math.ceil(limit_ms)));
  try {
    const {
      status,
      headers: answered,
      data,
    } = await axios.get<ArrayBuffer>(withSecret(url, secret), {
      headers,
      responseType: "arraybuffer",
      validateStatus: () => true,
      maxRedirects: 0,
      maxContentLength: bytes_max,
      signal: signal === undefined ? late : AbortSignal.any([late, signal]),
      ...(LOOPBACK.test(new URL(url).hostname) ? { proxy: false } : {}),
    });
    return {
      kind: "answer",
      status,
      headers: Object.fromEntries(
        Object.entries(answered).map(([name, value]) => [name.toLowerCase(), [value].flat().at(-1) ?? ""]),
      ),
      body: Buffer.from(data ?? []),
    };
  } catch (error) {
    if (!isAxiosError(error)) throw error;
    if (late.aborted) return { kind: "none", reason: `it took longer than ${limit_ms / 1000} s` };
    if (signal?.aborted) return { kind: "none", reason: "we were told to stop" };
    if (error.message.includes("maxContentLength"))
      return { kind: "none", reason: `its body is larger than ${bytes_max.toLocaleString("en-US")} bytes` };
    const code = error.code ?? "";
    // The message of an unknown fault may hold the URL.
    const reason = REASONS[code] ?? `it failed (${code || redacted(error.message, secret)})`;
    return { kind: "none", reason };
  }
};

function withSecret(url: string, secret: Secret | null): string {
  if (secret === null) return url;
  const full = new URL(url);
  full.searchParams.set(secret.parameter, secret.value);
  return full.href;
}

/** A text in which the secret, as it is or as a URL has it, is starred out. */
export function redacted(text: string, secret: Secret | null): string {
  if (secret === null || secret.value === "") return text;
  const { value } = secret;
  const forms = [value, encodeURIComponent(value), new URLSearchParams({ k: value }).toString().slice(2)];
  return forms.reduce((clean, form) => clean.replaceAll(form, "***"), text);
}
