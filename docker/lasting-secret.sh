#!/bin/sh
# Runs a worker with a secret that stays the same when its container is started again, so that it
# gets its former participants:
#   lasting-secret.sh COMMAND...
# The secret is the container's full id, of which the host name shows only a fifth; a read-only
# container could not store one. If there is no id, the worker makes up a secret.
# A Swarm replaces a container instead of starting it again, possibly on another machine. There the
# replica keeps its secret: SWARM_TASK holds the replica's name and, as the secret, its service's id.
set -eu
case "${SWARM_TASK-}" in
    '' | *'{{'*) lasting=$(sed -n 's#.*/\([0-9a-f]\{64\}\)/hostname .*#\1#p' /proc/self/mountinfo) ;;
    *)
        lasting=${SWARM_TASK#* }
        case " $*" in
            *' --name'* | *' --certs'* | *' --identities'* | *' --place'*) ;;  # it has a name
            *) set -- "$@" --name "${SWARM_TASK% *}" ;;
        esac
        ;;
esac
export FEDSIEGE_SECRET="${FEDSIEGE_SECRET:-$lasting}"
exec "$@"
