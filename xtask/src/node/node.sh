#!/bin/busybox sh
# Runs the node and prints markers that tell `cargo xtask node` what each step printed and how it ended.
export PATH=/usr/sbin:/usr/bin

. /lab/step.sh

value() {
    busybox sed "s/.*$1=\([^ ]*\).*/\1/" /proc/cmdline
}

step release busybox uname -r
step node /lab/tracer-lab node --driver "$(value driver)" --pods "$(value pods)" --minutes "$(value minutes)" \
    --objects /lab/objects.json --agent-image /lab/agent.tar --lab-image /lab/pods.tar --out /lab/report.json
step report busybox cat /lab/report.json
