// The services as containers: one compose file a size, the configuration files that go into the images, and what the command that
// starts them has to know. Made of the same entries as local/ makes processes of; starts nothing and asks nobody.
//
// In a container {host} is the service's own name, under which the others reach it and which its own /etc/hosts leads to itself.

import { stringify } from "yaml";
import { configurationText, javaArgs } from "../command.ts";
import type { Artifact, PortEntry, Probe, Service } from "../entry.ts";
import { type Fill, filler } from "../fill.ts";
import { portEntries } from "../ports.ts";
import { sparkJavaOptions } from "../spark.ts";
import { versionOf } from "../versions.ts";
import { HOOKS, rayWorkerArgs, secretsScript } from "./hooks.ts";
import { COMPOSE_FOLDER, GENERATED_FOLDER, OWN, REPOSITORY, SECRETS_FOLDER, SHARED } from "./place.ts";
import { MILLRACE, RAY_WORKER, SECRETS, type Share, SIZES, type Size, SMALL, shareOf } from "./sizes.ts";

/** One container of the compose file, in Compose's words. */
export interface Container {
  readonly image: string;
  readonly mem_limit: string;
  readonly [key: string]: unknown;
}

export interface Composed {
  readonly services: Readonly<Record<string, Container>>;
  readonly [key: string]: unknown;
}

/** On the machine only itself reaches them. */
const LOOPBACK = "127.0.0.1";
/** Pages of engines that people look at, by the name of the port. */
const PAGES = ["sparkUi", "rayDashboard", "mlflow"] as const;
/** Whom the jobs' parameters, markers, checkpoints and tables are for. */
const SHARING: readonly string[] = ["spark-worker", "ray"];
/** What writes below its root while it runs: its sessions' files (Ray), what it must forget with its container (the master). */
const WRITES: readonly string[] = ["spark-master", "spark-worker", "ray"];

/** A shell may be asked for a number: Compose would fill in a dollar itself. */
const literal = (text: string) => text.replaceAll("$", "$$$$");

/** The stage of the Dockerfile that a service runs from. */
function stageOf(artifact: Artifact): string {
  switch (artifact.from) {
    case "maven":
      return artifact.module;
    case "jobs":
      return artifact.package === "pyspark" ? "spark" : artifact.package;
    case "mlflow":
      return "mlflow";
    case "npm":
      return "postgres";
  }
}

const imageOf = (stage: string, version: string) => ({
  image: `millrace/${stage}:${version}`,
  build: { context: "../..", dockerfile: `${COMPOSE_FOLDER}/Dockerfile`, target: stage },
});

/** What no container does without. */
const container = ({ limit_mib, cpus, count }: Share) => ({
  restart: "unless-stopped",
  networks: ["line"],
  mem_limit: `${limit_mib}m`,
  ...(cpus === undefined ? {} : { cpus }),
  ...(count === undefined ? {} : { deploy: { replicas: count } }),
  cap_drop: ["ALL"],
  security_opt: ["no-new-privileges:true"],
  logging: { driver: "json-file", options: { "max-size": "10m", "max-file": "3" } },
});

/** Nothing of its root is written; what a program wants to write at once, and not keep, is in memory. */
const READ_ONLY = { read_only: true, tmpfs: ["/tmp"] };
/** A JVM unpacks its native libraries there (Kafka's for compression), and maps them. */
const READ_ONLY_JAVA = { ...READ_ONLY, tmpfs: ["/tmp:exec"] };

const healthcheck = (test: readonly string[], start_ms: number) => ({
  test,
  // Looked at often until it works, then so that a look costs next to nothing: each is a process of its own.
  interval: "15s",
  timeout: "10s",
  retries: 4,
  start_period: `${start_ms / 1000}s`,
  start_interval: "2s",
});

/** One shell for several questions; each must be answered. */
function testOf(probes: readonly Probe[], service: Service, fill: Fill): string[] {
  const asked = probes.map((probe) => {
    // bash opens a connection by itself.
    if (probe.kind !== "http") return `exec 3<>/dev/tcp/${fill(`{host}/{port:${service.ports[0]!.name}}`)}`;
    return `curl -fsS -m ${(probe.limit_ms ?? 5_000) / 1000} -o /dev/null '${fill(probe.url)}'`;
  });
  return ["CMD", "bash", "-c", literal(asked.join(" && "))];
}

