"""A client of a TLS server: over a kept connection, which is renewed now and then."""

import argparse
import http.client
import json
import os
import random
import ssl
import sys
import time

RENEW = 40
TRIES = 50


class Client:
    def __init__(self, host, authority):
        self.host, self.connection = host, None
        self.context = ssl.create_default_context(cafile=authority)
        self.context.check_hostname = False

    def ask(self, path):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(self.host, timeout=10, context=self.context)
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def persist(client, path, count):
    """Asks until there is an answer: the server may restart."""
    for _ in range(TRIES):
        try:
            return client.ask(path)
        except (OSError, http.client.HTTPException) as error:
            last = error
            client.close()
            count["again"] += 1
            time.sleep(0.1)
    print(f"{path}: {last!r}", file=sys.stderr)
    return 0


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--log")
    flags.add_argument("--target", required=True)
    flags.add_argument("--authority", required=True)
    flags.add_argument("--rate", type=float, required=True)
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--count", required=True)
    flags = flags.parse_args()
    client, pick = Client(flags.target, flags.authority), random.Random(flags.seed)
    count, written = {"ok": 0, "again": 0, "failed": 0}, 0.0
    while True:
        time.sleep(pick.uniform(0.5, 1.5) / flags.rate)
        status = persist(client, "/large" if pick.random() < 0.1 else "/", count)
        count["ok" if status == 200 else "failed"] += 1
        if pick.randrange(RENEW) == 0:
            client.close()
        if time.monotonic() - written > 1:
            written = time.monotonic()
            with open(flags.count + ".draft", "w") as draft:
                json.dump(count, draft)
            os.rename(flags.count + ".draft", flags.count)


main()
