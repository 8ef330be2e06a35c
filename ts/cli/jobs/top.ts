// `millrace top`: how the line runs, in a terminal, refreshed in place. Asks the API of the namespace as any program would.

import { readFileSync } from "node:fs";
import { Command } from "commander";
import { millrace, type Problem } from "../../client/index.ts";
import { PipelineError } from "../../contract/index.ts";
import { pause } from "../../ground/pause.ts";
import type { Settings } from "../../settings/settings.ts";
import { parseInteger } from "../flags.ts";
import { interruptible } from "../interrupt.ts";
import { type Alert, type System, screen } from "./screen.ts";

/** Longest wait for an answer, wall time: the server itself gives an engine six seconds. */
const ANSWER_MS = 10_000;
/** Alerts that a screen has room for. */
const ALERTS = 8;

/** An alternate screen, so that what stood there comes back; no cursor on it. */
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
/** To the first cell; to the end of a line, of the screen. */
const HOME = "\u001b[H";
const REST_OF_LINE = "\u001b[K";
const REST_OF_SCREEN = "\u001b[J";

export interface Terminal {
  write(text: string): void;
  /** Cells; undefined where it is no terminal. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

interface Answer {
  readonly system: System;
  readonly alerts: readonly Alert[];
  readonly count: number;
}

type Client = ReturnType<typeof millrace>;

function refused(url: string, problem: Problem): PipelineError {
  return new PipelineError(
    "job_failed",
    `Cannot ask the API at "${url}": expected what it shows, got ${problem.status} (${problem.title})`,
    { context: { next: problem.next } },
  );
}

/** Errors: `job_failed` while nobody answers, and for a refusal. */
export async function ask(client: Client, url: string, signal: AbortSignal): Promise<Answer> {
  const within = { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) };
  try {
    const [system, alerts] = await Promise.all([
      client.GET("/system", within),
      client.GET("/alerts", { ...within, params: { query: { limit: ALERTS } } }),
    ]);
    if (system.error) throw refused(url, system.error);
    if (alerts.error) throw refused(url, alerts.error);
    return { system: system.data, alerts: alerts.data.alerts, count: alerts.data.count };
  } catch (cause) {
    if (cause instanceof PipelineError) throw cause;
    throw new PipelineError("job_failed", `Cannot ask the API at "${url}": expected an answer, got none`, {
      cause,
      context: { next: 'start it with "millrace submit serve", or let --url name another one' },
    });
  }
}

/** The lines that fit; the last one says how many do not. */
export function fitted(lines: readonly string[], { columns = 200, rows = 1_000 }: Terminal): string[] {
  const shown =
    lines.length <= rows
      ? lines
      : [...lines.slice(0, rows - 1), `… ${lines.length - rows + 1} more lines: millrace top --once`];
  return shown.map((line) =>
    [...line].length <= columns ? line : `${[...line].slice(0, columns - 1).join("")}…`,
  );
}

/** Shows it again and again until the signal fires, and leaves the terminal as it was. */
export async function watch(
  look: (signal: AbortSignal) => Promise<Answer>,
  terminal: Terminal,
  { every_ms, signal }: { readonly every_ms: number; readonly signal: AbortSignal },
): Promise<void> {
  // The first answer before the screen: what goes wrong at once is an error like any other.
  let answer = await look(signal);
  let silent: string | null = null;
  terminal.write(ENTER);
  try {
    for (;;) {
      const lines = screen(answer.system, answer.alerts, answer.count);
      const all =
        silent === null ? lines : [`The API does not answer: ${silent}. What it said last:`, "", ...lines];
      const text = fitted(all, terminal).map((line) => `${line}${REST_OF_LINE}`);
      terminal.write(`${HOME}${text.join("\r\n")}${REST_OF_SCREEN}`);
      await pause(every_ms, signal);
      if (signal.aborted) return;
      try {
        answer = await look(signal);
        silent = null;
      } catch (error) {
        if (signal.aborted) return;
        silent = error instanceof Error ? error.message : String(error);
      }
    }
  } finally {
    terminal.write(LEAVE);
  }
}

function keyFrom(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    throw new PipelineError(
      "config_invalid",
      `Cannot read the key in "${path}": expected a file that holds one`,
      { cause },
    );
  }
}

export function topCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("top")
    .description(
      "Show how the line runs, refreshed in place until Ctrl-C: alerts, latency, lag, batches, processes",
    )
    .option("--once", "print it once and end; so it is where the output is no terminal")
    .option("--json", "print the answer of GET /system once, as JSON, with `alerts`")
    .option("--every <seconds>", "time between two looks", "2")
    .option("--url <address>", "the API (default: the namespace's own)")
    .option("--key-file <file>", "file with an API key, for a server that other machines reach")
    .addHelpText(
      "after",
      "\nExample:\n  millrace top\n  millrace top --once\n  millrace top --json | jq .groups\n",
    )
    .action(
      async (
        options: { once?: boolean; json?: boolean; every: string; url?: string; keyFile?: string },
        command: Command,
      ) => {
        const url = (options.url ?? settingsOf(command).apiUrl).replace(/\/+$/, "");
        const every_ms = 1000 * parseInteger("--every", options.every, 1, 3_600);
        const key = keyFrom(options.keyFile);
        const client = millrace(url, key === undefined ? {} : { key });
        const look = (signal: AbortSignal) => ask(client, url, signal);
        await interruptible(async (signal) => {
          if (options.json) {
            const { system, alerts } = await look(signal);
            console.log(JSON.stringify({ ...system, alerts }));
          } else if (options.once || !process.stdout.isTTY) {
            const { system, alerts, count } = await look(signal);
            console.log(screen(system, alerts, count).join("\n"));
          } else await watch(look, process.stdout, { every_ms, signal });
        });
      },
    );
}
