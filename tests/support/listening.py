"""Somebody who listens to server-sent events over a real socket, in a thread."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from support.patience import PATIENCE, until

__all__ = ["Listening"]


class Listening:
    """
    Who reads a stream. `messages` are the events that were dispatched, as an EventSource does it; `silences` the comments.

    `last` is what it would send as `Last-Event-ID`; `ended` is set once the other side has ended the stream.
    """

    def __init__(self, url, **headers):
        at = urlsplit(url)
        self.messages, self.silences, self.retry, self.last, self.ended = [], 0, None, "", threading.Event()
        self._connection = HTTPConnection(at.hostname, at.port, timeout=PATIENCE)
        self._connection.request("GET", f"{at.path}?{at.query}" if at.query else at.path, headers=headers)
        self._socket = self._connection.sock
        self.answer = self._connection.getresponse()
        self.status = self.answer.status
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.status == 200:
            self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Leave, as a page does that is closed."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        self.answer.close()
        self._connection.close()

    @property
    def told(self):
        """The data of every message."""
        return [message["data"] for message in self.messages]

    def hears(self, count):
        """Wait until there were `count` messages; when the last of them came (monotonic)."""
        until(lambda: len(self.messages) >= count, said=lambda: f"heard {self.messages}")
        return self.messages[count - 1]["at"]

    def _read(self):
        fields = {}
        try:
            while line := self.answer.readline():
                name, _, value = line.decode().rstrip("\n").partition(":")
                value = value.removeprefix(" ")
                if line == b"\n":
                    self._dispatch(fields)
                    fields = {}
                elif not name:
                    self.silences += 1
                else:
                    fields[name] = value
            self.ended.set()
        except (OSError, HTTPException, ValueError):
            self.ended.set()

    def _dispatch(self, fields):
        self.retry = fields.get("retry", self.retry)
        self.last = fields.get("id", self.last)
        if "data" in fields:
            self.messages.append({**fields, "data": json.loads(fields["data"]), "at": time.monotonic()})
