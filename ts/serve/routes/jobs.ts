// GET /jobs: desired and actual state of every job of the namespace, and what each last said of itself.

import type { AppEffects } from "../effects.ts";
import { iso } from "../forecast.ts";
import { jobRows } from "../jobs.ts";
import { defineRoute } from "../route.ts";
import { flag, integer, list, map, nullable, said, seconds, text, time, z } from "../schema.ts";

export const JobRow = z
  .object({
    name: text("Name of the job."),
    pipeline: text("The pipeline it works for; empty for one that works for all."),
    engine: text("spark, ray, process, or unknown."),
    desired: flag("Whether the desired state wants it running."),
    state: said(z.string(), "As the engine says.", {
      enum: ["waiting", "running", "succeeded", "failed", "stopped", "unknown"],
    }),
    reason: nullable(text("Why, for a state that needs it.")),
    submission: nullable(text("Submission id at the engine.")),
    restarts: nullable(integer("Restarts by the supervisor.", { unit: "1" })),
    gave_up: flag("Whether the supervisor stopped trying."),
    schedule: nullable(text("When a batch is due: five fields of cron in UTC.")),
    due: nullable(time("The next time it is due.")),
    last: nullable(
      z.object({
        at: time("When its last submission ended, wall time."),
        reason: text("How it ended."),
      }),
    ),
    heartbeat: nullable(
      z.object({
        at: time("When the job last spoke, wall time."),
        age_s: seconds("Since then."),
        state: text("The job's own view of itself."),
        state_age_s: seconds("Since it first said so, without another state between."),
        error_code: nullable(text("A symbol of error_code.")),
        message: nullable(text("One sentence.")),
        counters: map(z.number(), "Counts and gauges; the unit is last in the name."),
      }),
    ),
  })
  .openapi("Job");
/** A job as the supervisor sees it, and its own newest word. */
export type JobRow = z.infer<typeof JobRow>;

const Jobs = z
  .object({
    at: time("When this was answered, wall time."),
    jobs: list(JobRow, "All jobs, by name; batches too, with how they ended."),
  })
  .openapi("Jobs");

export function jobsRoute({ jobs, progress, clock, pipelines }: AppEffects) {
  const names = pipelines.map(({ contract }) => contract.pipeline);
  return defineRoute({
    name: "jobs",
    path: "/jobs",
    tag: "operation",
    summary: "Jobs: desired, actual, and what each last said of itself",
    description:
      "The supervisor's view beside the newest heartbeat on the topic job-progress. A job that the supervisor does not know, as a batch, has the state it last reported.",
    query: z.object({
      pipeline: said(
        z.string().refine((word) => names.includes(word), { error: `to be one of ${names.join(", ")}` }),
        "Only jobs of this pipeline.",
        { enum: names },
      ).optional(),
    }),
    schema: Jobs,
    refusals: ["bad_parameter"],
    answer: async ({ query }) => {
      const rows = jobRows(await jobs(), progress, clock.nowMs());
      const wanted = query.pipeline;
      return {
        body: {
          at: iso(clock.nowMs()),
          jobs: wanted === undefined ? rows : rows.filter(({ pipeline }) => pipeline === wanted),
        },
      };
    },
  });
}
