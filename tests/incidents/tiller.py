"""A gRPC service that reads from an API server through a client with a limit, as client-go's."""

import argparse
import http.client
import threading
import time

import lab
import rpc

METHOD = "/hapi.services.tiller.ReleaseService/GetReleaseStatus"


class Limiter:
    """The token bucket of client-go's flowcontrol: who finds no token reserves the next one and waits for
    it. Returns how long, in seconds."""

    def __init__(self, qps, burst):
        self.qps, self.burst = qps, burst
        self.tokens, self.at = burst, time.monotonic()
        self.lock = threading.Lock()

    def accept(self):
        with self.lock:
            now = time.monotonic()
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.qps) - 1
            self.at = now
            wait = max(0, -self.tokens / self.qps)
        time.sleep(wait)
        return time.monotonic() - now


class Api:
    """The API server's client: one limit, a connection per thread."""

    def __init__(self, address, limiter):
        self.address, self.limiter, self.local = address, limiter, threading.local()

    def get(self, path):
        """The answer, and how long the limit kept it from being asked for, in seconds."""
        waited = self.limiter.accept()
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection(self.address, timeout=20)
        self.local.connection.request("GET", path)
        return self.local.connection.getresponse().read(), waited


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--log", required=True)
    flags.add_argument("--api", required=True)
    flags.add_argument("--qps", type=float, default=5)
    flags.add_argument("--burst", type=int, default=10)
    flags = flags.parse_args()
    log = lab.Log(flags.log)
    api = Api(flags.api, Limiter(flags.qps, flags.burst))

    def status(request, context):
        start = time.time_ns()
        body, waited = api.get(f"/api/v1/namespaces/kube-system/configmaps/{request.decode()}")
        log.write(method=METHOD, start=start, end=time.time_ns(), waited=int(waited * 1e9))
        return body

    rpc.serve({METHOD: status}, 44134)


main()
