#!/bin/sh
# The program of the container "millrace": puts the contract in force, supervises the jobs and, the first time, starts the API. What
# else should run is asked for by `millrace submit` or `millrace demo` in this container; it is kept on the volume, and goes on from there
# when the container comes back.
set -eu
millrace apply
first=
[ -e "$MILLRACE_HOME/default/desired.json" ] || first=yes
millrace run &
supervisor=$!
# Ending the supervisor leaves its jobs running. Those that are processes of this container end with it, each after its current batch.
trap 'kill -TERM "$supervisor" 2>/dev/null' TERM INT
if [ -n "$first" ]; then millrace submit "${MILLRACE_PIPELINE:-weather}-serve" || echo "millrace: the API is not up yet, the supervisor goes on trying" >&2; fi
code=0
wait "$supervisor" || code=$?
# A shell that a signal wakes has not waited to the end.
while kill -0 "$supervisor" 2>/dev/null; do wait "$supervisor" || code=$?; done
kill -TERM -1 2>/dev/null || true
timeout 8 pidwait node || true
exit "$code"
