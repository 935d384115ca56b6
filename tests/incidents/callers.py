"""Calls of one gRPC method over one channel, by several callers at a time."""

import argparse
import itertools
import threading
import time

import grpc

import lab
import rpc


def option(text):
    name, value = text.split("=", 1)
    return name, int(value) if value.isdigit() else value


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--log", required=True)
    flags.add_argument("--target", required=True)
    flags.add_argument("--method", required=True)
    flags.add_argument("--calls", type=int, default=1 << 30)
    flags.add_argument("--seconds", type=float, default=60)
    flags.add_argument("--parallel", type=int, default=1)
    flags.add_argument("--pause", type=float, default=0)
    flags.add_argument("--deadline", type=float, default=20)
    flags.add_argument("--wait", action="store_true", help="for a connection, instead of failing without")
    flags.add_argument("--option", type=option, action="append", default=[])
    flags = flags.parse_args()

    log, numbers = lab.Log(flags.log), itertools.count()
    until = time.monotonic() + flags.seconds
    channel = grpc.insecure_channel(flags.target, options=flags.option)

    def work():
        while time.monotonic() < until:
            number = next(numbers)
            if number >= flags.calls:
                return
            request = f"item-{number}".encode()
            more = dict(parallel=flags.parallel, text_as="what", wait=flags.wait)
            answer = rpc.call(channel, flags.method, request, log, flags.deadline, **more)
            if answer is None or flags.pause:
                time.sleep(flags.pause or 0.2)

    threads = [threading.Thread(target=work) for _ in range(flags.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    channel.close()


main()
