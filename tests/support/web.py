"""Real servers on loopback, for as long as a block runs."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

from support.patience import PATIENCE, until

with suppress(ImportError):
    import httpx

    # Five seconds are soon over on a machine that stands still.
    for _asks in (httpx.Client.__init__, httpx.AsyncClient.__init__, httpx.get, httpx.post, httpx.stream.__wrapped__):
        _asks.__kwdefaults__["timeout"] = PATIENCE


@contextmanager
def uvicorn_server(app, **options):
    """uvicorn in a thread of this process, so that a test can look at what the application did; yields its address."""
    import uvicorn

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=2, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    assert server.started, "uvicorn did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def wsgi_server(app):
    """wsgiref's server in a thread of this process; yields its address."""
    server = make_server("127.0.0.1", 0, app, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)


@contextmanager
def process(*arguments, cwd, port, env=None):
    """A server of its own process, by its command line; yields its address once it accepts connections."""
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), "PYTHONUNBUFFERED": "1", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: listens(port) or child.poll() is not None)
        if child.poll() is not None:
            raise AssertionError(f"the server ended by itself:\n{child.stdout.read()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def gunicorn(target, *arguments, cwd):
    """`gunicorn target` on a free port; `cwd` holds the module."""
    port = free_port()
    return process("-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--log-level", "error", *arguments, target, cwd=Path(cwd), port=port)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    with socket.socket() as one:
        one.settimeout(2)
        return one.connect_ex(("127.0.0.1", port)) == 0
