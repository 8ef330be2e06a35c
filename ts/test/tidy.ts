// The repo's own rules as pure functions over texts: who may import whom, which library lives where, what the README
// must name. repo.test.ts applies them to the tree and shows that each can fail.

/**
 * Folders of ts/ and the folders each may import from. A folder may always import from itself. A folder within one may have a row
 * of its own; it is then another folder to everyone.
 */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  ground: ["contract"],
  pipelines: ["contract"],
  topology: ["contract"],
  settings: ["ground", "contract", "pipelines", "topology"],
  "topology/local": ["ground", "contract", "topology", "settings", "kafka"],
  "topology/compose": ["contract", "topology"],
  codegen: ["ground", "contract", "pipelines", "topology", "topology/compose", "engines", "jobs"],
  kafka: ["ground", "contract", "pipelines", "settings"],
  source: ["ground", "contract", "pipelines", "kafka"],
  store: ["ground", "contract", "pipelines", "settings", "kafka"],
  alerts: ["ground", "contract", "pipelines", "kafka"],
  lines: ["ground", "contract", "pipelines", "settings", "kafka", "source"],
  engines: ["ground", "contract", "pipelines", "settings", "kafka"],
  jobs: ["ground", "contract", "pipelines", "settings", "engines"],
  supervise: [
    "ground",
    "contract",
    "pipelines",
    "settings",
    "topology/local",
    "kafka",
    "source",
    "engines",
    "jobs",
    "models",
    "store",
  ],
  models: ["ground", "contract", "pipelines", "settings", "kafka", "engines"],
  /** A domain's own modules, which run where their callers run and are given what they need. */
  domain: ["pipelines", "lines", "serve", "web"],
  web: ["client"],
  client: [],
  serve: [
    "ground",
    "contract",
    "pipelines",
    "topology",
    "settings",
    "topology/local",
    "kafka",
    "engines",
    "jobs",
    "supervise",
    "store",
    "lines",
    "web",
  ],
  rehearse: [
    "ground",
    "contract",
    "pipelines",
    "topology",
    "settings",
    "topology/local",
    "kafka",
    "source",
    "engines",
    "jobs",
    "supervise",
    "store",
    "lines",
  ],
  cli: [
    "ground",
    "contract",
    "pipelines",
    "topology",
    "settings",
    "topology/local",
    "codegen",
    "kafka",
    "source",
    "engines",
    "jobs",
    "supervise",
    "models",
    "store",
    "alerts",
    "lines",
    "web",
    "client",
    "serve",
    "rehearse",
  ],
};

/** Rooms of a folder, and those of the same folder each may import from; what lies beside the rooms is for all of them. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  "source/send": [],
  "source/formats": [],
  "source/replay": ["source/send", "source/formats"],
  "source/feeds": ["source/formats"],
  "source/poll": ["source/send", "source/formats", "source/feeds"],
  "source/simulate": ["source/send", "source/feeds", "source/poll"],
  "rehearse/line": [],
  "rehearse/standin": [],
  "rehearse/prove": ["rehearse/line"],
  "rehearse/bench": ["rehearse/line"],
  "cli/engines": [],
  "cli/jobs": [],
  "cli/data": [],
  "cli/models": [],
  "cli/dev": ["cli/engines", "cli/jobs", "cli/data", "cli/models"],
};

/** Foreign libraries and the one folder that knows each. */
export const LIVES_IN: Readonly<Record<string, readonly string[]>> = {
  canonicalize: ["ground"],
  kafkajs: ["kafka"],
  pg: ["store"],
  "pg-copy-streams": ["store"],
  kysely: ["store"],
  "kafkajs-snappy": ["kafka"],
  avsc: ["contract", "codegen", "source"],
  hono: ["serve"],
  "@hono/node-server": ["serve"],
  "@hono/zod-openapi": ["serve"],
  "prom-client": ["serve"],
  "csv-stringify": ["serve"],
  "openapi-fetch": ["client"],
  preact: ["web"],
  "@preact/signals": ["web"],
  uplot: ["web"],
  "d3-geo": ["web"],
  "topojson-client": ["web"],
  vite: ["web"],
  commander: ["cli"],
  croner: ["supervise"],
  listr2: ["cli"],
  axios: ["ground"],
  "gtfs-realtime-bindings": ["source"],
  fflate: ["engines"],
  yaml: ["topology"],
  testcontainers: ["test"],
  vitest: ["test"],
  "fast-check": ["test"],
};

export interface Source {
  /** Path from the repo's root, forward slashes. */
  readonly path: string;
  readonly text: string;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)|(?:^|\n)import\s+"([^"]+)"/g;

