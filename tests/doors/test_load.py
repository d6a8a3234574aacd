"""Big bodies, long streams and clients that leave: the middleware holds nothing back and leaves nothing behind."""

import asyncio
import gc
import hashlib
import http.client
import random
import socket
import threading
from urllib.parse import urlsplit

import pytest

from progflags.asgi import FlagsMiddleware
from progflags.events import Served
from support.clients import heard, rolling
from support.patience import until
from support.web import uvicorn_server

FLAG = "new-checkout"
MIB = 1 << 20


def resident():
    """This process's resident memory, in bytes."""
    import resource

    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif(not __import__("os").path.exists("/proc/self/statm"), reason="reads /proc")
def test_a_large_upload_and_download_pass_in_little_memory():
    """256 MiB up, chunked, and 256 MiB down: the same bytes arrive, and memory grows by less than 32 MiB."""
    client = rolling()
    told = heard(client, Served)
    piece = random.Random(1).randbytes(MIB)
    peak, whole = [0], hashlib.sha256()
    for _ in range(256):
        whole.update(piece)

    async def app(scope, receive, send):
        client.is_enabled(FLAG)
        digest = hashlib.sha256()
        while True:
            message = await receive()
            digest.update(message.get("body", b""))
            peak[0] = max(peak[0], resident())
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-sha", digest.hexdigest().encode())]})
        for _ in range(256):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            peak[0] = max(peak[0], resident())
        await send({"type": "http.response.body"})

    with uvicorn_server(FlagsMiddleware(app, flags=client, context=lambda scope: "u1"), lifespan="off") as address:
        before = resident()
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        connection.request("POST", "/", body=(piece for _ in range(256)), encode_chunked=True, headers={"transfer-encoding": "chunked"})
        response = connection.getresponse()
        received = hashlib.sha256()
        while chunk := response.read(MIB):
            received.update(chunk)
        connection.close()

    assert response.headers["x-sha"] == whole.hexdigest() == received.hexdigest()
    assert peak[0] - before < 32 * MIB
    assert len(told) == 1


@pytest.mark.slow
def test_clients_that_leave_at_any_point_leave_nothing_behind():
    """Two hundred connections cut after a random number of bytes: no task, thread or scope stays, and cut answers are not counted."""
    client = rolling()
    told = heard(client, Served)
    ended, complete = [], []

    async def app(scope, receive, send):
        client.is_enabled(FLAG)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            watching = asyncio.create_task(receive())
            for _ in range(40):
                await send({"type": "http.response.body", "body": b"x" * 8192, "more_body": True})
                await asyncio.sleep(0)
                if watching.done() and watching.result()["type"] == "http.disconnect":
                    return
                if watching.done():
                    watching = asyncio.create_task(receive())
            await send({"type": "http.response.body", "body": b""})
            complete.append(1)
        finally:
            watching.cancel()
            ended.append(1)

    chance = random.Random(7)
    with uvicorn_server(FlagsMiddleware(app, flags=client, context=lambda scope: "u1"), lifespan="off") as address:
        host, port = urlsplit(address).netloc.split(":")
        threads = threading.active_count()
        for _ in range(200):
            with socket.create_connection((host, int(port))) as visitor:
                visitor.sendall(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
                left = chance.randrange(0, 400_000)
                while left > 0 and (got := visitor.recv(min(left, 65_536))):
                    left -= len(got)
                    if got.endswith(b"0\r\n\r\n"):
                        break
        until(lambda: len(ended) == 200)
        until(lambda: threading.active_count() <= threads + 1)

    assert len(told) <= len(complete)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one).__name__ == "_Request" and type(one).__module__ == "progflags.asgi._flags"]
