#!/bin/sh
# Runs a worker with a secret that lasts as long as its container, so that a worker that died and
# was started again by the engine finds its participants' places: lasting-secret.sh COMMAND...
# The secret is the container's full number, of which its host name gives away a fifth; a read-only
# container could not keep one of its own making. Where there is none the worker makes one up.
set -eu
number=$(sed -n 's#.*/\([0-9a-f]\{64\}\)/hostname .*#\1#p' /proc/self/mountinfo)
export FEDSIEGE_SECRET="${FEDSIEGE_SECRET:-$number}"
exec "$@"
