"""A gRPC service that answers with its own name, and a place for health checkers to ask."""

import argparse
import itertools
import threading
import time

import lab
import rpc

METHOD = "/items.v1.Items/Get"


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--log", required=True)
    flags.add_argument("--name", required=True)
    flags.add_argument("--delay", type=float, default=0.005, help="seconds before an answer")
    flags.add_argument("--slow-every", type=int, default=0, help="each so many calls, one takes 4 s")
    flags.add_argument("--connection-age", type=int, default=0, help="milliseconds until GOAWAY")
    flags.add_argument("--mute", action="store_true", help="never answer a heartbeat")
    flags = flags.parse_args()
    log, numbers = lab.Log(flags.log), itertools.count(1)

    def get(request, context):
        start = time.time_ns()
        slow = flags.slow_every and next(numbers) % flags.slow_every == 0
        time.sleep(4 if slow else flags.delay)
        log.write(method=METHOD, start=start, end=time.time_ns(), what=flags.name)
        return flags.name.encode()

    def heartbeat(number):
        if flags.mute:
            time.sleep(60)
        return b"alive"

    health = lab.Log(flags.log + ".heartbeats")
    threading.Thread(target=lab.serve, args=(heartbeat, health, 8081), daemon=True).start()
    age = [("grpc.max_connection_age_ms", flags.connection_age)] if flags.connection_age else []
    rpc.serve({METHOD: get}, 50051, options=age + [("grpc.max_connection_age_grace_ms", 500)])


main()
