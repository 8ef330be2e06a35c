// weather-standin: a server in the form of live feeds, for a machine without internet. A live demo starts it, and nothing else does.

import { asProcess } from "./plan/process.ts";
import type { JobType } from "./plan/type.ts";

export const standin: JobType = {
  name: "standin",
  engine: "process",
  kind: "process",
  summary: "answers in the form of live feeds, with weather that is made up, where there is no internet",
  module: null,
  needs: [],
  reads: [],
  writes: ["feeds"],
  standard: false,
  words: "--port and its port behind --",
  members: ({ sources = {} }) =>
    Object.values(sources).some(({ feed }) => feed === "open-meteo" || feed === "nws") ? [standin] : [],
  plan: (setting, { words = [] }) =>
    asProcess(setting, "standin", ["standin", ...words], { stop_ms: 5_000, finite: false }),
};
