# Runs a step of a VM, between markers on the console: `console.rs` reads what it printed and how it ended.
step() {
    name=$1
    shift
    echo
    echo "@@begin $name"
    "$@" 2>&1
    code=$?
    echo
    echo "@@end $name $code"
}
