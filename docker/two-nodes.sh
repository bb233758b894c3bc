#!/usr/bin/env bash
# Simulates two machines on one, to test a Swarm: a Docker engine each, joined by a bridge.
#   docker/two-nodes.sh check           fails if that is impossible; with status 3 if the kernel cannot
#   docker/two-nodes.sh up [IMAGE...]   starts and joins both, loads images (fedsiege:latest) into them
#   docker/two-nodes.sh exec-on N COMMAND...   runs a command on node N: its network, its engine
#   docker/two-nodes.sh kill N          cuts off node N: no network, no engine, no containers
#   docker/two-nodes.sh start N         starts node N again, with the disk it had
#   docker/two-nodes.sh down            removes everything, also what a crash left
# Node 1 is the Swarm's manager. Needs root, and an engine that has the images. The nodes' disks are
# in memory, where each image takes its full size twice.
#
# A node is a set of namespaces: network, mounts, host name and processes. Its engine is the first
# process, so that the kernel ends all processes of the node with it.
set -euo pipefail

RUN=/run/fedsiege-nodes
DISKS=/var/lib/fedsiege-nodes
BRIDGE=fedsiege-nodes
SUBNET=10.213.71
NODES='1 2'
PATIENCE_S=60
# Some engines make the firewall drop packets that only cross a bridge.
PASS="-i $BRIDGE -o $BRIDGE -j ACCEPT"

refuse() {  # refuse MESSAGE [STATUS]
    echo "$1" >&2
    exit "${2-1}"
}

check() {
    [ "$(id -u)" = 0 ] || refuse 'Only root can make networks and start engines.'
    local tool kind
    for tool in docker dockerd ip iptables nsenter unshare; do
        command -v $tool >/dev/null ||
            refuse "$tool is not installed. On Debian: apt-get install docker.io iproute2 iptables"
    done
    for kind in bridge veth 'vxlan id 7 dstport 4789'; do  # tried, rather than looked up
        # shellcheck disable=SC2086
        ip link add fedsiege-try type $kind 2>/dev/null ||
            refuse "This kernel cannot make network interfaces of the type ${kind%% *}." 3
        ip link delete fedsiege-try
    done
}

on() {  # on N COMMAND...: with node N's engine
    DOCKER_HOST=unix://$RUN/$1.sock "${@:2}"
}

exec-on() {
    local pid
    pid=$(holder "$1") || refuse "Node $1 is off."
    # shellcheck disable=SC2016
    DOCKER_HOST=unix://$RUN/$1.sock \
        nsenter --target "$(pgrep -P "$pid")" --net --mount --uts --pid \
        sh -c 'cd "$0" && exec "$@"' "$PWD" "${@:2}"
}

# Prints the id of node N's process; fails if the node is off. The id in the file may belong to
# another process by now.
holder() {
    local pid
    pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return
    grep --quiet "fedsiege-nodes/$1" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

start() {
    local n=$1
    mkdir -p $RUN $DISKS/"$n" /run/docker /run/containerd
    ip netns add fedsiege-"$n"
    ip link add fedsiege-"$n" type veth peer name eth0 netns fedsiege-"$n"
    ip link set fedsiege-"$n" master $BRIDGE up
    ip -n fedsiege-"$n" address add $SUBNET."$n"/24 dev eth0
    ip -n fedsiege-"$n" link set eth0 up
    ip -n fedsiege-"$n" link set lo up
    # In a session of its own, so that Ctrl-C in this terminal does not end it.
    # shellcheck disable=SC2016
    setsid nsenter --net=/run/netns/fedsiege-"$n" \
        unshare --mount --uts --pid --fork --kill-child --mount-proc sh -c '
            mount -t tmpfs tmpfs /run/docker
            mount -t tmpfs tmpfs /run/containerd
            hostname "node-$1"
            exec dockerd --data-root "$2" --host "unix://$3.sock" --pidfile /run/docker/pid \
                --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/fedsiege-node-$1"
        ' dockerd "$n" $DISKS/"$n" $RUN/"$n" >$RUN/"$n".log 2>&1 </dev/null &
    local started=$! end=$((SECONDS + PATIENCE_S))
    echo $started >$RUN/"$n".pid
    until on "$n" docker version >/dev/null 2>&1; do
        if ! kill -0 $started 2>/dev/null || [ $SECONDS -ge $end ]; then
            tail -n 20 $RUN/"$n".log >&2
            refuse "The engine of node $n did not start; above is the end of its log."
        fi
        sleep 0.1
    done
}

kill-node() {
    local n=$1 pid
    ip link delete fedsiege-"$n" 2>/dev/null || true
    if pid=$(holder "$n"); then
        pkill -KILL -P "$pid" || true  # the first process of the node; the others go with it
        tail --pid="$pid" -f /dev/null
    fi
    ip netns delete fedsiege-"$n" 2>/dev/null || true
    rm -f $RUN/"$n".*
    find /sys/fs/cgroup -depth -type d -path "*/fedsiege-node-$n*" -exec rmdir {} + 2>/dev/null || true
}

# Each image is exported once and loaded into both nodes.
give() {
    docker save "$@" | tee >(on 1 docker load --quiet >/dev/null; echo $? >$RUN/loaded) |
        on 2 docker load --quiet >/dev/null
}

up() {
    check
    down
    trap down EXIT
    ip link add $BRIDGE type bridge
    ip address add $SUBNET.254/24 dev $BRIDGE
    ip link set $BRIDGE up
    # shellcheck disable=SC2086
    iptables -I FORWARD $PASS
    mkdir -p $DISKS
    mount -t tmpfs fedsiege-nodes $DISKS
    local n token
    for n in $NODES; do
        start "$n"
        echo "node $n started, $SECONDS s"
    done
    # A lost node is noticed after some heartbeats, which are 5 s apart by default.
    on 1 docker swarm init --advertise-addr $SUBNET.1 --dispatcher-heartbeat 1s >/dev/null
    token=$(on 1 docker swarm join-token --quiet worker)
    on 2 docker swarm join --advertise-addr $SUBNET.2 --token "$token" $SUBNET.1:2377 >/dev/null
    echo "joined, $SECONDS s"
    give "${@:-fedsiege:latest}"
    echo "images loaded, $SECONDS s"
    trap - EXIT
}

down() {
    local n
    for n in $NODES; do
        kill-node "$n"
    done
    # shellcheck disable=SC2086
    while iptables -D FORWARD $PASS 2>/dev/null; do :; done
    ip link delete $BRIDGE 2>/dev/null || true
    while umount $DISKS 2>/dev/null; do :; done
    rm -rf $RUN $DISKS
}

case "${1-}" in
    check | up | down | exec-on | start) "$@" ;;
    kill) kill-node "$2" ;;
    *) sed -n '2,10s/^# \?//p' "$0" >&2; exit 2 ;;
esac
