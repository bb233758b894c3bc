#!/bin/sh
# Runs a command as the owner of a folder, so that its files there belong to that user on the host:
#   as-owner.sh FOLDER COMMAND...
# It does not run the command as root: a folder of root's, as Docker makes a missing one, is first given
# to OWNER, a user:group, by default the image's. Started as another user than root, it only runs
# the command.
set -eu
folder=$1
shift
if [ "$(id -u)" != 0 ]; then
    exec "$@"
fi
if [ "$(stat -c %u "$folder")" = 0 ]; then
    chown "${OWNER:-fedsiege:fedsiege}" "$folder"
fi
exec setpriv --reuid="$(stat -c %u "$folder")" --regid="$(stat -c %g "$folder")" --clear-groups \
    --no-new-privs -- "$@"
