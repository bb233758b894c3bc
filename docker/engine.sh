#!/usr/bin/env bash
# Starts a Docker engine if none answers, and stops the engine that it started:
#   docker/engine.sh start | stop
#   docker/engine.sh run COMMAND...    with an engine for this command only
# All three leave an engine alone that was running before.
set -euo pipefail

RUN=/run/fedsiege
PID_FILE=$RUN/dockerd.pid
LOG=$RUN/dockerd.log
PATIENCE_S=60

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Prints the process id of the engine that this script started; fails if it does not run. The id in
# the file may belong to another process by now.
ours() {
    local pid
    pid=$(cat "$PID_FILE" 2>/dev/null) || return
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && echo "$pid"
}

start() {
    if ! command -v docker >/dev/null; then
        echo 'Docker is not installed. On Debian: apt-get install docker.io docker-compose' >&2
        exit 1
    fi
    if answers; then
        return
    fi
    if ! command -v dockerd >/dev/null || [ "$(id -u)" != 0 ]; then
        echo 'No Docker engine answers, and only root, with dockerd installed, can start one.' >&2
        exit 1
    fi
    mkdir -p $RUN
    # In a session of its own, so that Ctrl-C in this terminal does not end it.
    setsid dockerd --pidfile $PID_FILE >$LOG 2>&1 </dev/null &
    local started=$!
    while ! answers; do
        if ! kill -0 $started 2>/dev/null || [ $SECONDS -ge $PATIENCE_S ]; then
            echo "The engine did not start; the end of $LOG:" >&2
            tail -n 20 $LOG >&2
            exit 1
        fi
        sleep 0.2
    done
    echo "Docker engine started, $SECONDS s; docker/engine.sh stop ends it"
}

stop() {
    local pid
    pid=$(ours) || return 0
    kill "$pid"
    tail --pid="$pid" -f /dev/null
    echo 'Docker engine stopped'
}

run() {
    if ! answers; then
        start
        trap stop EXIT
    fi
    "$@"
}

case "${1-}" in
    start | stop | run) "$@" ;;
    *) echo 'docker/engine.sh start | stop | run COMMAND...' >&2; exit 2 ;;
esac
