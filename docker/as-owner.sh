#!/bin/sh
# Runs a command as the owner of a folder, so that what it writes there is theirs on the host too:
#   as-owner.sh FOLDER COMMAND...
# Root is never that owner: a folder of root's, as the engine makes it where there is none, is given
# to OWNER, a user:group, by default this image's. Started as another user than root, it just runs the command.
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
