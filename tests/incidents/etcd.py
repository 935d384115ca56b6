"""A client of etcd, written by hand down to the messages: what it sends is what the story says.

`fill` writes the keys; `serve` is a backend that reads some of them for each request.
"""

import argparse

import grpc

import lab
import rpc

AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"
RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"
# By default 4 MB are the end.
OPTIONS = [("grpc.max_receive_message_length", -1)]


def varint(number):
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def message(**fields):
    """A protobuf message of fields f<number>: integers as varints, everything else as bytes."""
    encoded = b""
    for name, value in fields.items():
        number = int(name[1:])
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
        else:
            encoded += varint(number << 3 | 2) + varint(len(value)) + value
    return encoded


def token_of(response):
    """Field 2 of an AuthenticateResponse, whose field 1 is a header."""
    header = response[1]
    at = 2 + header
    return response[at + 2 : at + 2 + response[at + 1]].decode()


def fill(channel, log, keys):
    """`keys` small keys below `many/`, ten below `few/`, and values of 100 kB and 1 MB."""

    def put(key, value):
        return message(f2=message(f2=message(f1=key, f2=value)))

    for at in range(0, keys, 5000):
        puts = (put(b"many/%07d" % key, b"%032d" % (key * 7919 % keys)) for key in range(at, min(at + 5000, keys)))
        rpc.call(channel, TXN, b"".join(puts), log)
    few = b"".join(put(b"few/%d" % key, b"value") for key in range(10))
    rpc.call(channel, TXN, few + put(b"medium", b"m" * 100_000) + put(b"large", b"l" * 1_000_000), log)


class Client:
    """Reads with a token, which it gets for each call or once."""

    def __init__(self, address, log, each):
        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        self.log, self.each, self.token = log, each, None

    def range(self, what, **fields):
        if self.each or self.token is None:
            answer = self.call(AUTHENTICATE, message(f1=b"app", f2=b"apppw"), what="")
            self.token = token_of(answer)
        return self.call(RANGE, message(**fields), what)

    def call(self, method, request, what):
        metadata = [("token", self.token)] if method == RANGE else None
        answer = rpc.call(self.channel, method, request, self.log, 20, metadata, what=what)
        if answer is None:
            raise OSError(f"{method} failed")
        return answer


def reads(client, number, sick):
    """What one request reads."""
    key = b"few/%d" % (number % 10)
    client.range("linearizable", f1=key)
    client.range("serializable", f1=key, f7=1)
    if number % 5 == 0:
        client.range("value", f1=b"large" if sick else b"medium")
    if number % 10 == 1 and sick:
        # The largest value of all: etcd reads and sorts every key, and answers with one.
        client.range("sorted", f1=b"many/", f2=b"many0", f3=1, f5=2, f6=4)
    elif number % 10 == 1:
        client.range("many", f1=b"many/", f2=b"many0", f3=500, f8=1)


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("what", choices=["fill", "serve"])
    flags.add_argument("--log", required=True)
    flags.add_argument("--address", required=True)
    flags.add_argument("--keys", type=int, default=0)
    flags.add_argument("--calls-log")
    flags.add_argument("--sick", action="store_true")
    flags.add_argument("--recycle", type=int, default=0)
    flags = flags.parse_args()
    log = lab.Log(flags.log)
    if flags.what == "fill":
        return fill(grpc.insecure_channel(flags.address), log, flags.keys)

    def make_answer():
        client = Client(flags.address, lab.Log(flags.calls_log), each=flags.sick)

        def answer(number):
            reads(client, int(number), flags.sick)
            return b"done"

        return answer

    if flags.recycle:
        lab.serve_recycled(make_answer, log, flags.recycle)
    else:
        lab.serve(make_answer(), log)


main()
