#!/usr/bin/env bash
# Fills wheels/ with the locked set, for an image build that cannot see this machine's wheels:
#   docker/wheels.sh
# Does nothing where pip has no find-links folder: there the build fetches what it needs itself.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
STAMP=wheels/.made-from

if ! "$PYTHON" -m pip config list | grep find-links >/dev/null; then
    exit
fi
made_from=$(cat pyproject.toml requirements.lock | sha256sum)
if [ "$(cat $STAMP 2>/dev/null)" = "$made_from" ]; then
    exit
fi
rm -rf wheels
mkdir wheels
# For the image's Python, whatever this machine's is. What it runs with and what builds it go into
# environments of their own there, and need not fit together: each has a protobuf of its own.
for purpose in run build; do
    "$PYTHON" -m pip download -qq --dest wheels --python-version 3.11 --only-binary :all: \
        --constraint requirements.lock --requirement <("$PYTHON" docker/needs.py $purpose)
done
echo "$made_from" >$STAMP
echo "wheels/: $(du -sh wheels | cut -f1)"
