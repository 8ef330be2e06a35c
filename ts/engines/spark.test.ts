// Spark's words in ours, and the create request, against canned replies. The real master is in test/cluster/jobs.test.ts.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PipelineError } from "../contract/errors.ts";
import type { Http } from "../ground/http.ts";
import type { Fault } from "../ground/repeat.ts";
import { notesIn, notesInMemory } from "./drivers.ts";
import { DRIVER_STATES, sparkRunner, sparkStatus, submissionBody, submissionInLog } from "./spark.ts";

const address = {
  sparkMasterUrl: "spark://spark:7077",
  sparkRestUrl: "http://spark:6066",
  sparkUiUrl: "http://spark:8080",
  sparkJars: "/jars",
  sparkDefaults: null,
  pythonPath: "/env/bin/python",
};
const handle = { id: "driver-1", submission: "weather-features-1", params_path: "/p.json" };

/** Replies by the end of the path. */
const canned = (replies: Record<string, unknown>): Http => {
  return async ({ url }) => {
    const found = Object.entries(replies).find(([end]) => url.endsWith(end));
    return found ? { status: 200, text: JSON.stringify(found[1]) } : { status: 404, text: "nothing here" };
  };
};
const master = (activeapps: object[]) => ({
  workers: [],
  activeapps,
  activedrivers: [],
  completeddrivers: [],
});

describe("sparkStatus()", () => {
  it("maps each of Spark's eight states", () => {
    expect(DRIVER_STATES.map((state) => [state, sparkStatus(state, 1, null).state])).toEqual([
      ["SUBMITTED", "waiting"],
      ["RUNNING", "running"],
      ["FINISHED", "succeeded"],
      ["RELAUNCHING", "waiting"],
      ["UNKNOWN", "waiting"],
      ["KILLED", "stopped"],
      ["FAILED", "failed"],
      ["ERROR", "failed"],
    ]);
  });
  it("is running only with cores: a driver without an application may run local[*]", () => {
    expect(sparkStatus("RUNNING", null, null).state).toBe("waiting");
    expect(sparkStatus("RUNNING", 0, null).state).toBe("waiting");
    expect(sparkStatus("RUNNING", 2, null).state).toBe("running");
  });
});

describe("sparkRunner()", () => {
  it("reads HTTP 200 with success false as unknown", async () => {
    const http = canned({ "status/driver-1": { success: false, submissionId: "driver-1" } });
    expect((await sparkRunner(address, { http }).status(handle)).state).toBe("unknown");
  });
  it("refuses a state it does not know", async () => {
    const http = canned({ "status/driver-1": { success: true, driverState: "DREAMING" } });
    await expect(sparkRunner(address, { http }).status(handle)).rejects.toMatchObject({
      code: "spark_rejected",
      message: expect.stringContaining('got "DREAMING"'),
    });
  });
  it("takes the cores of its own application only", async () => {
    const status = { success: true, driverState: "RUNNING" };
    const other = canned({ "status/driver-1": status, "json/": master([{ name: "x", cores: 4 }]) });
    expect((await sparkRunner(address, { http: other }).status(handle)).state).toBe("waiting");
    const own = canned({
      "status/driver-1": status,
      "json/": master([{ name: "weather-features-1", cores: 2 }]),
    });
    expect((await sparkRunner(address, { http: own }).status(handle)).state).toBe("running");
  });
  it("names the refusal of a create request", async () => {
    const http = canned({ create: { success: false, message: "no drivers today" }, "json/": master([]) });
    const launch = {
      engine: "spark",
      entrypoint: "/x.py",
      cores: 1,
      driver_memory: "1g",
      executor_memory: "1g",
      properties: {},
    } as const;
    await expect(
      sparkRunner(address, { http }).submit({
        name: "weather-features",
        submission: "s",
        params_path: "/p",
        launch,
      }),
    ).rejects.toMatchObject({
      message:
        'Cannot submit job "weather-features" to "http://spark:6066": expected a submission id, got a refusal',
      cause: new Error("no drivers today"),
    });
  });
});

