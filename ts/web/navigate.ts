// Where the page stands, as a signal, and how it goes elsewhere without being loaded again. A link stays a link: with a key held, or
// in another window, the browser does what it always does.

import { signal } from "@preact/signals";
import { addressOf, type Route, readRoute } from "./route.ts";

const here = (): Route => readRoute(location.pathname, location.search);

export const route = signal<Route>(here());

/** Goes there. `replace`: the way back leads past where we were, for a control that is moved. */
export function go(to: Partial<Route>, { replace = false } = {}): void {
  const next = { ...route.peek(), ...to };
  const address = addressOf(next);
  if (address !== `${location.pathname}${location.search}`)
    history[replace ? "replaceState" : "pushState"](null, "", address);
  const before = route.peek();
  route.value = next;
  if (before.page !== next.page || before.station !== next.station) scrollTo(0, 0);
}

/** What the query says becomes this; an empty word takes the key out. */
export function show(more: Readonly<Record<string, string>>): void {
  const query = Object.fromEntries(
    Object.entries({ ...route.peek().query, ...more }).filter(([, word]) => word !== ""),
  );
  go({ query }, { replace: true });
}

/** The address of another page of the same pipeline, at the same moment. */
export function linkTo(to: Partial<Pick<Route, "page" | "station" | "pipeline" | "query">>): string {
  const { pipeline, query } = route.value;
  const at = query["at"];
  return addressOf({ pipeline, page: "map", station: null, query: at === undefined ? {} : { at }, ...to });
}

/** Follows links of this page and the browser's back and forward. */
export function listen(): void {
  addEventListener("popstate", () => {
    route.value = here();
  });
  addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    // Only links that say they are of the page: others lead to the API or to an engine.
    if (!link?.hasAttribute("data-page")) return;
    event.preventDefault();
    // A link in a drawing has no `href` that is a text.
    const { pathname, search } = new URL(link.getAttribute("href") ?? "", location.href);
    go(readRoute(pathname, search));
  });
}
