"""What the gRPC programs of the lab share. Messages are bytes: the lab needs no schema."""

import signal
import time
from concurrent import futures

import grpc


def serve(methods, port, workers=32, options=()):
    """Serves methods by their full name, such as /items.v1.Items/Get, until SIGTERM. Each is a function of
    the request's bytes and the context. Ends with GOAWAY and half a second for calls that go on."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            method = methods.get(details.method)
            return method and grpc.unary_unary_rpc_method_handler(method)

    options = [
        *options,
        ("grpc.so_reuseport", 0),
        # Clients may ask as often as they like whether it is still there.
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.http2.max_ping_strikes", 0),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(workers), handlers=[Handler()], options=options)
    if not server.add_insecure_port(f"0.0.0.0:{port}"):
        raise OSError(f"cannot listen on port {port}")
    server.start()
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    while not ended:
        time.sleep(0.05)
    server.stop(grace=0.5).wait()


def call(channel, method, request, log, deadline=None, metadata=None, wait=False, text_as=None, **more):
    """Makes a call and logs it, with the answer as text if that is wanted; returns the answer, or nothing
    when it failed."""
    start = time.time_ns()
    try:
        stub = channel.unary_unary(method)
        answer, code = stub(request, timeout=deadline, metadata=metadata, wait_for_ready=wait), "OK"
    except grpc.RpcError as error:
        answer, code = None, error.code().name
    length = len(answer) if answer is not None else 0
    if text_as and answer is not None:
        more[text_as] = answer.decode()
    log.write(method=method, start=start, end=time.time_ns(), code=code, bytes=length, **more)
    return answer
