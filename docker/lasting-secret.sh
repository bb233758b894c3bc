#!/bin/sh
# Runs a worker so that one that died and was started again finds its participants' places:
#   lasting-secret.sh COMMAND...
# Its secret lasts as long as its container: it is the container's full number, of which the host
# name gives away a fifth; a read-only container could not keep one of its own making. Where there
# is none the worker makes one up.
# On a Swarm, where a container is not started again but replaced, on whatever machine, what lasts
# is the replica: SWARM_TASK holds its name and, as the secret, the number of its service.
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
