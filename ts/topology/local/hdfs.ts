// HDFS on one machine, started only when asked for: a NameNode, which holds the names, and a DataNode, which holds the bytes.
// One copy of each block. Formats once and never again: whoever has blocks without names is told, not given new ones.
// What does not depend on the machine is in infra/local/hdfs.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { PipelineError } from "../../contract/errors.ts";
import { enginesDir, type Settings } from "../../engines/settings.ts";
import { answers, type Command, type Engine, SMALL_JVM, SMALL_MALLOC, UTF8 } from "./engine.ts";
import { fileUrl } from "./path.ts";

const FORMAT_MS = 120_000;

/** Java's part of the command line: flags, class path, heap. `dir` gets the two folders of pages without which Hadoop's web servers do not start. */
function java({ root }: Settings, dir: string, heap: string): string[] {
  const jars = join(root, "target", "engines", "hdfs");
  if (!existsSync(jars) || !readdirSync(jars).some((name) => name.startsWith("hadoop-client-minicluster-")))
    throw new PipelineError("config_invalid", `Cannot find HDFS in "${jars}": run "make setup"`);
  // The DataNode makes a URL of its folder and a format of that: a blank is %20, and Hadoop 3.4.1 fails with
  // UnknownFormatConversionException. Said before anything is started.
  if (fileUrl(dir).includes("%"))
    throw new PipelineError(
      "config_invalid",
      `Cannot keep HDFS in "${dir}": expected a folder whose URL needs no %, got "${fileUrl(dir)}"; set MILLRACE_HOME to one of plain letters, digits and . _ - + @ ( ) & ~`,
    );
  const pages = join(dir, "pages");
  for (const name of ["hdfs", "datanode"]) mkdirSync(join(pages, "webapps", name), { recursive: true });
  return [
    ...SMALL_JVM,
    "-XX:TieredStopAtLevel=1",
    "-Xms32m",
    heap,
    // Without it every call of WebHDFS fails: its injector looks into Java's own class loader.
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "-cp",
    [join(root, "infra", "local", "hdfs"), pages, join(jars, "*")].join(":"),
  ];
}

/** Hadoop's way to overrule a setting on the command line. */
const overrule = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).flatMap(([name, value]) => ["-D", `${name}=${value}`]);

const names = (dir: string) => join(dir, "names");
const blocks = (dir: string) => join(dir, "blocks");
/** Both engines keep their state in the folder of their own; each needs to see whether the other has any. */
const folderOf = (settings: Settings, engine: Pick<Engine, "name">) =>
  join(enginesDir(settings), engine.name);

/** Makes an empty file system in a folder of its own and moves it into place, so that one cut short is never taken for a whole one. */
async function format(settings: Settings, dir: string, command: readonly string[]): Promise<void> {
  const held = blocks(folderOf(settings, dataNode));
  if (existsSync(held))
    throw new PipelineError(
      "config_invalid",
      `Cannot format HDFS in "${names(dir)}": expected no blocks, "${held}" holds some; bring "${names(dir)}" back, or remove both folders to begin without what they held`,
    );
  const fresh = join(dir, "names.new");
  rmSync(fresh, { recursive: true, force: true });
  const done = await execa(
    settings.javaPath,
    [...command, ...overrule({ "dfs.namenode.name.dir": fileUrl(fresh) }), "-format", "-nonInteractive"],
    { reject: false, all: true, timeout: FORMAT_MS, cwd: dir, env: UTF8 },
  );
  if (done.failed)
    throw new PipelineError("config_invalid", `Cannot format HDFS in "${fresh}"`, {
      cause: new Error((done.all || done.shortMessage || "").trimEnd().split("\n").slice(-12).join("\n")),
    });
  renameSync(fresh, names(dir));
}

/** A bean of Hadoop's metrics page; `good` says what is wrong with it, or null. */
const bean = <T>(url: string, name: string, good: (bean: T) => string | null) =>
  answers(`${url}/jmx?qry=Hadoop:service=${name}`, (text) => {
    const [found] = (JSON.parse(text) as { readonly beans: readonly T[] }).beans;
    return found ? good(found) : "is starting";
  });

