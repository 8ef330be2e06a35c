// Everything the generator writes, rendered in memory: path → text. Reads the hand-written schemas and static files, knows where
// each output lies, and checks that what is written by hand fits together. Writes nothing; folder.ts does.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import {
  PipelineError,
  parseObservation,
  parseRecord,
  parseSchema,
  type RecordShape,
  readableSchema,
  unitRules,
} from "../contract/index.ts";
import type { EngineKind } from "../engines/job.ts";
import { STREAMS } from "../jobs/plan/shared.ts";
import type { JobType } from "../jobs/plan/type.ts";
import type { Pipeline, Stream } from "../pipelines/define.ts";
import { definitionIn, FILE, GENERATED, pipelinesIn } from "../pipelines/folder.ts";
import { outline, seal, sha256 } from "./derive.ts";
import { DERIVED, functionsIn, QUERIES, QUERIES_BESIDE } from "./functions.ts";
import { DECLARED_TYPES, FOLDER, jobsPage, tableModule } from "./jobs.ts";
import {
  contractModule,
  entrypoint,
  type Job,
  paramsModule,
  sharedEntrypoint,
  unitsModule,
  wordsModule,
} from "./python.ts";
import { derivedSchemas } from "./schemas.ts";
import { interfaces, pipelineModule, typesModule, wordList } from "./typescript.ts";

export const COMMAND = "npm run generate";

const RECORDS = "schemas/avro/records";
const PARAMS = "schemas/avro/params";

interface Engine {
  readonly name: "pyspark" | "ray";
  /** Its Python package. */
  readonly root: string;
  readonly by_path: boolean;
  /** Every job of the engine; each has `<job>_params.avsc`. */
  readonly jobs: readonly (Job & Pick<JobType, "kind" | "needs" | "members">)[];
  /** Whether all streams of a pipeline run in one application, of which they have the entrypoint in common. */
  readonly shares: boolean;
}

const jobsOf = (engine: EngineKind): Engine["jobs"] =>
  DECLARED_TYPES.flatMap(({ name, module, engine: its, kind, needs, members }) =>
    its === engine && module !== null ? [{ name, module, kind, needs, ...(members ? { members } : {}) }] : [],
  );

export const ENGINES: readonly Engine[] = [
  { name: "pyspark", root: "spark_jobs", by_path: true, jobs: jobsOf("spark"), shares: true },
  { name: "ray", root: "ray_jobs", by_path: false, jobs: jobsOf("ray"), shares: false },
];

/** Where a pipeline's files go, from the folder they are written into. */
export interface Layout {
  readonly schemas: string;
  /** What a contract is in the other formats a stream may have, by the ending of the file. */
  readonly formats: Readonly<Record<"json" | "proto", string>>;
  readonly typescript: string;
  readonly engine: (engine: Engine) => string;
  /** Module of the contract's type, as the generated TypeScript names it; null where there is none to import. */
  readonly contract: string | null;
}

/** Those of the checkout, from its root. */
export const LAYOUT: Layout = {
  schemas: "schemas/avro/generated",
  formats: { json: "schemas/json", proto: "schemas/proto" },
  typescript: "ts/pipelines/generated",
  engine: ({ name, root }) => `jobs/${name}/${root}/generated`,
  contract: "../contract.ts",
};

/** Those of a folder outside the checkout, from that folder. Python's lie as in the checkout, so that they fit between its files. */
export const LAYOUT_BESIDE: Layout = {
  schemas: `${GENERATED}/schemas`,
  formats: { json: `${GENERATED}/schemas`, proto: `${GENERATED}/schemas` },
  typescript: GENERATED,
  engine: ({ name, root }) => `${GENERATED}/${name}/${root}/generated`,
  contract: null,
};

/** A pipeline, the file it is defined in, and the file of each stream's observation contract, by stream; paths from `base`. */
export interface Definition {
  readonly pipeline: Pipeline;
  readonly base: string;
  readonly source: string;
  readonly contracts: Readonly<Record<string, string>>;
}

export type Files = ReadonlyMap<string, string>;

/** The pipelines of a folder below `base`. A contract lies beside its pipeline, or in the checkout among the other records. */
export function definitionsIn(base: string, folder = ""): Definition[] {
  return pipelinesIn(join(base, folder)).map((name) => {
    const pipeline = definitionIn(join(base, folder), name);
    const own = join(folder, name).split(sep).join("/");
    const pathOf = ({ observation }: Stream) => {
      const file = `${observation}.avsc`;
      const among = !existsSync(join(base, own, file)) && existsSync(join(base, RECORDS, file));
      return among ? `${RECORDS}/${file}` : `${own}/${file}`;
    };
    return {
      pipeline,
      base,
      source: `${own}/${FILE}`,
      contracts: Object.fromEntries(
        Object.entries(pipeline.streams).map(([stream, one]) => [stream, pathOf(one)]),
      ),
    };
  });
}

