import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import { fileInput } from "./input.ts";

const { contract } = pipelineOf("weather");
const samples = join(import.meta.dirname, "..", "..", "..", "samples");
const readme = readFileSync(join(samples, "README.md"), "utf8");

describe("the bundled samples", () => {
  it.each([
    ["us-cities-hourly.csv.gz", 27],
    ["singapore-1min-3days.csv.gz", 20],
  ])(
    "%s has the contract's columns, known stations, no repeats, time order, and as many rows as the README says",
    (name, stations) => {
      const [header, ...lines] = gunzipSync(readFileSync(join(samples, name)))
        .toString()
        .trimEnd()
        .split("\n");
      expect(header!.split(",")).toEqual(contract.fields.map((field) => field.name));
      expect(readme).toContain(`| ${lines.length.toLocaleString("en-US")} |`);
      const seen = new Set<string>();
      let previous = "";
      let disorder = 0;
      for (const line of lines) {
        const comma = line.indexOf(",");
        seen.add(line.slice(0, comma));
        const now = line.slice(comma + 1, line.indexOf(",", comma + 1)) + line.slice(0, comma);
        // By time, then station, strictly rising: no reading twice.
        if (now <= previous) disorder++;
        previous = now;
      }
      expect(disorder).toBe(0);
      expect(seen.size).toBe(stations);
      expect([...seen].filter((id) => !Object.hasOwn(contract.stations, id))).toEqual([]);
    },
  );

  it("hold no row that a replay would leave out", { tags: ["slow"] }, async () => {
    const bad: unknown[] = [];
    let rows = 0;
    const input = fileInput({
      path: join(samples, "singapore-1min-3days.csv.gz"),
      contract,
      onBad: (row) => bad.push(row),
    });
    for await (const chunk of input.rows()) rows += chunk.length;
    expect(bad).toEqual([]);
    expect(rows).toBe(84_728);
  });

  it("are under twelve megabytes together", () => {
    const bytes = ["us-cities-hourly.csv.gz", "singapore-1min-3days.csv.gz"].map(
      (name) => readFileSync(join(samples, name)).length,
    );
    expect(bytes[0]! + bytes[1]!).toBeLessThan(12_000_000);
  });
});
