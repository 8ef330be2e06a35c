// Where things lie in every image and container (infra/compose/Dockerfile).

/** What the image brings, written by nobody. */
export const REPOSITORY = "/opt/millrace";
/** What a service keeps, a volume of its own. */
export const OWN = "/var/lib/engine";
/** Parameters, markers, checkpoints and tables: one volume at the same path in every container that writes or reads them. */
export const SHARED = "/var/lib/millrace";
/** Passwords of this set. */
export const SECRETS_FOLDER = "/run/millrace";

export const COMPOSE_FOLDER = "infra/compose";
export const GENERATED_FOLDER = `${COMPOSE_FOLDER}/generated`;
