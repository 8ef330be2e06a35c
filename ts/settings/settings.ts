// Where everything is: folders, ports, addresses. One plain, serialisable object, built once at the edge (environment.ts,
// or a test) and passed down. Ports and addresses are those of the services (ts/topology). Reads no environment and opens nothing.

import { join } from "node:path";
import type { Service } from "../topology/entry.ts";
import { filler } from "../topology/fill.ts";
import {
  type AddressName,
  addressesOf,
  type Cluster,
  type Port,
  type Ports,
  portsOf,
} from "../topology/ports.ts";
import { SERVICES } from "../topology/services.ts";

export {
  type Cluster,
  OPTIONAL,
  type Optional,
  PORT_SETTING,
  PORTS,
  type Port,
  type Ports,
} from "../topology/ports.ts";

type Addresses = Readonly<Record<Exclude<AddressName, "bootstrap">, string>>;

/** Who may ask the HTTP API, and how. */
export interface ApiSettings {
  /** Address it listens on; null for the host of everything else. */
  readonly host: string | null;
  /** Address under which others reach it, where that is not the one it listens on: a container's is published elsewhere. */
  readonly published: string | null;
  /** Names it is asked under beside its addresses. */
  readonly hosts: readonly string[];
  /** Origins of other pages that may read answers. */
  readonly origins: readonly string[];
  /** Files in PEM; null for no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** Requests a second of one client; null for what the server says. */
  readonly rate: number | null;
}

/** What holds for a namespace and all its pipelines. */
export interface NamespaceSettings extends Addresses {
  /** The repository. */
  readonly root: string;
  /** Absolute folder of all state: `engines/` for the engines, `<namespace>/` for the rest. */
  readonly home: string;
  /** Empty for none. */
  readonly namespace: string;
  readonly host: string;
  readonly ports: Ports;
  /** Clusters given by address: used, never started or stopped. */
  readonly external: readonly Cluster[];
  readonly kafka: {
    readonly bootstrap: string;
    /** Client properties in librdkafka's names, for SASL and TLS; a value `secret:NAME` is looked up in the file below. */
    readonly properties: Readonly<Record<string, string>>;
    readonly secrets_path: string | null;
  };
  readonly apiUrl: string;
  /** The pipeline that answers paths of the API which name none; the first one that is applied where it is not. */
  readonly apiPipeline: string;
  readonly api: ApiSettings;
  /**
   * Where archives are kept: an absolute folder or a URL (file:, hdfs:, s3a:); `hdfs:` without a host is the HDFS above. Null
   * for the namespace's own tables.
   */
  readonly archive: string | null;
  /** Days of event time that the store keeps; feature rows, the most of all, for fewer. */
  readonly storeDays: number;
  readonly storeFeaturesDays: number;
  /** Absolute folder of pipelines beside those of the checkout; null for none. */
  readonly pipelines: string | null;
  /** Python of the jobs, and of the MLflow server. */
  readonly pythonPath: string;
  readonly mlflowPythonPath: string;
  readonly javaPath: string;
  /** Folder of the connector jars Spark jobs need beside Spark's own. */
  readonly sparkJars: string;
  /** Properties file of every application, where Spark's machines have it; null for a Spark that exists already and has its own. */
  readonly sparkDefaults: string | null;
}

/** The settings of one command, which works for one pipeline. */
export interface Settings extends NamespaceSettings {
  readonly pipeline: string;
}

/** What may differ from the defaults; the addresses follow the ports unless given. */
export interface Overrides extends Partial<Omit<Settings, "root" | "ports" | "kafka">> {
  readonly ports?: Partial<Ports>;
  readonly kafka?: Partial<Settings["kafka"]>;
}

/** The pipeline that answers paths of the API which name none, where nothing is set. */
export const API_PIPELINE = "weather";
export const API: ApiSettings = {
  host: null,
  published: null,
  hosts: [],
  origins: [],
  tls: null,
  rate: null,
};
/** A quarter of forecasts and what they were worth; two weeks of the windows that they were made of. */
export const STORE_DAYS = 92;
export const STORE_FEATURES_DAYS = 14;

