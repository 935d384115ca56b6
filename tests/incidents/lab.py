"""What the lab's programs in Python share: a log, and an HTTP server that answers numbered requests."""

import ctypes
import json
import os
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

PR_SET_PDEATHSIG = 1


class Log:
    """One JSON object per line, written at once; times are unix nanoseconds."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
        self.lock = threading.Lock()

    def write(self, **line):
        with self.lock:
            self.file.write(json.dumps(line) + "\n")


def numbered_handler(answer, log):
    """A handler that answers GET /v1/items/<n> with answer(n)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave in one segment: otherwise the second waits for a delayed acknowledgment.
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def do_GET(self):
            number = self.path.split("?")[0].rpartition("/")[2]
            start = time.time_ns()
            try:
                status, body = 200, answer(number)
            except Exception as error:
                print(f"request {number}: {error!r}", file=sys.stderr)
                status, body = 502, b"failed"
            log.write(n=int(number), start=start, end=time.time_ns(), pid=os.getpid(), status=status)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    return Handler


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


class OneByOne(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 128


def serve(answer, log, port=8080):
    """Serves for ever, each connection on a thread of its own."""
    Server(("0.0.0.0", port), numbered_handler(answer, log)).serve_forever()


def serve_recycled(make_answer, log, connections, port=8080):
    """Serves one connection after the other and replaces the process after some of them, as pre-forking
    servers do to get rid of what leaks. `make_answer` runs in each process."""
    server = OneByOne(("0.0.0.0", port), None)
    while True:
        child = os.fork()
        if child == 0:
            # As its parent dies with the lab, so does it with its parent.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            server.RequestHandlerClass = numbered_handler(make_answer(), log)
            for _ in range(connections):
                server.handle_request()
            os._exit(0)
        os.waitpid(child, 0)
