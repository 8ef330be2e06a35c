#!/usr/bin/env bash
# The line in containers, for whoever has Docker and nothing else: what `make compose-up`, `compose-demo` and `compose-down` run. Asks the
# machine first what Docker would say later and worse: a daemon that answers and is new enough, memory for the limits, free ports,
# and a volume that this version can read.
#
#   infra/compose/compose.sh up      # SIZE=large for compose.large.yaml
#   infra/compose/compose.sh demo    # and the whole line: train, stream, serve
#   infra/compose/compose.sh down    # VOLUMES=1: the data too
set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=infra/compose/generated/facts.sh
. "$here/generated/facts.sh"

# Health checks that look often until a service works came with this engine; Compose, with what reads them.
ENGINE_MIN=25
COMPOSE_MIN=2.24
# The slowest start seen on two cores that others use as well, three times over.
WAIT_S=900

refuse() {
  echo "Cannot use Docker: $1" >&2
  echo "  next: $2" >&2
  exit 2
}
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

case "${SIZE:-small}" in
  small) file=$file_small memory=$memory_small ;;
  large) file=$file_large memory=$memory_large ;;
  *) refuse "expected SIZE=small or SIZE=large, got \"$SIZE\"" "leave it out for small" ;;
esac
compose() { docker compose --file "$here/$file" "$@"; }

engine() {
  command -v docker >/dev/null || refuse "expected a client, found no \"docker\"" "install Docker Engine $ENGINE_MIN or newer with Compose"
  docker compose version >/dev/null 2>&1 || refuse "expected Compose, the client has no \"docker compose\"" "install the plugin docker-compose, $COMPOSE_MIN or newer"
  local compose_version said
  compose_version=$(docker compose version --short)
  at_least "$COMPOSE_MIN" "${compose_version#v}" || refuse "expected Compose $COMPOSE_MIN or newer, got $compose_version" "update the plugin docker-compose"
  said=$(docker version --format '{{.Server.Version}}' 2>&1) ||
    refuse "expected a daemon that answers, got: $(printf '%s' "$said" | tail -1)" "start it (systemctl start docker), or let DOCKER_HOST name one"
  at_least "$ENGINE_MIN" "$said" || refuse "expected engine $ENGINE_MIN or newer, got $said" "update Docker"
}

room() {
  local has
  has=$(($(docker info --format '{{.MemTotal}}') / 1048576))
  [ "$has" -ge "$memory" ] ||
    refuse "the containers may take $memory MiB together (size ${SIZE:-small}), the engine has $has MiB" "give it more, or lower limits in ts/topology/compose/sizes.ts and run \"npm run generate\""
}

port_of() { eval "printf '%s' \"\${$1:-$2}\""; }

free_ports() {
  local ours entry setting port
  ours=$(docker ps --filter label=com.docker.compose.project=millrace --format '{{.Ports}}')
  for entry in $ports; do
    setting=${entry%:*}
    port=$(port_of "$setting" "${entry#*:}")
    case "$ours" in *"127.0.0.1:$port->"*) continue ;; esac
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      refuse "port $port is in use on this machine" "end what holds it, or move ours: $setting=$((port + 10000))"
    fi
  done
}

# A volume that another version of PostgreSQL made: the container would refuse it again and again until the wait is over.
same_data() {
  local made
  docker volume inspect millrace_postgres >/dev/null 2>&1 || return 0
  # None is there yet where a first start was cut short.
  made=$(compose run --rm --no-deps -T postgres cat data/PG_VERSION 2>/dev/null) || return 0
  [ "$made" = "$postgres_major" ] ||
    refuse "expected data of PostgreSQL $postgres_major on the volume millrace_postgres, got version $made" "start the Millrace that made it, with the same volumes, and take out what is needed; or remove it: VOLUMES=1 make compose-down"
}

# What is wrong, in the words of who knows: the end of the log of what does not work.
blame() {
  local name
  compose ps --all --format 'table {{.Service}}\t{{.Status}}' >&2
  for name in $(compose ps --all --format '{{.Service}} {{.Status}}' | grep -Ev 'Up .*\(healthy\)|^secrets Exited \(0\)|Created' | cut -d' ' -f1); do
    echo "--- $name ends with:" >&2
    compose logs --no-log-prefix --tail 15 "$name" >&2
  done
}

up() {
  engine
  room
  free_ports
  compose build || {
    echo "Cannot build the images: see above. The first build takes packages from Debian, PyPI, npm and Maven; without network only what is built already starts: docker compose --file infra/compose/$file up -d" >&2
    exit 1
  }
  same_data
  compose up --detach --wait --wait-timeout "$WAIT_S" || {
    blame
    echo "Cannot start the line in containers: expected all of them to work within $WAIT_S s, see above; \"make compose-down\" removes what is there" >&2
    exit 1
  }
}

addresses() {
  local entry setting name
  echo
  for entry in $ports; do
    setting=${entry%:*}
    name=${setting#MILLRACE_}
    printf '  %-15s http://127.0.0.1:%s\n' "$(printf '%s' "${name%_PORT}" | tr '_A-Z' ' a-z')" "$(port_of "$setting" "${entry#*:}")"
  done
  printf '\n  curl http://127.0.0.1:%s%s\n' "$(port_of MILLRACE_API_PORT 8000)" "$1"
}

case "${1:-}" in
  up)
    up
    addresses /jobs
    echo "  nothing is trained or sent yet: make compose-demo does"
    ;;
  demo)
    up
    compose exec -T millrace millrace demo --detach
    addresses /predictions/new-york
    ;;
  down)
    engine
    # Whatever the size: the names are the same.
    compose --profile hdfs down --remove-orphans ${VOLUMES:+--volumes}
    ;;
  *)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
