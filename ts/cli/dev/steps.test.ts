import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { explain, PipelineError } from "../../contract/errors.ts";
import { settingsOf } from "../../settings/settings.ts";
import { nextStep } from "../next.ts";
import { doneSteps, during, failureOf, StepError } from "./steps.ts";

const home = mkdtempSync(join(tmpdir(), "millrace-steps-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("doneSteps()", () => {
  const settings = settingsOf("/repo", { home });
  const made = { fingerprint: "f", code: { spark: "s", ray: "r" } };

  it("remembers each step over a restart, and none that was not done", () => {
    doneSteps(settings, made).add("backfill");
    doneSteps(settings, made).add("training", "3");
    const again = doneSteps(settings, made);
    expect([again.of("backfill"), again.of("training"), again.of("seed")]).toEqual(["", "3", null]);
  });
  it.each([
    { ...made, fingerprint: "g" },
    { ...made, code: { spark: "t", ray: "r" } },
    { ...made, code: { spark: "s", ray: "q" } },
  ])("begins anew for another contract or other code (%o)", (other) => {
    expect(doneSteps(settings, other).of("backfill")).toBeNull();
  });
});

describe("a step that fails", () => {
  const reset = new PipelineError(
    "store_unreachable",
    'Cannot read alias "champion": expected an answer, got none',
    {
      cause: new Error("ECONNRESET"),
      context: { fault: "lost" },
    },
  );

  it("is named, with how to go on, what runs on and what stops it; nobody is told to start what runs", async () => {
    const failed = await during("Model", () => during("Training on Ray", () => Promise.reject(reset))).catch(
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(StepError);
    const shown = failureOf(failed as StepError, ["kafka", "ray", "weather-features"]);
    expect(shown.code).toBe("store_unreachable");
    expect(explain(shown)).toBe(
      [
        'Cannot finish the demo: expected step "Training on Ray" to end well, it failed (store_unreachable)',
        '  because: Cannot read alias "champion": expected an answer, got none (store_unreachable)',
        "  because: ECONNRESET",
      ].join("\n"),
    );
    expect(nextStep(shown)).toBe(
      'run the same command again, it goes on from this step; what runs on is kafka, ray, weather-features, and "millrace down" stops it',
    );
  });
  it("says when nothing runs on", () => {
    const shown = failureOf(new StepError("Engines", new Error("no room")), []);
    expect([shown.code, nextStep(shown)]).toEqual([
      "job_failed",
      "run the same command again, it goes on from this step; nothing of it runs on",
    ]);
  });
});