/** A port of the machine's loopback that leads to the same one of the container; the setting moves it. */
const published = ({ number, setting }: PortEntry) => `${LOOPBACK}:\${${setting}:-${number}}:${number}`;

class Renderer {
  readonly #root: string;
  readonly #services: readonly Service[];
  readonly #size: Size;
  readonly #ports: Readonly<Record<string, number>>;
  readonly #owners: ReadonlyMap<string, readonly [Service, string]>;

  constructor(root: string, services: readonly Service[], size: Size) {
    this.#root = root;
    this.#services = services;
    this.#size = size;
    this.#ports = Object.fromEntries(portEntries(services).map(({ name, number }) => [name, number]));
    this.#owners = new Map(
      services.flatMap((service) =>
        (service.addresses ?? []).map(({ name, text }) => [name, [service, text]] as const),
      ),
    );
  }

  share(name: string): Share {
    const share = this.#size.shares[name];
    if (!share) throw new Error(`Size "${this.#size.name}" says nothing of "${name}"`);
    return share;
  }

  /** Fills an entry's texts for its container. */
  fillOf(service: Service, share: Share = this.share(service.name)): Fill {
    const at = (base: string, names: Readonly<Record<string, string>>, name: string | null) => {
      const path = name === null ? undefined : names[name];
      return path === undefined ? undefined : path === "." ? base : `${base}/${path}`;
    };
    const url = (path: string | undefined) => (path === undefined ? undefined : `file://${path}`);
    return filler((name, argument) => {
      const key = argument ?? "";
      switch (name) {
        case "host":
          return service.name;
        case "port":
          return this.#ports[key];
        case "url": {
          const [owner, text] = this.#owners.get(key) ?? [];
          return owner && text !== undefined ? this.fillOf(owner)(text) : undefined;
        }
        case "dir":
          return OWN;
        case "keeps":
          return at(OWN, service.keeps, argument);
        case "keeps_url":
          return url(at(OWN, service.keeps, argument));
        case "reads":
          return this.#reads(service, argument);
        case "reads_url":
          return url(this.#reads(service, argument));
        case "artifact":
          return service.artifact.from === "maven"
            ? `${REPOSITORY}/target/engines/${service.artifact.module}`
            : undefined;
        case "python":
          return `${REPOSITORY}/.venv/bin/python`;
        case "memory":
          return { ...service.memory, ...share.memory }[key];
        case "offers":
          return { ...service.offers, ...share.offers }[key];
        default:
          return undefined;
      }
    });
  }

  /** Spark's defaults without those for one machine (SPARK_DEFAULTS below). */
  #reads(service: Service, name: string | null): string | undefined {
    const path = name === null ? undefined : service.reads[name];
    if (path === undefined) return undefined;
    return `${REPOSITORY}/${path === SPARK_DEFAULTS ? `${GENERATED_FOLDER}/spark-defaults.conf` : path}`;
  }

  #command(service: Service, share: Share, fill: Fill): readonly string[] {
    const { run, artifact } = service;
    const hook = service.hook === undefined ? undefined : HOOKS[service.hook];
    if (service.hook !== undefined && !hook)
      throw new Error(`Service "${service.name}" names the hook "${service.hook}", which is none here`);
    // A jar that is run as a whole is the only one of its name there; the shell below finds it.
    const jar =
      artifact.from === "maven"
        ? `${REPOSITORY}/target/engines/${artifact.module}/*${artifact.jar[1]}`
        : null;
    const memory = { ...service.memory, ...share.memory };
    const args = run.args.map(fill);
    const whole = [
      run.program === "mlflow-python" ? "python" : run.program,
      ...(run.java ? javaArgs(run.java, { memory }, fill, jar) : []),
      ...(hook?.args?.(args) ?? args).map(fill),
    ];
    const folders = service.folders.length === 0 ? [] : [`mkdir -p ${service.folders.join(" ")}`];
    const runsJar = run.java && !run.java.main;
    const before = [...folders, ...(hook?.before === undefined ? [] : [hook.before])];
    if (before.length === 0 && !runsJar) return whole.map(literal);
    // Unquoted, so that the jar's version is found and not said here.
    if (runsJar) return ["sh", "-ec", literal([...before, `exec ${whole.join(" ")}`].join("\n"))];
    return ["sh", "-ec", literal([...before, 'exec "$@"'].join("\n")), service.name, ...whole.map(literal)];
  }

  #environment(service: Service, fill: Fill): Readonly<Record<string, string>> {
    const { run, artifact } = service;
    const spark = artifact.from === "jobs" && artifact.package === "pyspark";
    const { without = [] } = HOOKS[service.hook ?? ""] ?? {};
    return {
      ...Object.fromEntries(
        Object.entries(run.env).flatMap(([name, value]) =>
          without.includes(name) ? [] : [[name, literal(fill(value))]],
        ),
      ),
      ...(spark
        ? {
            SPARK_DAEMON_CLASSPATH: `${REPOSITORY}/target/engines/spark/*`,
            JAVA_TOOL_OPTIONS: sparkJavaOptions({
              logging: fill("{reads_url:logging}"),
              archive: `${REPOSITORY}/target/engines/spark-classes.jsa`,
            }),
          }
        : {}),
      // It answers names that it is told alone, against pages that lead one's browser here under another.
      ...(artifact.from === "mlflow"
        ? { MLFLOW_SERVER_ALLOWED_HOSTS: fill("{host},{host}:*,localhost,localhost:*,127.0.0.1,127.0.0.1:*") }
        : {}),
    };
  }

  #volumes(service: Service): string[] {
    const own = Object.keys(service.keeps).length > 0 && service.name !== "spark-master";
    return [
      ...(own ? [`${service.name}:${OWN}`] : []),
      ...(SHARING.includes(service.name) ? [`home:${SHARED}`] : []),
      ...(service.name === "postgres" ? [`${SECRETS}:${SECRETS_FOLDER}:ro`] : []),
    ];
  }

  service(service: Service): Container {
    const share = this.share(service.name);
    const fill = this.fillOf(service, share);
    const volumes = this.#volumes(service);
    const environment = this.#environment(service, fill);
    const needs = {
      ...Object.fromEntries(service.after.map((name) => [name, { condition: "service_healthy" }])),
      ...(service.name === "postgres" ? { [SECRETS]: { condition: "service_completed_successfully" } } : {}),
    };
    const pages = service.ports.filter(({ name }) => (PAGES as readonly string[]).includes(name));
    // Its own page: what the master says of it is of any worker. What another answers is that one's to show.
    const own = new Set<string>(service.ports.map(({ name }) => name));
    const probes =
      service.name === "spark-worker"
        ? [{ kind: "http", url: `http://127.0.0.1:{port:sparkWorkerUi}/json/` } as const]
        : service.health.filter(
            (probe) =>
              probe.kind !== "http" ||
              [...probe.url.matchAll(/\{port:(\w+)\}/g)].every(([, name]) => own.has(name!)),
          );
    return {
      ...imageOf(stageOf(service.artifact), versionOf(this.#root, service.artifact)),
      ...(service.optional ? { profiles: [service.cluster] } : {}),
      ...container(share),
      ...(WRITES.includes(service.name) ? {} : service.run.java ? READ_ONLY_JAVA : READ_ONLY),
      ...(service.name === "ray" ? { shm_size: SHM } : {}),
      // A name that leads to itself, and that neither a list nor a log tells from the one others use.
      ...((share.count ?? 1) === 1 && service.name !== "spark-worker" ? { hostname: service.name } : {}),
      working_dir: OWN,
      command: this.#command(service, share, fill),
      ...(Object.keys(environment).length === 0 ? {} : { environment }),
      ...(Object.keys(needs).length === 0 ? {} : { depends_on: needs }),
      healthcheck: healthcheck(testOf(probes, service, fill), service.start_ms),
      ...(volumes.length === 0 ? {} : { volumes }),
      ...(pages.length === 0 ? {} : { ports: pages.map(published) }),
      stop_grace_period: `${service.stop_ms / 1000}s`,
    };
  }

  /** A further node beside Ray's head. */
  rayWorker(head: Service): Container {
    const share = this.share(RAY_WORKER);
    const fill = this.fillOf(head, share);
    const { ports: _ports, hostname: _hostname, ...like } = this.service(head);
    const args = rayWorkerArgs(head.run.args, "{host}:{port:rayGcs}");
    return {
      ...like,
      ...container(share),
      command: [head.run.program, ...args.map(fill).map(literal)],
      depends_on: { [head.name]: { condition: "service_healthy" } },
      healthcheck: healthcheck(
        [
          "CMD",
          "bash",
          "-c",
          literal(
            fill(
              `curl -fsS -m 5 -o /dev/null "http://$(hostname -i):{port:rayAgent}/api/local_raylet_healthz"`,
            ),
          ),
        ],
        head.start_ms,
      ),
      volumes: [`home:${SHARED}`],
    };
  }

  /** Makes passwords and ends. */
  secrets(store: Service): Container {
    const fill = this.fillOf(store);
    const [address] = store.addresses ?? [];
    const database = fill(address!.text).replace("@", ":%s@");
    const { stop_grace_period: _, ...like } = container(this.share(SECRETS)) as Record<string, unknown>;
    return {
      ...imageOf(stageOf(store.artifact), versionOf(this.#root, store.artifact)),
      ...(like as ReturnType<typeof container>),
      ...READ_ONLY,
      restart: "on-failure:3",
      command: ["sh", "-ec", literal(secretsScript(database))],
      volumes: [`${SECRETS}:${SECRETS_FOLDER}`],
    };
  }

  /** Supervisor, our own jobs, the API. */
  millrace(version: string): Container {
    const own = this.#services.filter(({ optional }) => !optional);
    const addresses = own.flatMap((service) =>
      (service.addresses ?? []).flatMap(({ name, setting, text }) =>
        setting === undefined
          ? []
          : [[setting, service.name === "postgres" ? "secret:database" : this.fillOf(service)(text), name]],
      ),
    );
    const api = portEntries([]).find(({ name }) => name === "api")!;
    const port = `\${${api.setting}:-${api.number}}`;
    const start_ms = Math.max(...own.map(({ start_ms }) => start_ms));
    return {
      ...imageOf(MILLRACE, version),
      ...container(this.share(MILLRACE)),
      ...READ_ONLY,
      hostname: MILLRACE,
      command: [`${COMPOSE_FOLDER}/millrace.sh`],
      environment: {
        ...Object.fromEntries(addresses.map(([setting, address]) => [setting, address])),
        MILLRACE_SECRETS: `${SECRETS_FOLDER}/secrets.json`,
        MILLRACE_SPARK_DEFAULTS: `${REPOSITORY}/${GENERATED_FOLDER}/spark-defaults.conf`,
        // It listens on all addresses of its container, and Docker hands on to it what reaches the machine's loopback alone.
        MILLRACE_API_HOST: "0.0.0.0",
        MILLRACE_API_PUBLISHED: LOOPBACK,
        [api.setting]: port,
      },
      depends_on: {
        [SECRETS]: { condition: "service_completed_successfully" },
        ...Object.fromEntries(own.map(({ name }) => [name, { condition: "service_healthy" }])),
      },
      healthcheck: healthcheck(
        ["CMD", "curl", "-fsS", "-m", "5", "-o", "/dev/null", `http://${LOOPBACK}:${port}/health/live`],
        start_ms,
      ),
      volumes: [`home:${SHARED}`, `${SECRETS}:${SECRETS_FOLDER}:ro`],
      ports: [`${LOOPBACK}:${port}:${port}`],
      stop_grace_period: "30s",
    };
  }

  file(version: string): Composed {
    const containers: Record<string, Container> = {};
    for (const service of this.#services) {
      if (service.name === "postgres") containers[SECRETS] = this.secrets(service);
      containers[service.name] = this.service(service);
      if (service.name === "ray") containers[RAY_WORKER] = this.rayWorker(service);
    }
    containers[MILLRACE] = this.millrace(version);
    const volumes = Object.values(containers).flatMap(({ volumes = [] }) => volumes as readonly string[]);
    const names = [...new Set(volumes.map((volume) => volume.split(":")[0]!))].sort();
    return {
      name: "millrace",
      services: containers,
      networks: { line: {} },
      volumes: Object.fromEntries(names.map((name) => [name, {}])),
    };
  }
}

/** Shared memory of Ray's nodes: tables passed between tasks. */
const SHM = "640m";

const SPARK_DEFAULTS = "infra/local/spark/spark-defaults.conf";
/** That a driver is on this machine: in containers it is where its worker is. */
const OF_ONE_MACHINE = /^spark\.driver\.(?:host|bindAddress) /;

/** The compose file of a size as data. */
export const compose = (root: string, services: readonly Service[], size: Size, version: string): Composed =>
  new Renderer(root, services, size).file(version);

/** MiB of all containers of a size together, those of a profile apart. */
export function limitsOf(
  services: readonly Service[],
  size: Size,
): { readonly always: number; readonly optional: number } {
  const sum = (names: readonly string[]) =>
    names.reduce((total, name) => total + shareOf(size.shares[name]!), 0);
  const optional = services.filter((service) => service.optional).map(({ name }) => name);
  // The one that makes passwords has ended by then.
  const always = Object.keys(size.shares).filter((name) => !optional.includes(name) && name !== SECRETS);
  return { always: sum(always), optional: sum(optional) };
}

export interface ComposeSources {
  /** First line of every file. */
  readonly header: string;
  /** Millrace's own version. */
  readonly version: string;
  readonly readText: (path: string) => string;
}

/** Every file of a repository's containers that is made of its services, by path. */
export function composeFiles(
  root: string,
  services: readonly Service[],
  { header, version, readText }: ComposeSources,
): Map<string, string> {
  const files = new Map<string, string>();
  for (const size of SIZES) {
    const { always, optional } = limitsOf(services, size);
    const text = stringify(compose(root, services, size, version), {
      lineWidth: 0,
      aliasDuplicateObjects: false,
    });
    files.set(
      `${COMPOSE_FOLDER}/${fileOf(size)}`,
      [
        `# ${header}`,
        `# Size "${size.name}", for ${size.title}: limits of ${always} MiB in all, ${optional} more with --profile hdfs (docs/compose.md).`,
        text,
      ].join("\n"),
    );
  }
  const small = new Renderer(root, services, SMALL);
  for (const service of services) {
    const { configuration } = service;
    if (!configuration) continue;
    files.set(
      `${GENERATED_FOLDER}/${configuration.file}`,
      `# ${header}\n${configurationText(root, configuration, small.fillOf(service))}`,
    );
  }
  // Whoever is on the network of the containers is asked for the password; PostgreSQL's own file knows this machine only.
  files.set(`${GENERATED_FOLDER}/pg_hba.conf`, `# ${header}\nhost all all samenet scram-sha-256\n`);
  const defaults = readText(SPARK_DEFAULTS)
    .split("\n")
    .filter((line) => !OF_ONE_MACHINE.test(line))
    .join("\n");
  files.set(`${GENERATED_FOLDER}/spark-defaults.conf`, `# ${header}\n${defaults}`);
  files.set(`${GENERATED_FOLDER}/facts.sh`, factsText(root, services, header));
  return files;
}

const fileOf = ({ name }: Size) => (name === SMALL.name ? "compose.yaml" : `compose.${name}.yaml`);

/** What infra/compose/compose.sh asks the machine about before it starts anything. */
function factsText(root: string, services: readonly Service[], header: string): string {
  const entries = portEntries(services);
  const store = services.find(({ name }) => name === "postgres")!;
  const shown = [...PAGES, "api"].map((page) => entries.find(({ name }) => name === page)!);
  return [
    `# ${header}`,
    "# Limits of each size in MiB, the ports on this machine's loopback with the setting that moves each, and whose data PostgreSQL reads.",
    ...SIZES.map((size) => `memory_${size.name}=${limitsOf(services, size).always}`),
    ...SIZES.map((size) => `file_${size.name}=${fileOf(size)}`),
    `postgres_major=${versionOf(root, store.artifact).split(".")[0]}`,
    `ports="${shown.map(({ setting, number }) => `${setting}:${number}`).join(" ")}"`,
    "",
  ].join("\n");
}
