// One look at a service, as its entry says: its probes in their order, the first that is not good decides.

import { connect } from "node:net";
import { explain, PipelineError } from "../../contract/errors.ts";
import { httpOf, type Reply } from "../../ground/http.ts";
import { ONCE } from "../../ground/repeat.ts";
import type { Attempt } from "../../ground/until.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { databaseOf } from "../../settings/database.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Probe, Surroundings } from "../entry.ts";
import type { LocalService } from "./hook.ts";
import { fillOf } from "./prepare.ts";
import { isExternal } from "./topology.ts";

const GOOD: Attempt<string> = { done: true, seen: "ok" };
const LIMIT_MS = 5_000;

// One try: whoever waits for a service looks again, and says what was last seen.
const http = httpOf("job_timed_out", { pace: ONCE });

/** Whether a service does its work, within seconds; `seen` says what it answered, in few words. */
export async function checkHealth(place: LocalService): Promise<Attempt<string>> {
  const { settings, service } = place;
  const external = isExternal(settings, service);
  const fill = fillOf(place);
  for (const probe of service.health) {
    if (probe.kind === "http" && probe.local && external) continue;
    const look =
      probe.kind === "kafka"
        ? await brokers(settings)
        : probe.kind === "postgres"
          ? await session(settings)
          : await answer({ ...probe, url: fill(probe.url) }, { ports: settings.ports, external });
    if (!look.done) return look;
  }
  return GOOD;
}

async function answer(
  { url, wrong, limit_ms = LIMIT_MS }: Extract<Probe, { kind: "http" }>,
  surroundings: Surroundings,
): Promise<Attempt<string>> {
  let reply: Reply;
  try {
    reply = await http({ action: "check", url, limit_ms });
  } catch (error) {
    return { done: false, seen: `${url}: ${describeError(error)}` };
  }
  if (reply.status !== 200) return { done: false, seen: `${url}: HTTP ${reply.status}` };
  let found: string | null;
  try {
    found = wrong?.(reply.text, surroundings) ?? null;
  } catch {
    found = `unexpected answer ${reply.text.slice(0, 80)}`;
  }
  return found === null ? GOOD : { done: false, seen: `${url}: ${found}` };
}

/** What a try saw instead of an answer: a status, or why there was none. */
function describeError(error: unknown): string {
  if (!(error instanceof PipelineError)) return String(error);
  const { got } = error.context;
  return got === "none" && error.cause instanceof Error ? error.cause.message : String(got);
}

/** The broker that was started answers, and its controller has let it in. */
async function brokers({ kafka }: Settings): Promise<Attempt<string>> {
  let client: Kafka | null = null;
  try {
    client = connectKafka(kafka, { client_id: "millrace-check", once: true });
    const count = await client.admin.brokers();
    return count > 0 ? GOOD : { done: false, seen: `${kafka.bootstrap}: no broker let in` };
  } catch (error) {
    // A refusal says itself what to change; of anything else the cause says more.
    const line = error instanceof PipelineError && error.code === "config_invalid" ? 0 : -1;
    return { done: false, seen: `${kafka.bootstrap}: ${explain(error).split("\n").at(line)?.trim()}` };
  } finally {
    await client?.close();
  }
}

/** `E`, then fields that end in a zero byte each; that of `C` is the code. Source: PostgreSQL 18, Message Formats. */
const CODE = /\0C([0-9A-Z]{5})\0/;
/** Not the server's answer to us but that it takes nobody: it starts, stops, or is full. */
const NOT_NOW = /^(?:57P|53)/;

/** The server asks for a password, or says what it has against us, which it does only once it works. */
async function session(settings: Settings): Promise<Attempt<string>> {
  let address = "the store";
  try {
    const database = databaseOf(settings);
    ({ address } = database);
    const reply = await firstReply(database);
    const code = reply.startsWith("E") ? (CODE.exec(reply)?.[1] ?? "") : "";
    return NOT_NOW.test(code) ? { done: false, seen: `${address}: not yet (${code})` } : GOOD;
  } catch (error) {
    return { done: false, seen: `${address}: ${(error as Error).message}` };
  }
}

/** Sends the first message of a session and resolves to what comes back first. */
function firstReply({ host, port, user }: { host: string; port: number; user: string }): Promise<string> {
  const body = Buffer.from(`user\0${user}\0application_name\0millrace-check\0\0`);
  const start = Buffer.alloc(8);
  start.writeInt32BE(8 + body.length, 0);
  // Version 3.0 of the protocol.
  start.writeInt32BE(196_608, 4);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: LIMIT_MS });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.once("connect", () => socket.write(Buffer.concat([start, body])));
    socket.once("data", (data) => {
      socket.destroy();
      resolve(data.toString("latin1"));
    });
    socket.once("timeout", () => fail(new Error(`no answer within ${LIMIT_MS / 1000} s`)));
    socket.once("end", () => fail(new Error("it closed the connection")));
    socket.once("error", fail);
  });
}