/** Settings of a repository: the defaults, and what differs. Frozen. */
export function settingsOf(
  root: string,
  { ports, kafka, ...given }: Overrides = {},
  services: readonly Service[] = SERVICES,
): Settings {
  const all = Object.freeze({ ...portsOf(services), ...ports }) as Ports;
  const host = given.host ?? "127.0.0.1";
  const fill = filler((name, argument) => (name === "host" ? host : all[argument as Port]));
  const { bootstrap, ...addresses } = Object.fromEntries(
    addressesOf(services).map(({ name, text }) => [name, fill(text)]),
  ) as Record<AddressName, string>;
  return Object.freeze({
    root,
    home: join(root, ".millrace"),
    namespace: "",
    pipeline: "weather",
    host,
    ports: all,
    external: [],
    kafka: Object.freeze({
      bootstrap,
      properties: {},
      secrets_path: null,
      ...kafka,
    }),
    ...addresses,
    apiUrl: `http://${host}:${all.api}`,
    apiPipeline: API_PIPELINE,
    api: API,
    archive: null,
    storeDays: STORE_DAYS,
    storeFeaturesDays: STORE_FEATURES_DAYS,
    pipelines: null,
    pythonPath: join(root, ".venv", "bin", "python"),
    mlflowPythonPath: join(root, ".venv-mlflow", "bin", "python"),
    javaPath: "java",
    sparkJars: join(root, "target", "engines", "spark"),
    sparkDefaults: given.external?.includes("spark")
      ? null
      : join(root, "infra", "local", "spark", "spark-defaults.conf"),
    ...given,
  });
}

/** An address by the name its service gives it; undefined for one that no service has. */
export function addressIn(settings: NamespaceSettings, name: string): string | undefined {
  if (name === "bootstrap") return settings.kafka.bootstrap;
  return (settings as unknown as Readonly<Record<string, string | undefined>>)[name];
}

/** What a setting of the archive's place may be. */
const PLACE = /^(?:\/|file:\/|s3a:\/\/[^/]|hdfs:(?:$|\/))/;

/** Whether `Settings.archive` may be this text. */
export function isPlace(text: string): boolean {
  return PLACE.test(text);
}

/** The archive's place in full, without a slash at its end: an `hdfs:` without a host gets that of our own HDFS. */
export function archivePlace({ archive, hdfsUrl }: Pick<Settings, "archive" | "hdfsUrl">): string | null {
  return archive === null || archive === undefined ? null : resolvePlace(archive, { hdfsUrl });
}

/** A place in full, without a slash at its end: an `hdfs:` without a host gets that of our own HDFS. */
export function resolvePlace(place: string, { hdfsUrl }: Pick<Settings, "hdfsUrl">): string {
  return place.replace(/^hdfs:(?:\/\/)?(?=\/(?!\/)|$)/, hdfsUrl).replace(/\/+$/, "");
}

/** Whether a place, the archive's where none is given, lies on the HDFS that `up --with hdfs` starts. */
export function onOurHdfs(
  settings: Pick<Settings, "archive" | "hdfsUrl">,
  place: string | null = archivePlace(settings),
): boolean {
  return place === settings.hdfsUrl || (place?.startsWith(`${settings.hdfsUrl}/`) ?? false);
}

/** What the store keeps. Settings of a namespace from before there was a store say nothing. */
export function retentionOf({
  storeDays = STORE_DAYS,
  storeFeaturesDays = STORE_FEATURES_DAYS,
}: Partial<Pick<NamespaceSettings, "storeDays" | "storeFeaturesDays">>): {
  readonly days: number;
  readonly features_days: number;
} {
  return { days: storeDays, features_days: Math.min(storeDays, storeFeaturesDays) };
}

/** Folder of one namespace's state: desired state, checkpoints, locks. */
export function stateDir(settings: Pick<NamespaceSettings, "home" | "namespace">): string {
  return join(settings.home, settings.namespace || "default");
}

/** Folder of the engines' state, shared by all namespaces: data, logs, records of what was started. */
export function enginesDir(settings: Pick<NamespaceSettings, "home">): string {
  return join(settings.home, "engines");
}

/** The settings of a namespace as its supervisor and its processes read them. */
export function settingsPath(settings: Pick<NamespaceSettings, "home" | "namespace">): string {
  return join(stateDir(settings), "settings.json");
}
