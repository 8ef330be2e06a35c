// The hooks of this machine by the names that entries give.

import type { Hook } from "../hook.ts";
import { dataNode, nameNode } from "./hdfs.ts";
import { kafka } from "./kafka.ts";
import { postgres } from "./postgres.ts";
import { ray } from "./ray.ts";
import { spark, sparkMaster } from "./spark.ts";

export const HOOKS: Readonly<Record<string, Hook>> = {
  kafka,
  spark,
  "spark-master": sparkMaster,
  ray,
  postgres,
  hdfs: dataNode,
  "hdfs-namenode": nameNode,
};