/** The table of the checkout's pipelines, which everyone else imports. */
function pipelinesTable(definitions: readonly Definition[]): string {
  const names = definitions.map(({ pipeline }) => pipeline.name);
  return [
    `// Generated by ts/codegen from ts/pipelines. Do not edit: ${COMMAND}.`,
    "",
    ...names.flatMap((name) => [
      `import { ${name} } from "../${name}/${FILE}";`,
      `import { CONTRACT as ${name}Contract } from "./${name}.ts";`,
    ]),
    "",
    "export const PIPELINES = {",
    ...names.map((name) => `  ${name}: { pipeline: ${name}, contract: ${name}Contract },`),
    "} as const;",
    "",
  ].join("\n");
}

/** The files of one pipeline. Errors: `contract_rejected`. */
export function pipelineFiles(
  root: string,
  { pipeline, base, source, contracts }: Definition,
  layout: Layout,
): Files {
  const shared = (name: string) =>
    JSON.parse(readFileSync(join(root, RECORDS, `${name}.avsc`), "utf8")) as object;
  const texts = mapped(contracts, (path, stream) => readContract(base, path, pipeline.name, stream));
  const observations = mapped(texts, (text, stream) => parseObservation(text, contracts[stream]!));
  const made = outline(observations, pipeline, functionsIn(root, DERIVED), {
    queries: new Map([
      ...functionsIn(root, QUERIES),
      ...functionsIn(base, `${posix.dirname(source)}/${QUERIES_BESIDE}`),
    ]),
    jobs: [...DECLARED_TYPES.map(({ name }) => name), STREAMS],
  });
  const paths = [...new Set(Object.values(contracts))];
  const origin = `Generated by ts/codegen from ${paths.join(", ")} and ${source}. Do not edit: ${COMMAND}.`;
  const derived = derivedSchemas(made);
  const schemas = mapped(texts, (text) => JSON.parse(text) as object);
  const sealed = seal(
    made,
    {
      observation: schemas[made.stream]!,
      ...derived,
      cursors: shared("source_cursor"),
      progress: shared("job_progress"),
      ...(made.parts.includes("forecast") ? { model_events: shared("model_event") } : {}),
    },
    schemas,
  );
  const header = [origin, `Contract ${sealed.fingerprint}`];

  const files = new Map<string, string>();
  const records: RecordShape[] = [];
  for (const path of paths) {
    const text = readFileSync(join(base, path), "utf8");
    const record = parseRecord(text, path);
    records.push(record);
    const beside = `Generated by ts/codegen from ${path}. Do not edit: ${COMMAND}.`;
    const own = (ending: "json" | "proto") => `${layout.formats[ending]}/${record.name}.${ending}`;
    files.set(own("json"), readableSchema("json", text, beside));
    files.set(own("proto"), readableSchema("protobuf", text, beside));
  }
  for (const [what, schema] of Object.entries(derived)) {
    const path = `${layout.schemas}/${pipeline.name}_${what}.avsc`;
    const doc = `${schema.doc} ${origin} Contract ${sealed.fingerprint}.`;
    const text = `${JSON.stringify({ ...schema, doc }, null, 2)}\n`;
    // The generator's own output passes the same gate as what people write.
    records.push(parseRecord(JSON.stringify(schema), path));
    files.set(path, text);
  }
  sameByName(records);
  files.set(
    `${layout.typescript}/${pipeline.name}.ts`,
    pipelineModule(header, sealed, records, layout.contract),
  );
  for (const engine of ENGINES) {
    const folder = layout.engine(engine);
    const jobs = engine.jobs
      .filter(({ needs }) => needs.every((part) => made.parts.includes(part)))
      .flatMap((job) => (job.members?.(pipeline) ?? [job]).map(({ name, kind }) => ({ name, kind, job })));
    // An engine that does nothing for the pipeline hears nothing of it.
    if (jobs.length === 0) continue;
    files.set(`${folder}/${pipeline.name}_contract.py`, contractModule(header, sealed, engine.root));
    const together = jobs.filter(({ kind }) => engine.shares && kind === "stream");
    for (const { name, job } of jobs.filter((one) => !together.includes(one)))
      files.set(
        `${folder}/${pipeline.name}_${name}.py`,
        entrypoint(header, pipeline.name, name, job, engine),
      );
    if (together.length > 0)
      files.set(
        `${folder}/${pipeline.name}_${STREAMS}.py`,
        sharedEntrypoint(header, pipeline.name, STREAMS, together, engine),
      );
  }
  return files;
}

function mapped<A, B>(
  record: Readonly<Record<string, A>>,
  of: (value: A, name: string) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value, name)]));
}

