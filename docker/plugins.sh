#!/bin/sh
# Prints additions to docker-compose.yml that give plug-in files to all services, read-only:
#   docker/plugins.sh FILE.py[:FILE.py...] >plugins.yml
#   docker compose -f docker-compose.yml -f plugins.yml up
set -eu
variable= mounts= number=0
IFS=:
for file in $1; do
    if [ ! -f "$file" ]; then
        echo "PLUGIN='$file' is not possible: a Python file, and there is none" >&2
        exit 2
    fi
    number=$((number + 1))
    path="$(cd "$(dirname "$file")" && pwd)/$(basename "$file")"
    target="/plugins/$number/$(basename "$file")"
    variable="$variable${variable:+:}$target"
    # In JSON, which YAML contains, with the dollar signs that Compose would replace doubled.
    entry=$(printf '{"type": "bind", "source": "%s", "target": "%s", "read_only": true}' \
        "$(printf %s "$path" | sed 's/[\\"]/\\&/g; s/\$/$$/g')" \
        "$(printf %s "$target" | sed 's/[\\"]/\\&/g; s/\$/$$/g')")
    mounts="$mounts      - $entry
"
done
variable=$(printf %s "$variable" | sed 's/[\\"]/\\&/g; s/\$/$$/g')
echo 'version: "3.8"'
echo 'services:'
for service in aggregator simulator client attacker; do
    echo "  $service:"
    echo "    environment: [\"FEDSIEGE_PLUGINS=$variable\"]"
    echo '    volumes:'
    printf %s "$mounts"
done
