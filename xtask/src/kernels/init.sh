#!/bin/busybox sh
# The first process of the test VM: mounts what a node has, loads the modules, runs the steps and powers
# off. Markers on the console tell `cargo xtask kernels` what each step printed and how it ended.
# /bin/sh is there already and stays.
/bin/busybox --install -s /bin 2> /dev/null
export PATH=/usr/sbin:/bin HOME=/

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run /tmp /var/run /var/log/nginx /var/lib/nginx
mount -t devpts devpts /dev/pts
for folder in /dev/shm /run /tmp; do mount -t tmpfs tmpfs "$folder"; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing

. /step.sh

load_modules() {
    for module in /modules/*.ko; do
        insmod "$module" || return 1
    done
}

# A veth pair across two namespaces: what the lab stands on. (The path is for this shell, which prefers
# busybox's own ip.)
try_network() {
    ip=/usr/sbin/ip
    $ip link set lo up &&
        $ip netns add probe &&
        $ip link add left type veth peer name right netns probe &&
        $ip netns del probe
}

try_programs() {
    dnsmasq --version && nginx -v && tcpdump --version
}

step release uname -r
step modules load_modules
step network try_network
step programs try_programs
if [ -x /usr/sbin/tracer ]; then
    step doctor tracer doctor
    step demo tracer-lab demo --tracer /usr/sbin/tracer --out /tmp/demo --requests "$requests" --least-share 0.4
    step summary cat /tmp/demo/summary.json
fi
poweroff -f
