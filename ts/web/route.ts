// Addresses of the page: which page, of which pipeline, and what its query says. Pure; navigate.ts goes there.

/** Where the paths of pages begin, beside "/". A pipeline has none of these names (ts/pipelines/rules.ts). */
export const CLAIMED_HERE = ["stations", "pages"] as const;
/** Pages below /pages: their data has the bare name in the API. */
const BELOW = ["alerts", "scoreboard", "system"] as const;

export type PageName = "map" | "station" | (typeof BELOW)[number] | "none";

export interface Route {
  /** As the address says; null where it names none and the default one is meant. */
  readonly pipeline: string | null;
  readonly page: PageName;
  /** Of a station page. */
  readonly station: string | null;
  /** What is shown of it: `at`, `field` and what else a page understands. */
  readonly query: Readonly<Record<string, string>>;
}

const decoded = (segment: string): string | null => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
};

function pageOf(segments: readonly string[]): Pick<Route, "page" | "station"> {
  const [first, second, ...rest] = segments;
  if (first === undefined) return { page: "map", station: null };
  if (second !== undefined && rest.length === 0) {
    if (first === "stations") {
      const station = decoded(second);
      return station === null ? { page: "none", station: null } : { page: "station", station };
    }
    const page = BELOW.find((name) => name === second);
    if (first === "pages" && page !== undefined) return { page, station: null };
  }
  return { page: "none", station: null };
}

/** Reads an address: `/meters/stations/m-1?at=…`. */
export function readRoute(path: string, search: string): Route {
  const segments = path.split("/").filter((segment) => segment !== "");
  const [first] = segments;
  const named = first !== undefined && !(CLAIMED_HERE as readonly string[]).includes(first);
  return {
    pipeline: named ? first : null,
    ...pageOf(named ? segments.slice(1) : segments),
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

function pathOf(page: PageName, station: string | null): string {
  if (page === "station") return `/stations/${encodeURIComponent(station ?? "")}`;
  return page === "map" || page === "none" ? "/" : `/pages/${page}`;
}

/** The address of a route; the inverse of `readRoute`. */
export function addressOf({ pipeline, page, station, query }: Route): string {
  const path = pathOf(page, station);
  const search = new URLSearchParams(query).toString();
  return `${pipeline === null ? "" : `/${pipeline}`}${path}${search === "" ? "" : `?${search}`}`;
}
