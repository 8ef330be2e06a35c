#!/usr/bin/env bash
# Ends what up.sh started, by its process id, and leaves no mount, link, rule or folder of it; the packages stay. Forwarding is set
# back to what a machine without Docker has. Does nothing where up.sh has started nothing.
set -uo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=infra/compose/daemon/place.sh
. "$here/place.sh"
[ -e "$place" ] || exit 0
pid=$(cat "$place/dockerd.pid" 2>/dev/null || true)
if [ -n "$pid" ] && [ -d "/proc/$pid" ]; then
  docker ps -aq | xargs -r docker rm -fv >/dev/null
  docker network ls -q --filter type=custom | xargs -r docker network rm >/dev/null
  kill "$pid"
  for _ in $(seq 1 300); do
    [ -d "/proc/$pid" ] || break
    sleep 0.1
  done
  if [ -d "/proc/$pid" ]; then
    echo "Cannot end dockerd: process $pid goes on; see $place/dockerd.log" >&2
    exit 1
  fi
fi
awk -v r="$place/" 'index($2, r) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount "$mount"; done
for tool in iptables ip6tables; do
  command -v "$tool" >/dev/null || continue
  for table in filter nat; do
    "$tool-save" -t "$table" | grep -E '^-A' | grep -E 'DOCKER|docker0' | sed 's/^-A/-D/' |
      while read -r rule; do eval "$tool -t $table $rule"; done
    chains=$("$tool-save" -t "$table" | sed -n 's/^:\(DOCKER[^ ]*\) .*/\1/p')
    for chain in $chains; do "$tool" -t "$table" -F "$chain"; done
    for chain in $chains; do "$tool" -t "$table" -X "$chain"; done
  done
  "$tool" -P FORWARD ACCEPT
done
ip link delete docker0 2>/dev/null
sysctl -qw net.ipv4.ip_forward=0
# Control groups that an engine leaves empty.
find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -name docker 2>/dev/null | while read -r group; do
  find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
done
rm -rf "$place" /run/docker /run/containerd