interface NameNodeInfo {
  /** Empty once it has left it. */
  readonly Safemode: string;
  /** JSON by the name of each DataNode. */
  readonly LiveNodes: string;
}
interface DataNodeInfo {
  /** JSON: one entry a NameNode. */
  readonly BPServiceActorInfo: string;
}

const page = ({ host }: Settings, port: number) => `http://${host}:${port}`;

export const nameNode: Engine = {
  name: "hdfs-namenode",
  cluster: "hdfs",
  after: [],
  ports: ["hdfs", "hdfsUi"],
  // Ready in a few seconds; a cluster of one machine that is busy has been seen to take a minute.
  start_ms: 120_000,
  stop_ms: 10_000,
  address: ({ hdfsUrl }) => hdfsUrl,
  async prepare(settings, dir): Promise<Command> {
    const { host, ports, hdfsUrl, javaPath } = settings;
    // 192 MB hold the names of some hundred thousand files; an archive of a year has a few thousand.
    const command = [
      ...java(settings, dir, "-Xmx192m"),
      "org.apache.hadoop.hdfs.server.namenode.NameNode",
      ...overrule({
        "fs.defaultFS": hdfsUrl,
        "dfs.namenode.rpc-address": `${host}:${ports.hdfs}`,
        "dfs.namenode.http-address": `${host}:${ports.hdfsUi}`,
      }),
    ];
    if (!existsSync(names(dir))) await format(settings, dir, command);
    return {
      command: javaPath,
      args: [...command, ...overrule({ "dfs.namenode.name.dir": fileUrl(names(dir)) })],
      env: SMALL_MALLOC,
    };
  },
  // It may still be in safe mode: it leaves that when the DataNode has told its blocks, which the DataNode's check waits for.
  check: (settings) =>
    bean<NameNodeInfo>(page(settings, settings.ports.hdfsUi), "NameNode,name=NameNodeInfo", () => null),
};

export const dataNode: Engine = {
  name: "hdfs-datanode",
  cluster: "hdfs",
  after: ["hdfs-namenode"],
  ports: ["hdfsData", "hdfsDataUi", "hdfsDataIpc"],
  // Ready in a few seconds; a cluster of one machine that is busy has been seen to take a minute.
  start_ms: 120_000,
  stop_ms: 10_000,
  address: ({ host, ports }) => `${host}:${ports.hdfsData}`,
  async prepare(settings, dir): Promise<Command> {
    const { host, ports, hdfsUrl, javaPath } = settings;
    return {
      command: javaPath,
      args: [
        ...java(settings, dir, "-Xmx192m"),
        "org.apache.hadoop.hdfs.server.datanode.DataNode",
        ...overrule({
          "fs.defaultFS": hdfsUrl,
          "dfs.datanode.data.dir": fileUrl(blocks(dir)),
          "dfs.datanode.hostname": host,
          "dfs.datanode.address": `${host}:${ports.hdfsData}`,
          "dfs.datanode.http.address": `${host}:${ports.hdfsDataUi}`,
          "dfs.datanode.ipc.address": `${host}:${ports.hdfsDataIpc}`,
        }),
      ],
      env: SMALL_MALLOC,
    };
  },
  /**
   * Whether a file can be written and read: both know each other, and the names are no longer only for reading. The NameNode
   * is asked first: a DataNode that is asked while it starts fills its log with what it does not know yet.
   */
  async check(settings) {
    const name = await bean<NameNodeInfo>(
      page(settings, settings.ports.hdfsUi),
      "NameNode,name=NameNodeInfo",
      ({ Safemode, LiveNodes }) => {
        if (Object.keys(JSON.parse(LiveNodes) as object).length === 0) return "no DataNode lives";
        return Safemode === "" ? null : Safemode.slice(0, 120);
      },
    );
    if (!name.done) return name;
    return bean<DataNodeInfo>(
      page(settings, settings.ports.hdfsDataUi),
      "DataNode,name=DataNodeInfo",
      ({ BPServiceActorInfo }) => {
        const [actor] = JSON.parse(BPServiceActorInfo) as readonly { readonly ActorState: string }[];
        return actor?.ActorState === "RUNNING" ? null : `is ${actor?.ActorState ?? "without a NameNode"}`;
      },
    );
  },
};
