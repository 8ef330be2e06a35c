// What other rooms may know of contracts. Everything else in this folder is its own business.

export { ERRORS, type ErrorCode, explain, isErrorCode, PipelineError } from "./errors.ts";
export { isMeasured, type Observation, type ObservationField, parseObservation } from "./observation.ts";
export {
  type FieldShape,
  parseRecord,
  parseSchema,
  type RecordShape,
  type Role,
  type Shape,
} from "./schema.ts";
export { converter, UNITS, type Unit, unitRule } from "./units.ts";
