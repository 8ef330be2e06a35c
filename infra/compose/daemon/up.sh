#!/usr/bin/env bash
# Starts a Docker engine of its own on a machine that has none and can have none of an image registry: CI, and the like of it.
# Root on Debian 12 with nothing else on it; on a person's own machine this has no business. Takes the engine from Debian, starts
# it by hand below $MILLRACE_DOCKER, and makes the one base image that infra/compose/Dockerfile names. down.sh takes all of it away.
#
#   infra/compose/daemon/up.sh            # engine, then debian:bookworm-slim
#   infra/compose/daemon/up.sh --engine   # the engine alone
#   eval "$(infra/compose/daemon/up.sh --env)"   # what a client needs to find it; starts nothing
set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=infra/compose/daemon/place.sh
. "$here/place.sh"

if [ "${1:-}" = "--env" ]; then
  # The address: a machine that is itself a container would otherwise be looked for behind the bridge. Ryuk: its image cannot be had.
  printf 'export DOCKER_HOST=%q TESTCONTAINERS_RYUK_DISABLED=true TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1\n' "$DOCKER_HOST"
  exit 0
fi
sources=/etc/apt/sources.list.d/debian.sources
if [ "$(id -u)" != 0 ] || ! grep -q '^VERSION_CODENAME=bookworm' /etc/os-release || [ ! -e "$sources" ]; then
  echo "Cannot start a Docker engine here: expected root on Debian 12; start one of your own, Millrace takes what answers" >&2
  exit 2
fi

started=$SECONDS
step() { echo "docker: $1 ($((SECONDS - started)) s)"; }
fail() {
  echo "Cannot $1; the end of $2:" >&2
  tail -20 "$2" >&2
  exit 1
}
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$place"

# Of this Debian what is bound to its libc; of the next one engine, client, Compose and buildx, which need nothing newer. The next
# one's package lists lie in a folder of their own, so the machine's sources stay as they are.
install() { apt-get install -y -qq --no-install-recommends "$@" >>"$place/apt.log" 2>&1 || fail "install $*" "$place/apt.log"; }
if ! docker compose version >/dev/null 2>&1 || ! command -v dockerd >/dev/null || ! command -v runc >/dev/null; then
  apt-get update -qq >>"$place/apt.log" 2>&1 || fail "read the package lists" "$place/apt.log"
  install iptables runc tini
  step "packages of this Debian"
  mkdir -p "$place"/apt/{lists/partial,archives/partial}
  sed 's/bookworm/trixie/g' "$sources" >"$place/apt/next.sources"
  cat >"$place/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$place/apt/next.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$place/apt/lists";
Dir::Cache "$place/apt";
CONF
  export APT_CONFIG=$place/apt/apt.conf
  apt-get update -qq >>"$place/apt.log" 2>&1 || fail "read the next Debian's package lists" "$place/apt.log"
  install docker.io docker-cli containerd docker-compose docker-buildx
  unset APT_CONFIG
fi
step "engine $(dockerd --version | cut -d, -f1 | cut -d' ' -f3), Compose $(docker compose version --short)"

answers() { docker version >/dev/null 2>&1; }
if ! answers; then
  # Packets as large as those of the machine's own link: larger ones would vanish on the way out.
  link=$(ip -o route get 1 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')
  mtu=$(cat "/sys/class/net/${link:-none}/mtu" 2>/dev/null || echo 1400)
  # It outlives us by hours: a file that whoever called has open, a lock perhaps, is not its own to keep.
  (
    for fd in /proc/self/fd/*; do [ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"; done
    exec setsid nohup dockerd --data-root "$place/data" --exec-root "$place/exec" --pidfile "$place/dockerd.pid" \
      -H "$DOCKER_HOST" --storage-driver overlay2 --mtu "$mtu"
  ) >"$place/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq 1 300); do
    answers && break
    sleep 0.1
  done
  answers || fail "start dockerd" "$place/dockerd.log"
fi
step "daemon $(docker version --format '{{.Server.Version}}')"
[ "${1:-}" = "--engine" ] && exit 0

# The base of all our images, from the machine's own Debian mirror, with the authorities it trusts beside Debian's: once
# ca-certificates is installed in it, every client there trusts what this machine trusts. The folders of manual pages stay, empty:
# Java's package links into them.
base=$(sed -n 's/^FROM \(debian:[^ ]*\) AS base$/\1/p' "$here/../Dockerfile")
if ! docker image inspect "$base" >/dev/null 2>&1; then
  command -v mmdebstrap >/dev/null || install mmdebstrap
  bundle=/etc/ssl/certs/ca-certificates.crt
  mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='for n in 1 2 3 4 5 6 7 8; do mkdir -p "$1/usr/share/man/man$n"; done' \
    --customize-hook='mkdir -p "$1/usr/local/share/ca-certificates"; for f in /usr/local/share/ca-certificates/*.crt; do [ -e "$f" ] && cp "$f" "$1/usr/local/share/ca-certificates/"; done; true' \
    bookworm - "$sources" 2>"$place/base.log" |
    docker import --change 'CMD ["bash"]' --change "ENV SSL_CERT_FILE=$bundle" --change "ENV PIP_CERT=$bundle" \
      --change "ENV NODE_EXTRA_CA_CERTS=$bundle" - "$base" >/dev/null || fail "make $base" "$place/base.log"
fi
step "$base"
