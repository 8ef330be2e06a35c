import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { PipelineError } from "../../contract/index.ts";
import { addKey, keysPath } from "../../serve/keys.ts";
import { settingsOf } from "../../settings/settings.ts";
import { serve, serveCommand } from "./serve.ts";

const file = join(import.meta.dirname, "serve.ts");
const root = join(import.meta.dirname, "..", "..", "..");

const settings = settingsOf(root, { home: mkdtempSync(join(tmpdir(), "millrace-serve-")) });

async function run(...args: string[]): Promise<void> {
  const program = new Command("millrace").exitOverride();
  program.addCommand(serveCommand(() => settings));
  await program.parseAsync(["serve", ...args], { from: "user" });
}

describe("millrace serve", () => {
  // The test runner resolves names of CommonJS modules that Node does not: only Node itself can tell.
  it("loads on Node itself", { tags: ["slow"] }, () => {
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

  it.each(["0.0.0.0", "::", "", "0", "192.168.1.5", "example.org"])(
    "refuses --host=%s without a key, before it opens anything",
    async (host) => {
      const refused = run(`--host=${host}`);
      await expect(refused).rejects.toThrow(PipelineError);
      await expect(refused).rejects.toThrow(`Cannot serve on "${host}": expected an API key`);
      await expect(refused).rejects.toThrow("millrace keys add NAME");
    },
  );

  it.each(["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "localhost"])(
    "takes --host=%s: only this machine reaches it",
    // It gets as far as the next flag.
    (host) => expect(run(`--host=${host}`, "--port=80x")).rejects.toThrow("--port"),
  );

  it.each(["localhost", "0.0.0.0:80", ""])("refuses --published=%s: no address", (published) =>
    expect(run("--host=0.0.0.0", `--published=${published}`)).rejects.toThrow(
      `Cannot use --published "${published}": expected an address`,
    ),
  );

  it("judges a container's server by the address that publishes it", async () => {
    const home = mkdtempSync(join(tmpdir(), "millrace-serve-"));
    const settings = settingsOf(root, { home });
    const warnings: string[] = [];
    const serving = (published: string | null) =>
      serve(
        settings,
        // An address of documentation (RFC 5737): no machine has it, so nothing is opened.
        { host: "192.0.2.1", port: 0, rule: {}, api: { ...settings.api, published }, json: false },
        {
          jobs: async () => [],
          signal: AbortSignal.abort(),
          print: () => undefined,
          warn: (line) => warnings.push(line),
        },
      );
    await expect(serving(null)).rejects.toThrow("expected an API key");
    await expect(serving("192.0.2.1")).rejects.toThrow("expected an API key");
    await expect(serving("127.0.0.1")).rejects.toThrow('Cannot serve on "192.0.2.1:0"');
    expect(warnings).toEqual([]);
  });

  it("takes a certificate only with its key", () =>
    expect(run("--tls-cert=a.pem")).rejects.toThrow("expected --tls-cert and --tls-key"));

  it("warns of what it does without TLS on an address that others reach", async () => {
    const warnings: string[] = [];
    const home = mkdtempSync(join(tmpdir(), "millrace-serve-"));
    const remote = settingsOf(root, { home });
    addKey(keysPath(remote), "me", 0);
    // An address of documentation (RFC 5737): no machine has it, so nothing is opened.
    const flags = { host: "192.0.2.1", port: 0, rule: {}, json: false };
    const served = serve(remote, flags, {
      jobs: async () => [],
      signal: AbortSignal.abort(),
      print: () => undefined,
      warn: (line) => warnings.push(line),
    });
    await expect(served).rejects.toThrow('Cannot serve on "192.0.2.1:0"');
    expect(warnings).toEqual([expect.stringContaining('pass in clear on "192.0.2.1"')]);
  });
});
