// A part of the page that is loaded once it is needed.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

/** The component, or null until it is there; a failure is tried again by the next who needs it. */
export function useLazy<P>(load: () => Promise<ComponentType<P>>): ComponentType<P> | null {
  const [component, setComponent] = useState<ComponentType<P> | null>(null);
  useEffect(() => {
    let wanted = true;
    load().then(
      (one) => wanted && setComponent(() => one),
      () => undefined,
    );
    return () => {
      wanted = false;
    };
  }, []);
  return component;
}
