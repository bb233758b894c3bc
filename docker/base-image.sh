#!/usr/bin/env bash
# Makes sure that the base image exists: docker/base-image.sh
# If it can be neither found nor pulled, an equal one is made from Debian's packages, under the same
# name, which needs root and debootstrap.
set -euo pipefail

IMAGE=python:3.11-slim-bookworm
PULL_LIMIT_S=300
CERTIFICATES=etc/ssl/certs/ca-certificates.crt

if docker image inspect $IMAGE >/dev/null 2>&1; then
    exit
fi
if timeout $PULL_LIMIT_S docker pull --quiet $IMAGE; then
    exit
fi
echo "$IMAGE cannot be pulled; making it from Debian's packages, a minute or so"
if ! command -v debootstrap >/dev/null || [ "$(id -u)" != 0 ]; then
    echo 'That needs root and debootstrap. On Debian: apt-get install debootstrap' >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
if ! debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
    bookworm "$root" >"$work/log" 2>&1; then
    tail -n 20 "$work/log" >&2
    exit 1
fi
ln -s python3 "$root/usr/bin/python"
# A machine behind a proxy may trust a CA that Debian does not; pip in the image must trust it too.
if [ -f /$CERTIFICATES ]; then
    cp /$CERTIFICATES "$root/$CERTIFICATES"
fi
tar -C "$root" -c --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' . |
    docker import --change "ENV PIP_CERT=/$CERTIFICATES" - $IMAGE
docker image inspect --format "$IMAGE: {{.Size}} bytes" $IMAGE