function readContract(base: string, path: string, pipeline: string, stream: string): string {
  try {
    return readFileSync(join(base, path), "utf8");
  } catch (cause) {
    throw new PipelineError(
      "contract_rejected",
      `Cannot use pipeline "${pipeline}" at streams.${stream}.observation: expected its contract in "${join(base, path)}", got no such file`,
      { cause },
    );
  }
}

/** The files that belong to no one pipeline: the table of them, error codes, shared records, parameters, and the static Python of both engines. */
export function sharedFiles(root: string, definitions: readonly Definition[]): Files {
  const read = (path: string) => readFileSync(join(root, path), "utf8");
  const header = (path: string, text: string) => [
    `Generated by ts/codegen from ${path}. Do not edit: ${COMMAND}.`,
    `Source ${sha256(JSON.parse(text))}`,
  ];
  const files = new Map<string, string>();
  files.set(`${LAYOUT.typescript}/table.ts`, pipelinesTable(definitions));
  const jobs_header = `Generated by ts/codegen from ${FOLDER}. Do not edit: ${COMMAND}.`;
  files.set(`${FOLDER}/generated/table.ts`, tableModule(DECLARED_TYPES, [jobs_header]));
  files.set("docs/generated/jobs.md", jobsPage(DECLARED_TYPES, jobs_header));

  const codes_path = `${RECORDS}/error_code.avsc`;
  const codes_text = read(codes_path);
  const codes = parseSchema(codes_text, codes_path);
  if (codes.kind !== "enum")
    throw new PipelineError(
      "contract_rejected",
      `Cannot read "${codes_path}": expected an enum, got a ${codes.kind}`,
    );
  const codes_header = header(codes_path, codes_text);
  files.set(
    "ts/contract/generated/error_code.ts",
    typesModule(codes_header, wordList("ERROR_CODES", "ErrorCode", codes.symbols)),
  );

  const shared = ["job_progress", "model_event", "source_cursor"].map((name) => `${RECORDS}/${name}.avsc`);
  const params = readdirSync(join(root, PARAMS))
    .filter((name) => name.endsWith(".avsc"))
    .sort()
    .map((name) => `${PARAMS}/${name}`);
  const expected = ENGINES.flatMap(({ jobs, shares }) =>
    [...jobs.map(({ name }) => name), ...(shares ? [STREAMS] : [])].map(
      (name) => `${PARAMS}/${name}_params.avsc`,
    ),
  ).sort();
  if (params.join() !== expected.join())
    throw new PipelineError(
      "contract_rejected",
      `Cannot use "${PARAMS}": expected ${expected.join(", ")}, got ${params.join(", ")}`,
    );
  const record_shapes = shared.map((path) => parseRecord(read(path), path));
  const param_shapes = params.map((path) => parseRecord(read(path), path));
  sameByName([...record_shapes, ...param_shapes]);
  const texts = (paths: readonly string[]) =>
    JSON.stringify(paths.map((path) => JSON.parse(read(path)) as object));
  files.set(
    "ts/contract/generated/records.ts",
    typesModule(header(RECORDS, texts(shared)), interfaces(record_shapes)),
  );
  const params_header = header(PARAMS, texts(params));
  const units_header = header("ts/contract/units.ts", JSON.stringify([...unitRules()]));
  files.set("ts/contract/generated/params.ts", typesModule(params_header, interfaces(param_shapes)));

  for (const engine of ENGINES) {
    const folder = LAYOUT.engine(engine);
    files.set(`${folder}/__init__.py`, "");
    files.set(
      `${folder}/error_code.py`,
      wordsModule(codes_header, "ErrorCode", "ERROR_CODES", codes.symbols),
    );
    files.set(`${folder}/params.py`, paramsModule(params_header, param_shapes));
    // Only the look for a silent change of units asks for them.
    if (engine.name === "pyspark") files.set(`${folder}/units.py`, unitsModule(units_header, unitRules()));
    for (const name of readdirSync(join(root, "ts/codegen/static"))
      .filter((n) => n.endsWith(".py"))
      .sort())
      files.set(
        `${folder}/${name}`,
        `# Copied from ts/codegen/static/${name}. Do not edit: ${COMMAND}.\n${read(`ts/codegen/static/${name}`)}`,
      );
  }
  return files;
}

/** A record that several schemas define under one name must be one record: it becomes one type. */
function sameByName(records: readonly RecordShape[]): void {
  const seen = new Map<string, string>();
  const visit = (record: RecordShape): void => {
    for (const { shape, name } of record.fields) {
      const inner = shape.kind === "nullable" ? shape.of : shape;
      if (inner.kind !== "record") continue;
      const text = JSON.stringify(inner);
      if ((seen.get(inner.name) ?? text) !== text)
        throw new PipelineError(
          "contract_rejected",
          `Cannot use ${record.name}.${name}: expected record "${inner.name}" to be the same everywhere`,
        );
      seen.set(inner.name, text);
      visit(inner);
    }
  };
  for (const record of records) visit(record);
}
