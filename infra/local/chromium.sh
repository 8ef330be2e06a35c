#!/bin/sh
# Makes sure a Chromium is at hand for the browser tests: takes the one that is there, else Debian's by apt.
# Called by `make test-browser`. Without apt, or without the right to use it, it says so and succeeds: the tests
# then skip themselves and name the reason. Does not download a browser from anywhere else.
set -eu

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then
    exit 0
  fi
done

if ! command -v apt-get >/dev/null 2>&1; then
  echo "No Chromium and no apt-get here: install a Chromium or set MILLRACE_CHROMIUM; the browser tests are skipped"
  exit 0
fi

sudo=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
  else
    echo "No Chromium, and apt-get needs root: run \"apt-get install chromium\" once; the browser tests are skipped"
    exit 0
  fi
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# One attempt with the package lists as they are, one with fresh ones: a fresh machine has none.
if ! DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends chromium fonts-dejavu-core >"$log" 2>&1; then
  if ! { $sudo apt-get update && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } >"$log" 2>&1; then
    tail -n 5 "$log"
    echo "apt-get could not install chromium; the browser tests are skipped"
  fi
fi
