// An evaluation on real Ray and MLflow: a small model judged on the table it was trained from, its result read back from its
// run, its card written, its look at the test split counted.

import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { evaluate } from "../../cli/models/evaluate.ts";
import { scoreLines } from "../../cli/models/scores.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { EVALUATE } from "../../jobs/evaluate.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { closeLine, openLine } from "../../rehearse/line/line.ts";
import { runPython } from "../../rehearse/line/python.ts";

const engines = inject("engines");

it("evaluate() judges a version on Ray and keeps result, card and count", { timeout: 300_000 }, async () => {
  const signal = new AbortController().signal;
  const line = await openLine(engines, { what: "judge", signal, log: (text) => console.log(text) });
  try {
    const { settings, names } = line;
    await runPython(line, "small_champion", {
      mlflow: settings.mlflowUrl,
      model: names.model,
      // The training that the line's proof keeps.
      folder: join(engines.home, "proof-champion"),
      table: tables(settings).features,
    });
    const log = join(mkdtempSync(join(engines.home, "evaluate-")), "evaluations.jsonl");
    const { workers } = EVALUATE;
    const flags = { split: "test", model: "champion", data: null, from_ms: null, to_ms: null, workers, log };
    const reports: Readonly<Record<string, number>>[] = [];
    const found = await evaluate(
      settings,
      { ...flags, rounds: 50 },
      {
        signal,
        onReport: ({ counters }) => void reports.push(counters),
      },
    );
    // How many reports come in between depends on how fast the machine is; the last one always comes.
    expect(reports.map((counters) => counters["stations_done"])).toContain(found.result.data.stations.length);
    expect(found.counters["pairs"]).toBeGreaterThan(4_000);
    expect(found.test_runs).toBe(1);
    expect(readFileSync(log, "utf8")).toContain(`"digest":"${found.result.model.digest}"`);
    expect(found.result.data.stations).toEqual(["sg-s06", "sg-s107", "sg-s24", "sg-s43"]);
    expect(scoreLines(found.result).filter((text) => /^temperature +(6|12|24) h/.test(text))).toHaveLength(9);
    expect(readFileSync(found.card_path, "utf8")).toContain(found.result.data.sha256);

    const mlflow = mlflowOf(settings);
    const version = await mlflow.byAlias(names.model, "champion");
    expect(version?.card).toBe("card.html");
    expect(await mlflow.artifact(version!.run_id!, "card.html")).toContain(version!.digest!);
    expect(await mlflow.artifact(version!.run_id!, "none.html")).toBeNull();
    const metrics = await mlflow.metrics(version!.run_id!);
    expect(metrics["test_temperature_6h_mae_degC"]).toBeGreaterThan(0);

    // A split that this training had not: the job's own refusal, with what to do.
    await expect(
      evaluate(settings, { ...flags, split: "tomorrow", rounds: 1 }, { signal }),
    ).rejects.toMatchObject({ code: "config_invalid", message: expect.stringContaining("tomorrow") });
  } finally {
    await closeLine(line);
  }
});
