// weather-<source>: a live feed asked again and again, one job for each source of a pipeline. What it asks for the definition says;
// words behind -- say otherwise. It goes on from its cursor after a restart.

import type { Source } from "../pipelines/define.ts";
import { HEARTBEAT_MS, needsCommand } from "./plan/params.ts";
import { asProcess } from "./plan/process.ts";
import type { JobType } from "./plan/type.ts";

/** The job of one source. */
function member(name: string, { feed, standard }: Source): JobType {
  return {
    ...poll,
    name,
    summary: `asks the feed ${feed}`,
    standard,
    plan: (setting, { words = [] }) => ({
      // A round may be waiting for an answer, and a transaction may be open.
      ...asProcess(setting, name, ["produce", feed, "--source", name, ...words], {
        stop_ms: 30_000,
        finite: false,
      }),
      heartbeat_ms: HEARTBEAT_MS,
    }),
  };
}

export const poll: JobType = {
  name: "poll",
  engine: "process",
  kind: "process",
  summary: "asks a live feed again and again, one job `<pipeline>-<source>` for each of its sources",
  module: null,
  needs: [],
  reads: ["feeds", "cursors"],
  writes: ["raw", "cursors"],
  standard: false,
  words: "flags of `millrace produce` behind --",
  wordless: true,
  members: ({ sources = {} }) => Object.entries(sources).map(([name, source]) => member(name, source)),
  plan(setting) {
    throw needsCommand(setting, "produce");
  },
};
