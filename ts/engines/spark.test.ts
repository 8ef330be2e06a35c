// Spark's words in ours, and the create request, against canned replies. The real master is in test/cluster/jobs.test.ts.

import { describe, expect, it } from "vitest";
import type { Http } from "./http.ts";
import { DRIVER_STATES, sparkRunner, statusOf, submissionBody, submissionOf } from "./spark.ts";

const address = {
  sparkMasterUrl: "spark://spark:7077",
  sparkRestUrl: "http://spark:6066",
  sparkUiUrl: "http://spark:8080",
  sparkJars: "/jars",
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

describe("statusOf()", () => {
  it("maps each of Spark's eight states", () => {
    expect(DRIVER_STATES.map((state) => [state, statusOf(state, 1, null).state])).toEqual([
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
    expect(statusOf("RUNNING", null, null).state).toBe("waiting");
    expect(statusOf("RUNNING", 0, null).state).toBe("waiting");
    expect(statusOf("RUNNING", 2, null).state).toBe("running");
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
  it("has only text as values", () => {
    expect(Object.values(body.sparkProperties).every((value) => typeof value === "string")).toBe(true);
    expect(body.sparkProperties).toMatchObject({ "spark.cores.max": "2", "spark.x": "y" });
  });
});

describe("submissionOf()", () => {
  it("reads the name and the parameters from the launch command", () => {
    const log =
      'Launch Command: "java" "-cp" "/a/*" "org.apache.spark.deploy.worker.DriverWrapper" "--deploy-mode" "client" "--name" "weather-features-1" "file:///x.py" "/p.json"\n====\n';
    expect(submissionOf(log)).toEqual({ submission: "weather-features-1", params_path: "/p.json" });
  });
  it("tells a driver of somebody else from one whose log is not there yet", () => {
    expect(submissionOf('Launch Command: "java" "Main" "x"\n')).toEqual({ submission: "", params_path: "" });
    expect(submissionOf("")).toBeNull();
  });
});