/** A master whose drivers a test sets; a worker shows the log of those that have one. */
function cluster() {
  const launched = (submission: string) =>
    `==== Bytes 0-9 of 9 of /w ====\nLaunch Command: "java" "DriverWrapper" "--name" "${submission}" "file:///x.py" "/p/${submission}.json"\n`;
  const drivers: { id: string; submission: string; worker: string; log: "shown" | "none" | "shut" }[] = [];
  const silent = (fault: Fault) =>
    new PipelineError("spark_unreachable", "Cannot ask: expected an answer, got none", {
      context: { fault },
    });
  const spark = {
    drivers,
    created: 0,
    /** What becomes of the next create request. */
    next: "answered" as "answered" | "lost before" | "lost after",
    /** Where its driver stands at once. */
    placed: { worker: "None", log: "none" } as Pick<(typeof drivers)[number], "worker" | "log">,
    http: (async ({ url, method }) => {
      const reply = (body: unknown) => ({ status: 200, text: JSON.stringify(body) });
      if (url.endsWith("/json/"))
        return reply({
          workers: [{ id: "worker-1", webuiaddress: "http://worker-1", state: "ALIVE" }],
          activeapps: [],
          activedrivers: drivers.map(({ id, worker }) => ({ id, worker, state: "RUNNING" })),
          completeddrivers: [],
        });
      if (url.startsWith("http://worker-1/log/")) {
        const driver = drivers.find(({ id }) => url.includes(`driverId=${id}&`))!;
        if (driver.log === "shut") throw silent("refused");
        return { status: 200, text: driver.log === "shown" ? launched(driver.submission) : "nothing" };
      }
      if (url.includes("/status/"))
        return reply({ success: true, driverState: "SUBMITTED", submissionId: url.split("/").at(-1) });
      if (url.endsWith("/create") && method === "POST") {
        const { next } = spark;
        spark.next = "answered";
        if (next !== "lost before") {
          spark.created++;
          drivers.push({ id: `driver-${drivers.length + 1}`, submission: "s", ...spark.placed });
        }
        if (next !== "answered") throw silent("lost");
        return reply({ success: true, submissionId: drivers.at(-1)!.id });
      }
      throw new Error(`no answer for ${url}`);
    }) satisfies Http as Http,
  };
  return spark;
}

describe("sparkRunner() on a cluster with drivers that cannot be named", () => {
  const spec = {
    name: "weather-features",
    submission: "s",
    params_path: "/p/s.json",
    launch: {
      engine: "spark",
      entrypoint: "/x.py",
      cores: 1,
      driver_memory: "1g",
      executor_memory: "1g",
      properties: {},
    },
  } as const;
  const pace = { tries: 3, first_ms: 1, most_ms: 1, deadline_ms: 60_000 };
  const others = () => [
    { id: "waits", submission: "x", worker: "None", log: "none" as const },
    { id: "shut", submission: "y", worker: "worker-1", log: "shut" as const },
  ];
  const runner = (spark: ReturnType<typeof cluster>, notes = notesInMemory()) =>
    sparkRunner(address, { http: spark.http, notes, pace, name_ms: 1 });

  it("lists, finds and submits its own beside them", async () => {
    const spark = cluster();
    spark.drivers.push(...others(), { id: "ours", submission: "mine", worker: "worker-1", log: "shown" });
    const on = runner(spark);
    expect((await on.list()).map(({ handle }) => handle.submission)).toEqual(["mine"]);
    expect((await on.find("mine"))?.id).toBe("ours");
    expect(await on.find("nobody's")).toBeNull();
    expect((await on.submit(spec)).id).toBe("driver-4");
    await expect(on.submit({ ...spec, submission: "mine" })).rejects.toThrow(/used before/);
  });

  it.each(["another runner", "another process"] as const)(
    "finds its own driver that waits for room, as %s",
    async (who) => {
      const spark = cluster();
      spark.drivers.push(...others());
      const folder = mkdtempSync(join(tmpdir(), "millrace-drivers-"));
      const memory = notesInMemory();
      const notes = () => (who === "another process" ? notesIn(folder) : memory);
      const handle = await runner(spark, notes()).submit(spec);
      expect(await runner(spark, notes()).find("s")).toEqual(handle);
      expect((await runner(spark, notes()).list()).map((row) => row.handle)).toEqual([handle]);
      // Once it has ended nothing is left of it.
      spark.drivers.pop();
      expect(await runner(spark, notes()).find("s")).toBeNull();
      expect(notes().all()).toEqual([]);
    },
  );

  it("submits once when the answer is lost and its driver can be named", async () => {
    const spark = cluster();
    spark.drivers.push(...others());
    spark.next = "lost after";
    spark.placed = { worker: "worker-1", log: "shown" };
    expect((await runner(spark).submit(spec)).id).toBe("driver-3");
    expect(spark.created).toBe(1);
  });

  it("submits again when the request never arrived", async () => {
    const spark = cluster();
    spark.drivers.push(...others());
    spark.next = "lost before";
    expect((await runner(spark).submit(spec)).id).toBe("driver-3");
    expect(spark.created).toBe(1);
  });

  it("does not submit twice while the new driver has no name, and finds it when it has one", async () => {
    const spark = cluster();
    spark.drivers.push(...others());
    spark.next = "lost after";
    const notes = notesInMemory();
    await expect(runner(spark, notes).submit(spec)).rejects.toMatchObject({
      code: "job_timed_out",
      message: expect.stringContaining('name of driver "driver-3"'),
    });
    expect(spark.created).toBe(1);
    await expect(runner(spark, notes).find("s")).rejects.toMatchObject({ code: "job_timed_out" });
    Object.assign(spark.drivers.at(-1)!, { worker: "worker-1", log: "shown" });
    expect((await runner(spark, notes).find("s"))?.id).toBe("driver-3");
  });
});

