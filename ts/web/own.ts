// The page that a domain brings of its own: `page.tsx` beside its definition, built in with all others and loaded when it is looked at.
// This file is all that the dashboard knows of them, and all that they need of it beside its charts and tables.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { reasonOf } from "./api.ts";

/** What a domain's page exports. */
interface OwnModule {
  readonly Page: ComponentType<OwnProps>;
}

export interface OwnProps {
  /** Whose page it is. */
  readonly pipeline: string;
}

const PAGES = import.meta.glob<OwnModule>("../pipelines/*/page.tsx");

/** How to load the page of a pipeline; null for one that has none. */
export function ownPage(pipeline: string): (() => Promise<ComponentType<OwnProps>>) | null {
  const load = PAGES[`../pipelines/${pipeline}/page.tsx`];
  return load ? async () => (await load()).Page : null;
}

export interface Asked<T> {
  /** The newest answer; null before the first. It stays while a later one fails. */
  readonly answer: T | null;
  /** Why there is no newer one; null while all is well. */
  readonly fault: string | null;
}

/** An answer that is asked for again every so often, for as long as it is shown. */
export function useEvery<T>(ask: () => Promise<T>, every_ms: number): Asked<T> {
  const [asked, setAsked] = useState<Asked<T>>({ answer: null, fault: null });
  useEffect(() => {
    let wanted = true;
    let timer: ReturnType<typeof setTimeout>;
    const turn = async () => {
      try {
        const answer = await ask();
        if (wanted) setAsked({ answer, fault: null });
      } catch (error) {
        if (wanted) setAsked((before) => ({ ...before, fault: reasonOf(error) }));
      }
      if (wanted) timer = setTimeout(turn, every_ms);
    };
    void turn();
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [every_ms]);
  return asked;
}
