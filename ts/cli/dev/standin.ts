// `millrace standin`: a server in the form of live feeds on this machine, until Ctrl-C; for demos and rehearsals without internet.

import { once } from "node:events";
import { Command } from "commander";
import { startStandin } from "../../rehearse/standin/server.ts";
import { parseInteger } from "../flags.ts";
import { interruptible } from "../interrupt.ts";

export function standinCommand(): Command {
  return new Command("standin")
    .description(
      "Answer on 127.0.0.1 in the form of Open-Meteo and the National Weather Service, with weather that is made up",
    )
    .requiredOption("--port <port>", "port to listen on")
    .addHelpText(
      "after",
      "\nExample:\n  millrace standin --port 8090\n  millrace produce open-meteo --place lisbon=38.72,-9.14 --url http://127.0.0.1:8090 --dry-run",
    )
    .action(async ({ port }: { readonly port: string }) => {
      await interruptible(async (signal) => {
        const server = await startStandin(parseInteger("--port", port, 1024, 65_535));
        console.log(`Made-up weather at http://127.0.0.1:${port} until Ctrl-C`);
        if (!signal.aborted) await once(signal, "abort");
        server.closeAllConnections();
        server.close();
      });
    });
}
