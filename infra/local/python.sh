#!/bin/sh
# Prints the path of a Python that can carry the environments: 3.11 to 3.13 with venv and ensurepip, the machine's
# own python3 first. MILLRACE_PYTHON names another one. Called by `make setup`; `millrace doctor` says the same.
for name in "${MILLRACE_PYTHON:-}" python3 python3.13 python3.12 python3.11; do
  [ -n "$name" ] || continue
  if "$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then
    # Marked: what sitecustomize and others print at a start or an end stands on the same stream.
    "$name" -c 'import sys; print("\nexecutable=" + sys.executable)' | sed -n 's/^executable=//p'
    exit 0
  fi
done
echo "No Python 3.11 to 3.13 with the venv module found: install python3 and python3-venv, or set MILLRACE_PYTHON" >&2
exit 1
