// The job types as the generator finds them: every file of ts/jobs but its index, by name. The generated table of them is for
// everyone else; the generator alone cannot wait for it.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { PipelineError } from "../contract/index.ts";
import type { JobType } from "../jobs/plan/type.ts";

export const FOLDER = "ts/jobs";

const JOBS_FOLDER = join(import.meta.dirname, "..", "jobs");

async function typesIn(folder: string): Promise<JobType[]> {
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[a-z_]+\.ts$/.test(entry.name) && entry.name !== "index.ts")
    .map(({ name }) => name)
    .sort();
  return Promise.all(files.map(async (file) => jobTypeIn(file, await load(join(folder, file)))));
}

const load = (path: string) => import(pathToFileURL(path).href) as Promise<Record<string, unknown>>;

/** The job type a file exports under its own name. Errors: `contract_rejected`. */
export function jobTypeIn(file: string, exported: Readonly<Record<string, unknown>>): JobType {
  const name = file.replace(/\.ts$/, "");
  const type = exported[name] as JobType | undefined;
  if (typeof type !== "object" || type.name !== name)
    throw new PipelineError(
      "contract_rejected",
      `Cannot use "${FOLDER}/${file}": expected it to export the job type "${name}" under that name`,
    );
  if ((type.module === null) !== (type.engine === "process"))
    throw new PipelineError(
      "contract_rejected",
      `Cannot use "${FOLDER}/${file}": expected a Python module for a job on Spark or Ray and for no other, got ${type.module} on ${type.engine}`,
    );
  const streams = type.engine === "spark" && type.kind === "stream";
  if (
    (type.share !== undefined && !streams) ||
    (streams && type.share === undefined && type.members === undefined)
  )
    throw new PipelineError(
      "contract_rejected",
      `Cannot use "${FOLDER}/${file}": expected what it needs of its pipeline's application for a stream on Spark and for no other, got a ${type.kind} on ${type.engine}`,
    );
  if (type.schedule !== undefined && type.kind !== "batch")
    throw new PipelineError(
      "contract_rejected",
      `Cannot use "${FOLDER}/${file}": expected a schedule of a batch only, it is a ${type.kind}`,
    );
  return type;
}

/** Every job type, by name. */
export const DECLARED_TYPES: readonly JobType[] = await typesIn(JOBS_FOLDER);

/** The table everyone else imports. */
export function tableModule(types: readonly JobType[], header: readonly string[]): string {
  const names = types.map(({ name }) => name);
  return [
    ...header.map((line) => `// ${line}`),
    "",
    ...names.map((name) => `import { ${name} } from "../${name}.ts";`),
    "",
    `export const JOB_TYPES = { ${names.join(", ")} } as const;`,
    "",
  ].join("\n");
}

/** docs/jobs.md: what people read of them. */
export function jobsPage(types: readonly JobType[], header: string): string {
  const list = (channels: readonly string[]) => channels.join(", ") || "–";
  return [
    `<!-- ${header} -->`,
    "# Job types",
    "",
    "Each is one file in `ts/jobs`; a pipeline's job is called `<pipeline>-<type>`, one that all of a namespace share `<type>`. A bare `millrace submit` starts those marked in the",
    "column `standard`. `reads` and `writes` name topics, tables (`…_table`) and the like; the order in which jobs are started and",
    "restarted follows from them. `needs` are the parts of a pipeline that bring it its job. A schedule is in UTC.",
    "",
    "| type | engine | kind | what it does | needs | reads | writes | standard | schedule |",
    "|---|---|---|---|---|---|---|---|---|",
    ...types.map(
      ({ name, engine, kind, summary, needs, reads, writes, standard, schedule }) =>
        `| ${name} | ${engine} | ${kind} | ${summary} | ${list(needs)} | ${list(reads)} | ${list(writes)} | ${standard ? "yes" : ""} | ${schedule ? `\`${schedule}\`` : ""} |`,
    ),
    "",
  ].join("\n");
}
