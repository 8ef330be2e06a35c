import { join } from "node:path";
import { expect, it } from "vitest";
import { SERVICES } from "../topology/services.ts";
import { servicesPage } from "./topology.ts";

const root = join(import.meta.dirname, "..", "..");

it("the page of services has one row each, with version, ports and their settings", () => {
  const rows = servicesPage(root, SERVICES, "h").split("\n");
  expect(rows[0]).toBe("<!-- h -->");
  expect(rows.find((row) => row.startsWith("| kafka |"))).toMatch(
    /^\| kafka \| \d+\.\d+\.\d+ \| 9092 `MILLRACE_KAFKA_PORT`, 9093 `MILLRACE_KAFKA_CONTROLLER_PORT` \| `MILLRACE_KAFKA_BOOTSTRAP` \| – \| – \| log \|$/,
  );
  expect(rows.find((row) => row.startsWith("| ray |"))).toContain(
    "20002 to 20200 `MILLRACE_RAY_WORKER_MIN_PORT`, `MILLRACE_RAY_WORKER_MAX_PORT`",
  );
  expect(rows.filter((row) => / \(optional\) \|/.test(row))).toHaveLength(2);
});
