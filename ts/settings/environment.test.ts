import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { PipelineError } from "../contract/errors.ts";
import { type Environment, type Flags, portsFrom, settingsFrom } from "./environment.ts";
import { archivePlace, onOurHdfs, PORT_SETTING, PORTS, settingsOf, stateDir } from "./settings.ts";

const root = "/repo";
const folder = mkdtempSync(join(tmpdir(), "config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refusal(env: Environment, flags: Flags = {}): string {
  try {
    settingsFrom(root, env, flags);
  } catch (error) {
    if (error instanceof PipelineError && error.code === "config_invalid") return error.message;
    throw error;
  }
  throw new Error("not refused");
}

describe("settingsFrom()", () => {
  it("gives the defaults for an empty environment", () => {
    expect(settingsFrom(root, {})).toEqual(settingsOf(root));
  });

  it("moves every address with its port", () => {
    const settings = settingsFrom(root, { MILLRACE_KAFKA_PORT: "19092", MILLRACE_SPARK_UI_PORT: "18080" });
    expect(settings.kafka.bootstrap).toBe("127.0.0.1:19092");
    expect(settings.sparkUiUrl).toBe("http://127.0.0.1:18080");
    expect(settings.external).toEqual([]);
  });

  it("reads each port from the variable that errors name", () => {
    const env = Object.fromEntries(
      Object.entries(PORT_SETTING).map(([port, name]) => [
        name,
        String(PORTS[port as keyof typeof PORTS] + 1),
      ]),
    );
    for (const [port, number] of Object.entries(portsFrom(env)))
      expect([port, number]).toEqual([port, PORTS[port as keyof typeof PORTS] + 1]);
  });

  it("takes a cluster given by address as external", () => {
    const settings = settingsFrom(root, {
      MILLRACE_KAFKA_BOOTSTRAP: "broker:9092",
      MILLRACE_RAY_URL: "http://ray:8265/",
    });
    expect([...settings.external].sort()).toEqual(["kafka", "ray"]);
    expect(settings.kafka.bootstrap).toBe("broker:9092");
    expect(settings.rayUrl).toBe("http://ray:8265");
  });

  it("wants all addresses of an external Spark", () => {
    expect(refusal({ MILLRACE_SPARK_MASTER_URL: "spark://s:7077" })).toMatch(/MILLRACE_SPARK_REST_URL/);
  });

  it("takes an archive's place as it is, and knows which lies on our HDFS", () => {
    const of = (MILLRACE_ARCHIVE: string) =>
      settingsFrom(root, { MILLRACE_ARCHIVE, MILLRACE_HDFS_PORT: "19820" });
    const ours = "hdfs://127.0.0.1:19820";
    for (const [word, place, on] of [
      ["/archive/", "/archive", false],
      ["file:/archive", "file:/archive", false],
      ["s3a://bucket/archive", "s3a://bucket/archive", false],
      ["hdfs:", ours, true],
      ["hdfs:/archive", `${ours}/archive`, true],
      ["hdfs:///archive/", `${ours}/archive`, true],
      [`${ours}/archive`, `${ours}/archive`, true],
      ["hdfs://127.0.0.1:198200/archive", "hdfs://127.0.0.1:198200/archive", false],
      ["hdfs://names:8020/archive", "hdfs://names:8020/archive", false],
    ] as const)
      expect([word, archivePlace(of(word)), onOurHdfs(of(word))]).toEqual([word, place, on]);
    expect([archivePlace(settingsOf(root)), onOurHdfs(settingsOf(root))]).toEqual([null, false]);
  });

  it("prefers the namespace of the flag", () => {
    const settings = settingsFrom(root, { MILLRACE_NAMESPACE: "a" }, { namespace: "b" });
    expect(settings.namespace).toBe("b");
    expect(stateDir(settings)).toBe("/repo/.millrace/b");
  });

  it.each([
    [{ MILLRACE_KAFKA_PORT: "abc" }, 'MILLRACE_KAFKA_PORT="abc": expected a port'],
    [{ MILLRACE_KAFKA_PORT: "80" }, 'MILLRACE_KAFKA_PORT="80": expected a port'],
    [{ MILLRACE_KAFKA_PORT: "9092.5" }, "expected a port"],
    [
      { MILLRACE_MLFLOW_PORT: "20002" },
      'MILLRACE_MLFLOW_PORT="20002": expected a port outside 20002 to 20200',
    ],
    [{ MILLRACE_MLFLOW_PORT: "20200" }, "expected a port outside 20002 to 20200"],
    [{ MILLRACE_RAY_WORKER_MAX_PORT: "20003" }, "at least 10 ports"],
    [{ MILLRACE_MLFLOW_PORT: "0x2384" }, 'MILLRACE_MLFLOW_PORT="0x2384": expected a port'],
    [{ MILLRACE_MLFLOW_PORT: "1e4" }, "expected a port"],
    [{ MILLRACE_MLFLOW_PORT: " 9092" }, "expected a port"],
    [{ MILLRACE_NAMESPACE: "A b" }, 'MILLRACE_NAMESPACE="A b": expected lower-case'],
    [{ MILLRACE_HOME: "~/state" }, 'MILLRACE_HOME="~/state": expected a path'],
    [{ MILLRACE_SECRETS: "~/secrets.json" }, "nothing replaces ~"],
    [{ MILLRACE_PIPELINES: "~" }, "nothing replaces ~"],
    [{ JAVA_HOME: "~/jdk-17" }, 'JAVA_HOME="~/jdk-17"'],
    [{ MILLRACE_ARCHIVE: "archive" }, 'MILLRACE_ARCHIVE="archive": expected an absolute folder'],
    [{ MILLRACE_ARCHIVE: "hdfs" }, "expected an absolute folder, file:, hdfs: or s3a://"],
    [{ MILLRACE_ARCHIVE: "s3://bucket/a" }, "s3a://"],
    [{ MILLRACE_KAFKA_PROPERTIES: "/nowhere.json" }, "MILLRACE_KAFKA_PROPERTIES"],
  ])("refuses %o", (env, message) => {
    expect(refusal(env)).toContain(message);
  });

  it.each<[unknown, string]>([
    [{ "sasl.password": "hush" }, '"sasl.password": expected "secret:NAME"'],
    [{ "linger.ms": 5 }, 'expected a text under "linger.ms"'],
    [["a"], "expected a file that holds an object of texts"],
  ])("refuses Kafka properties %j, before they are written anywhere", (properties, message) => {
    const path = join(folder, "properties.json");
    writeFileSync(path, JSON.stringify(properties));
    expect(refusal({ MILLRACE_KAFKA_PROPERTIES: path })).toContain(message);
    expect(refusal({ MILLRACE_KAFKA_PROPERTIES: path })).not.toContain("hush");
  });

  it("refuses a secret that is written out in complete settings too", () => {
    const path = join(folder, "secret-settings.json");
    const settings = settingsOf(root, { kafka: { properties: { "sasl.password": "hush" } } });
    writeFileSync(path, JSON.stringify(settings));
    expect(refusal({}, { settings: path })).toContain('"sasl.password"');
  });

  it("names the flag when the namespace comes from it", () => {
    expect(refusal({}, { namespace: "-x" })).toContain('--namespace="-x"');
  });

  it("lets complete settings from a file win over the environment", () => {
    const path = join(folder, "settings.json");
    const kept = settingsOf(root, { namespace: "kept" });
    writeFileSync(path, JSON.stringify(kept));
    expect(settingsFrom("/other", { MILLRACE_NAMESPACE: "env" }, { settings: path })).toEqual(kept);
  });

  it("takes what a container is told: Spark's defaults, and where its API is published", () => {
    expect(settingsFrom(root, { MILLRACE_SPARK_DEFAULTS: "/etc/spark.conf" }).sparkDefaults).toBe(
      "/etc/spark.conf",
    );
    expect(settingsFrom(root, { MILLRACE_API_PUBLISHED: "127.0.0.1" }).api.published).toBe("127.0.0.1");
    expect(refusal({ MILLRACE_API_PUBLISHED: "localhost" })).toContain(
      'MILLRACE_API_PUBLISHED="localhost": expected an address',
    );
  });

  it("cannot be changed once made", () => {
    expect(() => Object.assign(settingsFrom(root, {}), { home: "/elsewhere" })).toThrow(TypeError);
  });
});
