// Builds the page into target/web, from where ts/serve reads it: `make setup`. What is not needed at first is a file of its own.

import { join } from "node:path";
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  base: "/web/",
  // Beside the root there is nothing to look for: no file of the environment, no other configuration.
  envDir: false,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: join(import.meta.dirname, "..", "..", "target", "web"),
    emptyOutDir: true,
    target: "es2022",
    // The content policy lets no data address of a script or style in, and a small file more costs nothing here.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
