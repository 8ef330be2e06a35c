// Every pipeline there is, as written by hand. The generator starts here; everyone else wants index.ts, which has the derived
// contracts too and therefore needs generated files to exist.

import type { Pipeline } from "./define.ts";
import { meters } from "./meters.ts";
import { weather } from "./weather.ts";

export const definitions: readonly Pipeline[] = [meters, weather];
