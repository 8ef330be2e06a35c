import { describe, expect, it } from "vitest";
import { millrace } from "../../client/index.ts";
import { PipelineError } from "../../contract/index.ts";
import { app, arrival, NOW_MS, prediction } from "../../test/served/weather.ts";
import { ago, screen, short, span } from "./screen.ts";
import { ask, fitted, type Terminal, watch } from "./top.ts";

const never = new AbortController().signal;

/** The client of an app in this process, whose line has something to show. */
function client() {
  const api = app({
    processes: async () => ({
      over_s: 2,
      processes: [
        {
          ...{ of: "serve", name: "main.ts", pid: 7, cores: 0.25, memory_bytes: 120e6, read_bytes_s: 0 },
          ...{ written_bytes_s: 2_048, received_bytes_s: null, sent_bytes_s: null },
        },
        {
          ...{ of: "kafka", name: "unknown", pid: null, cores: null, memory_bytes: null, read_bytes_s: null },
          ...{ written_bytes_s: null, received_bytes_s: null, sent_bytes_s: null },
        },
      ],
    }),
  });
  const one = prediction();
  api.latest.predicted("denver", one, arrival(1));
  api.flow.predicted(one.stages, NOW_MS - 2_000);
  api.flow.rejected("late", NOW_MS);
  api.progress.report({
    ...{ job: "weather-features", submission: "weather-features-1", state: "running", timestamp: NOW_MS },
    ...{
      error_code: null,
      message: null,
      counters: { batch_id: 7, batch_rows: 500, batch_ms: 1_320, lag: 12 },
    },
  });
  return millrace("http://127.0.0.1", { fetch: async (request) => api.app.request(request as Request) });
}

describe("screen()", () => {
  it("shows alerts, latency as a waterfall, batches, lag, jobs and processes; what is unknown as such", async () => {
    const { system, alerts, count } = await ask(client(), "u", never);
    const lines = screen(system, alerts, count);
    const text = lines.join("\n");
    expect(lines[0]).toBe("millrace  2026-01-10T08:00:00.000Z  1 alert");
    expect(text).toMatch(/^ +0 s {2}Records of weather are refused: late.*Run: millrace rejects list/m);
    expect(text).toContain("latency p50 1.00 s  p99 1.00 s  of 1 predictions");
    expect(text).toMatch(/^ {2}predict +▇+ +p50 +400 ms/m);
    expect(text).toMatch(/^weather-features +7 +500 +1\.32 s +\? +12/m);
    expect(text).toMatch(/^ray-ml-inference +weather-features +7$/m);
    expect(text).toMatch(/^serve +main\.ts +7 +0\.25 +120 MB +0 B +2\.05 kB +\? +\?$/m);
    expect(text).toMatch(/^kafka +unknown +\? +\? +\?/m);
    expect(text).toMatch(/^all +0\.25 +120 MB/m);
  });

  it("a line that has said nothing yet is no error", async () => {
    const api = app();
    const { system, alerts, count } = await ask(
      millrace("http://127.0.0.1", { fetch: async (request) => api.app.request(request as Request) }),
      "u",
      never,
    );
    expect(screen(system, alerts, count).slice(0, 1)).toEqual([
      "millrace  2026-01-10T08:00:00.000Z  all is well",
    ]);
  });
});

describe("numbers", () => {
  it.each([
    [0, "0"],
    [1.234, "1.23"],
    [99.96, "100"],
    [999.4, "999"],
    [999.9, "1.00 k"],
    [61_700, "61.7 k"],
    [3.4e9, "3.40 G"],
    [null, "?"],
  ])("%s is %s", (value, text) => expect(short(value)).toBe(text));
  it.each([
    [340, "340 ms"],
    [999.6, "1.00 s"],
    [1_550, "1.55 s"],
    [null, "?"],
  ])("%s ms is %s", (value, text) => expect(span(value)).toBe(text));
  it.each([
    [0, "0 s"],
    [59, "59 s"],
    [61, "1 min"],
    [7_199, "1 h"],
    [200_000, "2 d"],
  ])("%s s ago is %s", (s, text) =>
    expect(ago(new Date(NOW_MS - s * 1000).toISOString(), new Date(NOW_MS).toISOString())).toBe(text),
  );
});

describe("ask()", () => {
  it("says what to do where nobody answers", async () => {
    const away = millrace("http://127.0.0.1", {
      fetch: async () => Promise.reject(new TypeError("fetch failed")),
    });
    const failed = ask(away, "http://127.0.0.1", never);
    await expect(failed).rejects.toThrow(
      'Cannot ask the API at "http://127.0.0.1": expected an answer, got none',
    );
    await expect(failed).rejects.toMatchObject({
      context: { next: expect.stringContaining("submit serve") },
    });
  });

  it("hands on what a refusal says to do", async () => {
    const problem = { title: "A key is needed", status: 401, next: "millrace keys add" };
    const shut = millrace("http://127.0.0.1", {
      fetch: async () =>
        new Response(JSON.stringify(problem), {
          status: 401,
          headers: { "content-type": "application/problem+json" },
        }),
    });
    const failed = ask(shut, "u", never);
    await expect(failed).rejects.toThrow(PipelineError);
    await expect(failed).rejects.toMatchObject({ context: { next: "millrace keys add" } });
  });
});

describe("watch()", () => {
  function terminal(): Terminal & { readonly text: () => string } {
    let text = "";
    const write = (more: string) => {
      text += more;
    };
    return { columns: 80, rows: 24, write, text: () => text };
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a terminal is told
  const LEFT = /\u001b\[\?25h\u001b\[\?1049l$/;

  it("refreshes in place, says that the API is away, and leaves the terminal clean", async () => {
    const stop = new AbortController();
    const shown = terminal();
    const ours = client();
    let looks = 0;
    const look = async (signal: AbortSignal) => {
      looks++;
      if (looks === 2) throw new PipelineError("job_failed", "gone");
      if (looks === 3) stop.abort();
      return ask(ours, "u", looks === 3 ? never : signal);
    };
    await watch(look, shown, { every_ms: 1, signal: stop.signal });
    expect(looks).toBe(3);
    expect(shown.text().startsWith("\u001b[?1049h\u001b[?25l\u001b[H")).toBe(true);
    expect(shown.text()).toContain("The API does not answer: gone. What it said last:");
    expect(shown.text()).toMatch(LEFT);
  });

  it("what fails at once is an error, and nothing is written", async () => {
    const shown = terminal();
    const look = () => Promise.reject(new PipelineError("job_failed", "gone"));
    await expect(watch(look, shown, { every_ms: 1, signal: never })).rejects.toThrow("gone");
    expect(shown.text()).toBe("");
  });
});

describe("fitted()", () => {
  it("cuts lines and says how many do not fit", () => {
    const write = () => undefined;
    expect(fitted(["abcdef", "b"], { write, columns: 4, rows: 2 })).toEqual(["abc…", "b"]);
    expect(fitted(["a", "b", "c"], { write, columns: 80, rows: 2 })).toEqual([
      "a",
      "… 2 more lines: millrace top --once",
    ]);
  });
});
