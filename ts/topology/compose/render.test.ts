// The rendered containers against the entries they are made of and against the committed files: what is changed in one place moves
// everywhere, limits add up, nothing secret and nothing unpinned is written down.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { settingsOf } from "../../settings/settings.ts";
import type { Service } from "../entry.ts";
import { fillOf } from "../local/prepare.ts";
import { hookOf, localService, TOPOLOGY } from "../local/topology.ts";
import { SERVICES } from "../services.ts";
import { versionOf } from "../versions.ts";
import { type Composed, type Container, compose, composeFiles, limitsOf } from "./render.ts";
import { LARGE, MILLRACE, RAY_WORKER, SECRETS, SIZES, SMALL } from "./sizes.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const services: readonly Service[] = SERVICES;
const filesOf = (of: readonly Service[]) =>
  composeFiles(root, of, { header: "h", version: "1.2.3", readText: read });

interface Parsed extends Container {
  readonly command: readonly string[];
  readonly build: { readonly target: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly deploy?: { readonly replicas: number };
  readonly restart: string;
}
/** As Docker reads it: YAML 1.1, where `no` is no word. */
const containersIn = (text: string) =>
  (parse(text, { version: "1.1" }) as { services: Record<string, Parsed> }).services;
const small = containersIn(read("infra/compose/compose.yaml"));
const large = containersIn(read("infra/compose/compose.large.yaml"));

/** The entries with one of them changed. */
const withService = (name: string, change: (service: Service) => Service): readonly Service[] =>
  services.map((service) => (service.name === name ? change(service) : service));

describe("both substrates", () => {
  it("have every service, and compose what only a set of containers needs", () => {
    const names = services.map(({ name }) => name);
    for (const containers of [small, large])
      expect(Object.keys(containers).sort()).toEqual([...names, MILLRACE, RAY_WORKER, SECRETS].sort());
    for (const service of services)
      expect(hookOf(TOPOLOGY, service) === undefined || service.hook).toBeTruthy();
  });

  it.each(services.map(({ name, artifact }) => [name, artifact] as const))(
    "run %s in the same version",
    (name, artifact) => {
      const tag = small[name]!.image.split(":")[1];
      expect(tag).toBe(versionOf(root, artifact));
      expect(large[name]!.image).toBe(small[name]!.image);
    },
  );

  it("open a port that is changed in the description, wherever it is said", () => {
    const moved = withService("mlflow", (service) => ({
      ...service,
      ports: service.ports.map((port) => ({ ...port, number: 5_077 })),
    }));
    const text = JSON.stringify(compose(root, moved, SMALL, "1.2.3"));
    expect(text).not.toContain("5000");
    const { mlflow, millrace } = containersIn(filesOf(moved).get("infra/compose/compose.yaml")!);
    expect(mlflow!.command).toContain("5077");
    expect(mlflow!.healthcheck!.test.at(-1)).toContain("http://mlflow:5077/");
    expect(mlflow!.ports!.join()).toMatch(/^127\.0\.0\.1:\$\{MILLRACE_MLFLOW_PORT:-5077\}:5077$/);
    expect(millrace!.environment!["MILLRACE_MLFLOW_URL"]).toBe("http://mlflow:5077");
    expect(filesOf(moved).get("infra/compose/generated/facts.sh")).toContain("MILLRACE_MLFLOW_PORT:5077");

    const settings = settingsOf(root, {}, moved);
    const service = moved.find(({ name }) => name === "mlflow")!;
    expect(fillOf(localService(settings, service))("{port:mlflow}")).toBe("5077");
  });

  it("read a configuration that is changed in the description", () => {
    const changed = withService("kafka", (service) => ({
      ...service,
      configuration: {
        ...service.configuration!,
        properties: { ...service.configuration!.properties, "num.io.threads": "9" },
      },
    }));
    expect(filesOf(changed).get("infra/compose/generated/server.properties")).toContain(
      "\nnum.io.threads=9\n",
    );
  });
});

describe("PostgreSQL's container", () => {
  it("refuses data of another version, and says what to do", () => {
    // The shell as it is rendered, in a folder instead of the volume and with a program that says a version like the real one.
    const [, , script] = small["postgres"]!.command;
    const folder = mkdtempSync(join(tmpdir(), "volume-"));
    try {
      mkdirSync(join(folder, "data"));
      const program = join(folder, "postgres");
      writeFileSync(program, "#!/bin/sh\necho 'postgres (PostgreSQL) 18.4'\n", { mode: 0o755 });
      const start = (version: string) => {
        writeFileSync(join(folder, "data", "PG_VERSION"), `${version}\n`);
        return execaSync("sh", ["-ec", script!.replaceAll("$$", "$"), "postgres", "echo", "started"], {
          cwd: folder,
          reject: false,
          env: { PATH: `${folder}:${process.env["PATH"]}` },
        });
      };
      expect(start("18")).toMatchObject({ exitCode: 0, stdout: "started" });
      const refused = start("17");
      expect([refused.exitCode, refused.stdout]).toEqual([1, ""]);
      expect(refused.stderr).toMatch(
        /expected data of version 18 on the volume "postgres", got version 17\n {2}next: .*VOLUMES=1 make compose-down/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("the images", () => {
  it("install packages with the Node that everything else runs on", () => {
    const node = (path: string) => {
      const { optionalDependencies } = JSON.parse(read(path)) as {
        optionalDependencies: Record<string, string>;
      };
      return Object.entries(optionalDependencies).filter(([name]) => name.startsWith("node-linux-"));
    };
    expect(node("infra/compose/npm/package.json")).toEqual(node("package.json"));
    expect(node("package.json")).toHaveLength(2);
  });
});

describe("the committed files", () => {
  it("are what the description renders, so that an edit by hand is found", () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    const first = (text: string) => text.slice(text.indexOf("\n"));
    for (const [path, text] of composeFiles(root, services, { header: "h", version, readText: read }))
      expect([path, first(read(path))]).toEqual([path, first(text)]);
  });
});

describe.each([
  ["small", small, SMALL],
  ["large", large, LARGE],
] as const)("size %s", (_, containers, size) => {
  const all = Object.entries(containers);

  it("limits every container's memory, and says the sum", () => {
    const mib = (text: string) => Number(/^(\d+)m$/.exec(text)![1]);
    const sum = (of: typeof all) =>
      of.reduce((total, [, { mem_limit, deploy }]) => total + mib(mem_limit) * (deploy?.replicas ?? 1), 0);
    const running = all.filter(([name]) => name !== SECRETS);
    const { always, optional } = limitsOf(services, size);
    expect(sum(running.filter(([, { profiles }]) => profiles === undefined))).toBe(always);
    expect(sum(running.filter(([, { profiles }]) => profiles !== undefined))).toBe(optional);
    const file = size.name === "small" ? "compose.yaml" : "compose.large.yaml";
    expect(read(`infra/compose/${file}`)).toContain(`limits of ${always} MiB in all, ${optional} more`);
    expect(read("infra/compose/generated/facts.sh")).toContain(`memory_${size.name}=${always}\n`);
    const page = read("docs/compose.md");
    expect(page).toContain(`${always} MiB`);
    for (const [name, { limit_mib }] of Object.entries(size.shares).filter(([name]) => name !== SECRETS))
      expect(page).toMatch(new RegExp(`^\\| \`${name}\` \\|.*\\b${limit_mib}\\b`, "m"));
  });

  it("leaves a program less heap than its container has", () => {
    for (const [name, { mem_limit, command }] of all) {
      const heap = /-Xmx(\d+)m/.exec(command.join(" ").replace(/-Xmx128m.*StorageTool.*/, ""))?.[1];
      if (heap !== undefined)
        expect([name, Number(heap) * 1.5 <= Number.parseInt(mem_limit, 10)]).toEqual([name, true]);
    }
  });

  it("pins every image to a version, made here and never the latest", () => {
    for (const [name, { image, build }] of all)
      expect([name, image]).toEqual([
        name,
        expect.stringMatching(`^millrace/${build.target}:\\d+\\.\\d+\\.\\d+$`),
      ]);
  });

  it("publishes on the loopback address alone", () => {
    for (const [name, { ports = [] }] of all)
      for (const port of ports) expect([name, port]).toEqual([name, expect.stringMatching(/^127\.0\.0\.1:/)]);
    expect(all.flatMap(([, { ports = [] }]) => ports)).toHaveLength(4);
  });

  it("gives no container a right, a secret in its environment, or a root that it needs not write to", () => {
    for (const [name, container] of all) {
      expect([name, container["cap_drop"], container["security_opt"]]).toEqual([
        name,
        ["ALL"],
        ["no-new-privileges:true"],
      ]);
      for (const [key, value] of Object.entries(container.environment ?? {})) {
        expect([name, key, /:\/\/[^/]*:[^/]*@/.test(value)]).toEqual([name, key, false]);
        // The word for one, or the file that has it.
        if (/PASSWORD|SECRET|TOKEN|DATABASE/.test(key)) expect(value).toMatch(/^secret:\w+$|^\/run\//);
      }
      const readOnly = container["read_only"] === true;
      expect([name, readOnly]).toEqual([
        name,
        !["spark-master", "spark-worker", "ray", RAY_WORKER].includes(name),
      ]);
    }
  });

  it("keeps passwords from all but whom they are for", () => {
    const knows = all.filter(([, { volumes = [] }]) =>
      volumes.some((volume) => volume.startsWith(`${SECRETS}:`)),
    );
    expect(knows.map(([name]) => name).sort()).toEqual([MILLRACE, "postgres", SECRETS].sort());
    expect(small["postgres"]!.volumes).toContain(`${SECRETS}:/run/millrace:ro`);
  });

  it("waits for what a service needs until that works", () => {
    for (const service of services)
      for (const name of service.after)
        expect(containers[service.name]!.depends_on![name]!.condition).toBe("service_healthy");
    const waited = Object.keys(containers[MILLRACE]!.depends_on!);
    expect(waited.sort()).toEqual(
      [...services.filter(({ optional }) => !optional).map(({ name }) => name), SECRETS].sort(),
    );
  });

  it("looks at everything that stays, and brings it back", () => {
    for (const [name, { healthcheck, restart }] of all)
      expect([name, healthcheck !== undefined, restart]).toEqual(
        name === SECRETS ? [name, false, "on-failure:3"] : [name, true, "unless-stopped"],
      );
  });

  it("shares one volume, at one path, with all that read what another has left", () => {
    const shares = all.filter(([, { volumes = [] }]) => volumes.includes("home:/var/lib/millrace"));
    expect(shares.map(([name]) => name).sort()).toEqual([MILLRACE, "ray", RAY_WORKER, "spark-worker"].sort());
  });
});

describe("the large size", () => {
  it("is the users' table: a broker of 2 GB and 2 cores, four workers of 4 GB and 2 cores of either engine", () => {
    expect(large["kafka"]).toMatchObject({ mem_limit: "2048m", cpus: 2 });
    for (const name of ["spark-worker", RAY_WORKER])
      expect(large[name]).toMatchObject({ mem_limit: "4096m", cpus: 2, deploy: { replicas: 4 } });
    expect(large["spark-worker"]!.command.join(" ")).toContain("--cores 2 --memory 3328m");
  });
});

describe("compose()", () => {
  it("refuses an entry that no size speaks of, and a hook that no container has", () => {
    const [first] = services;
    const render = (service: Service): Composed => compose(root, [...services, service], SMALL, "1.2.3");
    expect(() => render({ ...first!, name: "toy", ports: [], addresses: [] })).toThrow(
      'says nothing of "toy"',
    );
    expect(() =>
      compose(
        root,
        withService("kafka", (s) => ({ ...s, hook: "magic" })),
        SMALL,
        "1.2.3",
      ),
    ).toThrow('names the hook "magic", which is none here');
  });

  it("says nothing of a service that none of its sizes has", () => {
    const names = new Set([...services.map(({ name }) => name), MILLRACE, RAY_WORKER, SECRETS]);
    for (const { shares } of SIZES)
      expect(Object.keys(shares).filter((name) => !names.has(name))).toEqual([]);
  });
});
