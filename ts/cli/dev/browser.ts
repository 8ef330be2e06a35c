// Opens an address in the browser of whoever sits at this machine.

import { spawn } from "node:child_process";

/** A desktop's opener fails within this, or has handed the address on; one that waits for its browser is left to it. */
const OPENER_MS = 5_000;

/** Says why where nothing was opened, and never fails: the address has been printed. `opener` is xdg-open, which follows $BROWSER. */
export function openBrowser(url: string, opener = "xdg-open"): Promise<string | null> {
  return new Promise((resolve) => {
    const settled = setTimeout(resolve, OPENER_MS, null);
    const ended = (unopened: string | null) => {
      clearTimeout(settled);
      resolve(unopened === null ? null : `No browser was opened (${unopened}): open ${url}`);
    };
    // It outlives this command: the browser may be its child.
    const child = spawn(opener, [url], { detached: true, stdio: "ignore" });
    child.on("error", () => ended(`${opener} is not here`));
    child.on("exit", (code) => ended(code === 0 ? null : `${opener} ended with ${code}`));
    child.unref();
  });
}
