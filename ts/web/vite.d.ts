// What vite makes of imports that are no TypeScript.

declare module "*.css";
declare module "*?url" {
  const url: string;
  export default url;
}

interface ImportMeta {
  /** Modules by their path from this file, each loaded when its function is called. */
  glob<M>(pattern: string): Readonly<Record<string, (() => Promise<M>) | undefined>>;
}
