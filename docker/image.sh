#!/usr/bin/env bash
# Builds the image of the working tree, fedsiege:latest, and tags it by version too: docker/image.sh
# Needs a running Docker engine. What the build cannot pull or download is made first.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
docker/base-image.sh
docker/wheels.sh
docker build --quiet --build-arg VERSION="$version" \
    --tag fedsiege:latest --tag "fedsiege:$version" "$@" . >/dev/null
docker image inspect --format "fedsiege:$version: {{.Size}} bytes" fedsiege:latest
