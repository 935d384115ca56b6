"""Calls servers behind one name, as many as answer its heartbeats."""

import argparse
import http.client
import itertools
import random
import socket
import threading
import time

import grpc

import lab
import rpc

METHOD = "/items.v1.Items/Get"


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--log", required=True)
    flags.add_argument("--beats-log", required=True)
    flags.add_argument("--name", required=True)
    flags.add_argument("--calls", type=int, required=True)
    flags.add_argument("--pause", type=float, default=0.05)
    flags.add_argument("--random", type=int, help="pick servers at random, from this seed")
    flags = flags.parse_args()
    log, beats = lab.Log(flags.log), lab.Log(flags.beats_log)

    found = socket.getaddrinfo(flags.name, 50051, family=socket.AF_INET, type=socket.SOCK_STREAM)
    servers = sorted({address[4][0] for address in found})
    channels = {server: grpc.insecure_channel(f"{server}:50051") for server in servers}
    alive, heard, ended = set(), threading.Barrier(len(servers) + 1), threading.Event()

    def check(server):
        for beat in itertools.count():
            ok = ask(server, beat)
            (alive.add if ok else alive.discard)(server)
            beats.write(server=server, ok=ok)
            if beat == 0:
                heard.wait()
            if ended.wait(0.5):
                return

    checkers = [threading.Thread(target=check, args=(server,), daemon=True) for server in servers]
    for checker in checkers:
        checker.start()
    heard.wait()
    pick = random.Random(flags.random)
    for number in range(flags.calls):
        usable = sorted(alive)
        server = pick.choice(usable) if flags.random else usable[number % len(usable)]
        rpc.call(channels[server], METHOD, b"item", log, deadline=5, what=server)
        time.sleep(flags.pause)
    ended.set()
    for checker in checkers:
        checker.join()


def ask(server, beat):
    """One heartbeat, on a connection of its own."""
    connection = http.client.HTTPConnection(server, 8081, timeout=0.4)
    try:
        connection.request("GET", f"/healthz/{beat}", headers={"Connection": "close"})
        return connection.getresponse().read() == b"alive"
    except OSError:
        return False
    finally:
        connection.close()


main()
