// GET /stream: what the pipelines do as it happens, as server-sent events. stream.ts knows what is sent; this writes it.

import { streamSSE } from "hono/streaming";
import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import type { AppEffects } from "../effects.ts";
import { EVENT_KINDS, type EventKind, eventSchema, USUAL_KINDS } from "../events.ts";
import { positionText, readPosition, recordsBetween } from "../position.ts";
import { problem, respond } from "../problem.ts";
import { defineRoute } from "../route.ts";
import { said, text, z } from "../schema.ts";
import { REPLAY_RECORDS_MAX, type Wanted } from "../stream.ts";
import { catchingUp } from "./pipeline.ts";

/** A line at least this often: proxies and browsers give up on a silent connection after a minute. */
export const HEARTBEAT_MS = 15_000;
/** What a browser waits before it comes back. */
const RETRY_MS = 2_000;

const isKind = (word: string): word is EventKind => (EVENT_KINDS as readonly string[]).includes(word);

export function streamRoute(effects: AppEffects) {
  const { stream, pipelines } = effects;
  const names = pipelines.map(({ contract }) => contract.pipeline);
  return defineRoute({
    name: "stream",
    path: "/stream",
    tag: "operation",
    summary: "What happens, as server-sent events",
    description: `Events are called ${EVENT_KINDS.map((kind) => `\`${kind}\``).join(", ")}; \`id:\` is where the stream stands. With the header Last-Event-ID (or \`last_event_id\`) what was missed since comes first, at most ${REPLAY_RECORDS_MAX.toLocaleString("en-US")} records; where more was missed, an event \`gap\` says so and the stream goes on from now. Comments keep a silent connection open. A client that does not read is cut off.`,
    query: z.object({
      pipeline: said(
        z.string().refine((word) => names.includes(word), { error: `to be one of ${names.join(", ")}` }),
        "Only of this pipeline; jobs of all.",
        { enum: names },
      ).optional(),
      station: text("Only of this station.").max(ENTITY_ID_LENGTH_MAX).optional(),
      kind: said(
        z.string().refine((list) => list.split(",").every(isKind), {
          error: `to be some of ${EVENT_KINDS.join(",")}, with commas between`,
        }),
        `Only these kinds of events, with commas between: ${EVENT_KINDS.join(",")}. All but \`observation\` and \`system\` when absent.`,
      ).optional(),
      last_event_id: text("As the header Last-Event-ID, for clients that cannot send one.").optional(),
    }),
    type: "text/event-stream",
    schema: eventSchema(pipelines, effects.confidence) as z.ZodType,
    refusals: ["bad_parameter", "catching_up", "too_many_clients"],
    answer: async ({ query, request, path, context }) => {
      for (const served of pipelines) {
        const early = catchingUp(served, path);
        if (early) return early;
      }
      const given = request.headers.get("last-event-id") ?? query.last_event_id ?? null;
      const from = given === null || given === "" ? null : readPosition(given);
      const now = stream.position;
      if (given !== null && given !== "" && (from === null || recordsBetween(from, now) === null))
        return respond(
          problem(
            "bad_parameter",
            `Expected "Last-Event-ID" to be an id of this stream, got "${given.slice(0, 80)}"`,
            path,
          ),
        );
      const wanted: Wanted = {
        kinds: new Set(query.kind === undefined ? USUAL_KINDS : query.kind.split(",").filter(isKind)),
        pipeline: query.pipeline ?? null,
        station: query.station ?? null,
      };
      if (request.method === "HEAD")
        return new Response(null, { headers: { "content-type": "text/event-stream" } });
      const client = stream.join(wanted);
      if (client === null)
        return respond(problem("too_many_clients", "As many clients as can be follow the stream", path), {
          "retry-after": "5",
        });
      // Positions are copied before anything is awaited: what comes after them is in the client's queue.
      const to = readPosition(positionText(now));
      const socket = (context.env as { outgoing?: { destroy(): void } } | undefined)?.outgoing;
      context.header("x-accel-buffering", "no");
      return streamSSE(context, async (out) => {
        client.onCut = () => {
          out.abort();
          socket?.destroy();
        };
        out.onAbort(() => stream.leaveClient(client));
        try {
          await out.write(
            `retry: ${RETRY_MS}\n: ${names.join(", ")}\nid: ${positionText(from ?? to ?? now)}\n\n`,
          );
          if (from !== null && to !== null) {
            const missed = await stream.between(from, to, wanted);
            if (missed === null)
              await out.write(
                `event: gap\nid: ${positionText(to)}\ndata: ${JSON.stringify({ records: stream.recordsBetween(from, to, wanted), records_max: REPLAY_RECORDS_MAX })}\n\n`,
              );
            else for (const frame of missed) if (!client.over) await out.write(frame);
          }
          while (!client.over && !out.aborted) {
            const frames = await client.next(HEARTBEAT_MS);
            // An id alone moves what the client will come back with, past what it did not want.
            await out.write(frames.length === 0 ? `: still here\nid: ${stream.id}\n\n` : frames);
            client.written(frames);
          }
        } finally {
          stream.leaveClient(client);
        }
      });
    },
  });
}
