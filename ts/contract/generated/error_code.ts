// Generated placeholder
export const ERROR_CODES = [
  "config_invalid",
  "contract_rejected",
  "contract_mismatch",
  "model_refused",
  "kafka_unreachable",
  "registry_unreachable",
  "spark_unreachable",
  "spark_rejected",
  "ray_unreachable",
  "ray_rejected",
  "store_unreachable",
  "job_failed",
  "job_timed_out",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];
