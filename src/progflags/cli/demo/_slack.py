"""A stand-in for Slack on loopback: takes the messages of `[notify]` in Slack's own form, and shows their first line."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from progflags.cli._say import tell_all

__all__ = ["VARIABLE", "Received", "receiver"]

VARIABLE = "PROGFLAGS_DEMO_SLACK"  # where the flag file finds the address


class Received:
    """What came in `since` then: (when, by wall time; its first line)."""

    def __init__(self) -> None:
        self.since = time.time()
        self.messages: list[tuple[float, str]] = []

    def take(self, form: Any) -> None:
        """A message, in the form that Slack documents for incoming webhooks."""
        line = str(form["text"]).splitlines()[0]
        self.messages.append((time.time(), line))
        tell_all(f"   ✉ to Slack: {line}", flush=True)

    def seconds_after(self, at: float, word: str, patience: float) -> float | None:
        """How long after wall time `at` a message with `word` in its first line came; None: not within so many seconds from now."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            for came, line in list(self.messages):
                if word in line:
                    return came - at
            time.sleep(0.05)
        return None


@contextmanager
def receiver() -> Iterator[Received]:
    """Listens while the block lasts; its address stands in the environment, which child processes inherit."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args  # the demo's timeline is told instead

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ[VARIABLE] = f"http://127.0.0.1:{server.server_port}/services/demo"
    try:
        yield received
    finally:
        del os.environ[VARIABLE]
        server.shutdown()
        server.server_close()
