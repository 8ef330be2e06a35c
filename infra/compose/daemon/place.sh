# Where up.sh and down.sh keep everything of their engine; read by both.
place=${MILLRACE_DOCKER:-${TMPDIR:-/tmp}/millrace-docker}
export DOCKER_HOST=unix://$place/docker.sock
