// The feeds there are. A new one is its file, its name in pipelines/define.ts and a line here.

import type { FeedName } from "../../pipelines/index.ts";
import type { Feed } from "./feed.ts";
import { gtfsRt } from "./gtfs_rt.ts";
import { nws } from "./nws.ts";
import { openMeteo } from "./open_meteo.ts";
import { openweathermap } from "./openweathermap.ts";

export const FEEDS: Readonly<Record<FeedName, Feed>> = {
  "open-meteo": openMeteo,
  nws,
  openweathermap,
  "gtfs-rt": gtfsRt,
};
