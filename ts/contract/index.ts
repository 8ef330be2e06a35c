// What other rooms may know of contracts. Everything else in this folder is its own business.

export { aheadOf, isAhead } from "./ahead.ts";
export {
  type Attribute,
  type AttributeKind,
  dateText,
  dayOf,
  unaccepted,
} from "./attribute.ts";
export { type Decoded, Decoder, encoder, framePrefix, schemaIdOf, toJson } from "./avro.ts";
export { assertCompatible, type Breach, breaches } from "./compatibility.ts";
export { ENTITY_ID_LENGTH_MAX, isEntityId } from "./entity.ts";
export { ERRORS, type ErrorCode, explain, isErrorCode, PipelineError } from "./errors.ts";
export {
  definitionOf,
  readableSchema,
  type SchemaDefinition,
  STREAM_FORMATS,
  type StreamFormat,
  schemaIn,
} from "./format.ts";
export type { JobProgress, JobState, ModelEvent, SourceCursor } from "./generated/records.ts";
export { isMoment } from "./moment.ts";
export { isMeasured, type ObservationField, type ObservationShape, parseObservation } from "./observation.ts";
export {
  type FieldShape,
  parseRecord,
  parseSchema,
  pascal,
  type RecordShape,
  type Role,
  type Shape,
  type Support,
} from "./schema.ts";
export { converter, UNITS, type Unit, unitNamed, unitRule, unitRules, unitsIn, unitWord } from "./units.ts";
export { observationEncoder, type Unframed, WireDecoder } from "./wire.ts";
