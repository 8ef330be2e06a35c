// What a container does before its program that an entry cannot say as data: the twin of local/hooks, in a line or two of shell each.
// `"$@"` is the program with all its arguments.

import { INITDB } from "../postgres.ts";
import { OWN, REPOSITORY, SECRETS_FOLDER } from "./place.ts";

export interface Hook {
  /** Shell, once the folders are there; the program follows in the place of the shell. */
  readonly before?: string;
  /** The program's arguments in place of those of the entry. */
  readonly args?: (args: readonly string[]) => readonly string[];
  /** Variables of the entry that are for one machine alone. */
  readonly without?: readonly string[];
}

const GENERATED = `${REPOSITORY}/infra/compose/generated`;

/** Formats its storage before its first start, and never again. */
const kafka: Hook = {
  args: (args) =>
    args.map((arg) => arg.replace(`${OWN}/server.properties`, `${GENERATED}/server.properties`)),
  before: `if [ ! -e data/meta.properties ]; then
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | head -c 22)
  java -Xmx128m -cp '${REPOSITORY}/target/engines/kafka/*' kafka.tools.StorageTool format -t "$id" -c ${GENERATED}/server.properties
fi`,
};

/** What helps against data of another version; infra/compose/compose.sh says the same before it starts anything. */
const OTHER_DATA =
  "start the Millrace that made it, with the same volumes, and take out what is needed; or remove it: VOLUMES=1 make compose-down";

/**
 * Makes its database in a folder of its own and moves it into place, so that one cut short is never taken for a whole one. Refuses one
 * that another version made.
 */
const postgres: Hook = {
  args: () => [
    "-D",
    `${OWN}/data`,
    "-c",
    `config_file=${GENERATED}/postgresql.conf`,
    "-c",
    `hba_file=${GENERATED}/pg_hba.conf`,
    // The file is the same in both sizes.
    "-c",
    "shared_buffers={memory:shared_mib}MB",
  ],
  before: `if [ ! -e data ]; then
  rm -rf data.new && mkdir -m 700 data.new
  initdb -D data.new --pwfile=${SECRETS_FOLDER}/postgres ${INITDB.join(" ")}
  mv data.new data
else
  made=$(cat data/PG_VERSION)
  here=$(postgres --version | sed 's/.* \\([0-9]*\\).*/\\1/')
  [ "$made" = "$here" ] || {
    echo "Cannot start PostgreSQL: expected data of version $here on the volume \\"postgres\\", got version $made" >&2
    echo "  next: ${OTHER_DATA}" >&2
    exit 1
  }
fi`,
};

/** Formats once; who has blocks without names is not given new ones, because the DataNode refuses a NameNode it does not know. */
const nameNode: Hook = {
  before: `[ -e names/current/VERSION ] || "$@" -format -nonInteractive`,
};

/** A worker says its own address, because there may be several under one name. */
const spark: Hook = {
  args: (args) => args.filter((arg, i) => arg !== "--host" && args[i - 1] !== "--host"),
};

/** The container's own address instead of a name: Ray's nodes know each other by it. */
const ray: Hook = {
  // It keeps Ray on the loopback address.
  without: ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"],
  args: (args) => [
    ...args
      .filter((arg) => !arg.startsWith("--node-ip-address="))
      .map((arg) => (arg.startsWith("--dashboard-host=") ? "--dashboard-host=0.0.0.0" : arg)),
    // The container ends with what it runs, and comes back.
    "--block",
  ],
};

/** A further node: what the head is told, without what only a head has. */
export const rayWorkerArgs = (head: readonly string[], address: string): readonly string[] => [
  "start",
  `--address=${address}`,
  ...ray.args!(head).filter((arg) =>
    /^--(?:num-cpus|object-store-memory|dashboard-agent-listen-port|metrics-export-port|min-worker-port|max-worker-port|disable-usage-stats|block)\b/.test(
      arg,
    ),
  ),
];

export const HOOKS: Readonly<Record<string, Hook>> = {
  kafka,
  postgres,
  ray,
  spark,
  "spark-master": {},
  hdfs: {},
  "hdfs-namenode": nameNode,
};

/** Makes the passwords of this set once, where only whom they are for can read them, and says the store's address with its own. */
export const secretsScript = (database: string): string => `umask 077
cd ${SECRETS_FOLDER}
[ -e postgres ] || { head -c 24 /dev/urandom | base64 | tr '+/' '-_' >postgres.new && mv postgres.new postgres; }
IFS= read -r password <postgres
printf '{"database":"${database}"}\\n' "$password" >secrets.new && mv secrets.new secrets.json`;