describe("submissionBody()", () => {
  const launch = {
    engine: "spark",
    entrypoint: "/repo/weather_features.py",
    cores: 2,
    driver_memory: "512m",
    executor_memory: "900m",
    properties: { "spark.x": "y" },
  } as const;
  const body = submissionBody(
    { submission: "weather-features-1", params_path: "/p.json", launch },
    address,
  ) as {
    appArgs: string[];
    sparkProperties: Record<string, unknown>;
  };
  it("names the master in the arguments, or the job would run inside its driver", () => {
    expect(body.appArgs).toEqual([
      "--master",
      "spark://spark:7077",
      "--deploy-mode",
      "client",
      "--name",
      "weather-features-1",
      "file:///repo/weather_features.py",
      "/p.json",
    ]);
  });
  it("names the entrypoint by a URL, whatever its folder is called", () => {
    const odd = { ...launch, entrypoint: "/pro ject #1/ü.py" };
    const { appArgs } = submissionBody({ submission: "s", params_path: "/p", launch: odd }, address) as {
      appArgs: string[];
    };
    expect(appArgs.at(-2)).toBe("file:///pro%20ject%20%231/%C3%BC.py");
  });
  it("hands on the properties file of a cluster that has none of its own", () => {
    const given = { ...address, sparkDefaults: "/repo/spark-defaults.conf" };
    const { appArgs } = submissionBody({ submission: "s", params_path: "/p", launch }, given) as {
      appArgs: string[];
    };
    expect(appArgs.slice(4, 6)).toEqual(["--properties-file", "/repo/spark-defaults.conf"]);
  });
  it("has only text as values", () => {
    expect(Object.values(body.sparkProperties).every((value) => typeof value === "string")).toBe(true);
    expect(body.sparkProperties).toMatchObject({ "spark.cores.max": "2", "spark.x": "y" });
  });
});

describe("submissionInLog()", () => {
  it("reads the name and the parameters from the launch command", () => {
    const log =
      'Launch Command: "java" "-cp" "/a/*" "org.apache.spark.deploy.worker.DriverWrapper" "--deploy-mode" "client" "--name" "weather-features-1" "file:///x.py" "/p.json"\n====\n';
    expect(submissionInLog(log)).toEqual({ submission: "weather-features-1", params_path: "/p.json" });
  });
  it("tells a driver of somebody else from one whose log is not there yet", () => {
    expect(submissionInLog('Launch Command: "java" "Main" "x"\n')).toEqual({
      submission: "",
      params_path: "",
    });
    expect(submissionInLog("")).toBeNull();
  });
});
