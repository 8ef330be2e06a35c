// How the line runs: asked once, and then told by a stream of its own every two seconds, for as long as the system page is open. Keeps
// the last minutes of what is drawn as a curve.

import { useEffect, useState } from "preact/hooks";
import { answer, apiOf, reasonOf, type System } from "./api.ts";
import { browserEffects } from "./store.ts";
import { LiveStream, type StreamState } from "./stream.ts";

/** Looks that are remembered: five minutes. */
const LOOKS_MAX = 150;

export interface Line {
  /** Null before the first answer. */
  readonly system: System | null;
  /** Oldest first. */
  readonly looks: readonly System[];
  readonly state: StreamState;
  readonly fault: string | null;
}

export function useLine(): Line {
  const [line, setLine] = useState<Line>({ system: null, looks: [], state: "connecting", fault: null });
  useEffect(() => {
    let wanted = true;
    const take = (system: System) =>
      setLine((before) =>
        before.system !== null && before.system.at > system.at
          ? before
          : { ...before, system, looks: [...before.looks, system].slice(-LOOKS_MAX), fault: null },
      );
    const ask = async () => {
      try {
        const system = await answer(apiOf(null).GET("/system"));
        if (wanted) take(system);
      } catch (error) {
        if (wanted) setLine((before) => ({ ...before, fault: reasonOf(error) }));
      }
    };
    void ask();
    const stream = new LiveStream("/stream?kind=system", ["system"], browserEffects, {
      event: (_, data) => take(data as System),
      state: (state) => wanted && setLine((before) => ({ ...before, state })),
      missed: () => void ask(),
    });
    return () => {
      wanted = false;
      stream.close();
    };
  }, []);
  return line;
}
