"""A local server that takes what is posted to it, and answers as it is told to."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """
    `seen`: (path, headers, body as text, when), `taken`: those bodies that a receipt was given for; `answers`: what to do with the
    next ones, a status or a function of the handler.
    """

    def __init__(self) -> None:
        self.seen = []
        self.taken = []
        self.answers = []
        self.url = ""

    @property
    def documents(self):
        return [json.loads(body) for _, _, body, _ in self.seen]

    def take(self, handler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        answer = self.answers.pop(0) if self.answers else 200
        if callable(answer):
            answer = answer(handler)
        self.seen.append((handler.path, dict(handler.headers), body, time.monotonic()))
        status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, b"ok")
        if status < 300:
            self.taken.append(body)
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)


@contextmanager
def receiver():
    here = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            here.take(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    here.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)
