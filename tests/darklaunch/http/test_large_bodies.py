"""A gigabyte up and a gigabyte down through both doors, on real sockets: nothing is kept of it, and nothing of it is changed."""

import hashlib
import http.client
import json
import os
import random
from urllib.parse import urlsplit

import pytest

from support.sizes import size
from support.web import free_port, process

MIB = 1 << 20

COMMON = """
import hashlib, json, random, sys
import progflags as pf
from progflags.darklaunch.lanes import Engine, _engine

_engine._engine = Engine(cpu=1000.0, burst=1000.0)
PIECE = random.Random(1).randbytes(1 << 20)
flags = pf.connect({"flags": {"new-import": {"percent": 100}}})
OPTIONS = dict(flag="new-import", flags=flags, methods=["POST"], headers=["x-sha"])

def report(middleware):
    with open("/proc/self/status") as file:
        memory = {line.split(":")[0]: int(line.split()[1]) << 10 for line in file if line.startswith(("VmHWM", "VmRSS"))}
    stats = middleware.dark_launch.stats()
    return json.dumps({"memory": memory, "calls": stats.calls, "shed": stats.shed, "outcomes": stats.outcomes}).encode()
"""

ASGI = """
import uvicorn
from progflags.asgi import DarkLaunchMiddleware, FlagsMiddleware

async def app(scope, receive, send):
    digest, start = hashlib.sha256(), {"type": "http.response.start", "status": 200}
    more = True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/report":
        await send({**start, "headers": []})
        await send({"type": "http.response.body", "body": report(door)})
        return
    await send({**start, "headers": [(b"x-sha", digest.hexdigest().encode())]})
    for _ in range(int(scope["query_string"])):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body"})

door = DarkLaunchMiddleware(app, candidate=app, **OPTIONS)
uvicorn.run(FlagsMiddleware(door, flags=flags), host="127.0.0.1", port=int(sys.argv[1]), log_level="error", lifespan="off")
"""

WSGI = """
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from progflags.wsgi import DarkLaunchMiddleware, FlagsMiddleware

def app(environ, start_response):
    digest, left = hashlib.sha256(), int(environ.get("CONTENT_LENGTH") or 0)
    while left and (data := environ["wsgi.input"].read(min(left, 65536))):
        digest.update(data)
        left -= len(data)
    start_response("200 OK", [("X-Sha", digest.hexdigest())])
    if environ["PATH_INFO"] == "/report":
        return [report(door)]
    return (PIECE for _ in range(int(environ["QUERY_STRING"])))

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass

door = DarkLaunchMiddleware(app, candidate=app, **OPTIONS)
make_server("127.0.0.1", int(sys.argv[1]), FlagsMiddleware(door, flags=flags), Server, Quiet).serve_forever()
"""


def up_and_down(address, mebibytes):
    """Posts so many MiB and reads as many: what the server says it got, and what came back."""
    piece = random.Random(1).randbytes(MIB)
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=300)
    length = str(mebibytes * MIB)
    connection.request("POST", f"/?{mebibytes}", body=(piece for _ in range(mebibytes)), headers={"content-length": length})
    response = connection.getresponse()
    received, total = hashlib.sha256(), 0
    while chunk := response.read(MIB):
        received.update(chunk)
        total += len(chunk)
    connection.close()
    return response.headers["x-sha"], received.hexdigest(), total


def report(address):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=300)
    connection.request("GET", "/report")
    told = json.loads(connection.getresponse().read())
    connection.close()
    return told


@pytest.mark.slow
@pytest.mark.sized
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
@pytest.mark.parametrize("source", [ASGI, WSGI], ids=["uvicorn", "wsgiref"])
def test_a_large_upload_and_download_flow_through_a_door_that_keeps_nothing(source, tmp_path):
    """The same bytes both ways, the call counted as too large, and the server's peak memory at most 32 MiB above its start."""
    mebibytes = size(32, full=1024)
    (tmp_path / "server.py").write_text(COMMON + source)
    whole, piece = hashlib.sha256(), random.Random(1).randbytes(MIB)
    for _ in range(mebibytes):
        whole.update(piece)
    port = free_port()
    with process("server.py", str(port), cwd=tmp_path, port=port) as address:
        up_and_down(address, 2)  # the first request loads what the server loads late
        before = report(address)
        uploaded, downloaded, total = up_and_down(address, mebibytes)
        after = report(address)

    assert uploaded == downloaded == whole.hexdigest()
    assert total == mebibytes * MIB
    assert after["memory"]["VmHWM"] - before["memory"]["VmRSS"] <= 32 * MIB, (before, after)
    assert after["shed"] == {"request_body": 2}
    assert sum(after["outcomes"].values()) == after["calls"]
    print(f"{mebibytes} MiB each way: {(after['memory']['VmHWM'] - before['memory']['VmRSS']) / MIB:.1f} MiB of growth")
