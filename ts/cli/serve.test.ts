import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { PipelineError } from "../contract/index.ts";
import { settingsOf } from "../engines/settings.ts";
import { serveCommand } from "./serve.ts";

const file = join(import.meta.dirname, "serve.ts");
const root = join(import.meta.dirname, "..", "..");

async function run(...args: string[]): Promise<void> {
  const program = new Command("millrace").exitOverride();
  program.addCommand(serveCommand(() => settingsOf(root)));
  await program.parseAsync(["serve", ...args], { from: "user" });
}

describe("millrace serve", () => {
  // The test runner resolves names of CommonJS modules that Node does not: only Node itself can tell.
  it("loads on Node itself", () => {
    const script = `const { serveCommand } = await import(${JSON.stringify(file)}); let help = ""; serveCommand(() => ({})).configureOutput({ writeOut: (text) => { help += text; } }).outputHelp(); console.log(help);`;
    const help = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    expect(help).toContain("Example:");
    expect(help).toContain("--port");
  });

  it.each([
    ["--port", "80x"],
    ["--port", "70000"],
    ["--port", ""],
    ["--trail", "0"],
    ["--silent", "-5"],
    ["--silent", "1.5"],
  ])("refuses %s %s before it opens anything", async (flag, value) => {
    const refused = run(`${flag}=${value}`);
    await expect(refused).rejects.toThrow(PipelineError);
    await expect(refused).rejects.toThrow(`Cannot use ${flag} "${value}": expected a whole number`);
  });
});