export function importsOf(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((m) => (m[1] ?? m[2] ?? m[3])!);
}

const roomOf = (path: string) => path.split("/").slice(1, 3).join("/");
/** A domain's routes and its page lie beside its definition, and are no part of it. */
const DOMAIN = /^ts\/pipelines\/[^/]+\/(?:serve\.ts|page\.tsx)$/;
/** The folder whose row in the import table holds for a file. */
const folderOf = (path: string) =>
  DOMAIN.test(path) ? "domain" : roomOf(path) in MAY_IMPORT ? roomOf(path) : path.split("/")[1]!;

function resolve(path: string, target: string): string {
  const parts = path.split("/").slice(0, -1);
  for (const part of target.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** One line for each import that crosses a wall. Tests may import anything. */
export function crossings(sources: readonly Source[]): string[] {
  const found: string[] = [];
  for (const { path, text } of sources) {
    if (/\.test\.tsx?$|^ts\/test\//.test(path)) continue;
    const from = folderOf(path);
    for (const target of importsOf(text)) {
      if (target.startsWith(".")) {
        const to = folderOf(resolve(path, target));
        const allowed = MAY_IMPORT[from];
        if (!resolve(path, target).startsWith("ts/")) continue;
        if (!allowed) found.push(`${path}: no row in the import table for ts/${from}`);
        else if (to !== from && !allowed.includes(to))
          found.push(`${path} imports ${target}: ts/${from} may not know ts/${to}`);
        const [inner, beside] = [roomOf(path), roomOf(resolve(path, target))];
        if (
          to === from &&
          inner in ROOMS &&
          beside in ROOMS &&
          inner !== beside &&
          !ROOMS[inner]!.includes(beside)
        )
          found.push(`${path} imports ${target}: ts/${inner} may not know ts/${beside}`);
      } else {
        const library = target.startsWith("@")
          ? target.split("/").slice(0, 2).join("/")
          : target.split("/")[0]!;
        const homes = LIVES_IN[library];
        if (homes && !homes.includes(path.split("/")[1]!))
          found.push(`${path} imports ${target}: only ts/${homes.join(", ts/")} may`);
      }
    }
  }
  return found;
}

/**
 * Lines that read the process's surroundings outside ts/cli. `process.execPath`, `.pid` and `.kill` are not surroundings. The file
 * that starts processes hands the environment on as a whole, and reads nothing of it.
 */
export function surroundings(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => !/^ts\/(cli|test)\/|\.test\.ts$|^ts\/codegen\/main\.ts$/.test(path))
    .map(({ path, text }) => ({
      path,
      text: path === "ts/ground/process.ts" ? text.replace("{ ...process.env, ", "{ ") : text,
    }))
    .flatMap(({ path, text }) =>
      text
        .split("\n")
        .flatMap((line, i) =>
          /process\.(env|argv|exit\b|exitCode)/.test(line) ? [`${path}:${i + 1} ${line.trim()}`] : [],
        ),
    );
}

/** Names of Makefile targets with a `##` comment. */
export function targets(makefile: string): string[] {
  return [...makefile.matchAll(/^([a-z][a-z-]*):[^#\n]*##/gm)].map((m) => m[1]!);
}

/** Targets the README says, as `make x`. */
export function targetsSaid(readme: string): string[] {
  return [...new Set([...readme.matchAll(/`?make ([a-z][a-z-]*)/g)].map((m) => m[1]!))];
}

/** TypeScript files nobody imports, that are no entry point. */
export function dead(sources: readonly Source[], entries: RegExp): string[] {
  const imported = new Set(
    sources.flatMap(({ path, text }) =>
      importsOf(text)
        .filter((t) => t.startsWith("."))
        .map((t) => resolve(path, t)),
    ),
  );
  return sources.map((s) => s.path).filter((path) => !imported.has(path) && !entries.test(path));
}

/** Settings the code reads from the environment. */
export function environmentRead(sources: readonly Source[]): string[] {
  return [
    ...new Set(sources.flatMap(({ text }) => [...text.matchAll(/\bMILLRACE_[A-Z_]+\b/g)].map((m) => m[0]))),
  ].sort();
}

/** Machine paths and registry hosts that must not be committed. */
export function foreignPaths(sources: readonly Source[]): string[] {
  const bad =
    /(?<![\w.])\/(?:home|root|work)\/[a-z]|registry\.npmjs|pypi\.org|files\.pythonhosted|repo1?\.maven|deb\.debian/;
  return sources.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, i) => (bad.test(line) ? [`${path}:${i + 1}`] : [])),
  );
}
