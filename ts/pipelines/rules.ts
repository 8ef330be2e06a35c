// What a namespace and a pipeline may be called. Both become part of topics, subjects, groups, jobs, folders and URLs, so
// the rule is what all of those take, and it is stated here alone.

export interface NameRule {
  holds(name: string): boolean;
  /** The rule in words, for "expected …". */
  readonly words: string;
}

/** Folders below the home folder that are not a namespace's own: the engines', and that of the empty namespace. */
const RESERVED: readonly string[] = ["engines", "default"];

/** A namespace, where there is one: the empty text means none. */
export const NAMESPACE: NameRule = {
  holds: (name) =>
    name === "" || (/^[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(name) && !RESERVED.includes(name)),
  words: `lower-case letters, digits and hyphens, at most 32, a letter first and no hyphen last, not ${RESERVED.map((name) => `"${name}"`).join(" or ")}`,
};

/** Where the paths of the API begin that span all pipelines, or are the default one's: a pipeline of such a name would claim them too. */
export const CLAIMED: readonly string[] = [
  "alerts",
  "anomalies",
  "docs",
  "health",
  "jobs",
  "metrics",
  "models",
  "pages",
  "pipelines",
  "predictions",
  "scoreboard",
  "serve",
  "session",
  "stations",
  "stream",
  "system",
  "verifications",
  "web",
];

/** A pipeline. Without hyphens, so that a derived name says where it ends. */
export const PIPELINE: NameRule = {
  holds: (name) => /^[a-z][a-z0-9]{0,31}$/.test(name) && !CLAIMED.includes(name),
  words: `lower-case letters and digits, at most 32, a letter first, and none of what the API's own paths begin with (${CLAIMED.join(", ")})`,
};
