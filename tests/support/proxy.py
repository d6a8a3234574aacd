"""A TCP proxy that loses replies, goes silent, or hangs up, when told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

__all__ = ["Proxy"]


class Proxy:
    """
    Listens on `port` and forwards to `target`.

    `mode`: "pass"; "lose" (forward requests, then hang up instead of passing a reply on); "hold" (forward requests, and keep the
    replies back, as for a client that is frozen); "drip" (replies come a byte at a time, ten a second); "silent" (forward
    nothing); "refuse" (hang up at once). `dialled`: how many connections came in.
    """

    def __init__(self, host: str, port: int) -> None:
        self.mode = "pass"
        self.lost = 0
        self.dialled = 0
        self._target = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._sockets: set[socket.socket] = {self._server}
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.dialled += 1
            if self.mode == "refuse":
                client.close()
                continue
            server = socket.create_connection(self._target)
            self._sockets |= {client, server}
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        try:
            while data := source.recv(65536):
                if self.mode == "lose" and replies:
                    self.lost += 1
                    break
                if replies and self.mode == "drip":
                    for byte in data:
                        sink.sendall(bytes([byte]))
                        time.sleep(0.1)
                elif self.mode != "silent" and not (replies and self.mode == "hold"):
                    sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            self._sockets.discard(one)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def drop(self) -> None:
        """End every connection there is."""
        for one in tuple(self._sockets - {self._server}):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.drop()
        with contextlib.suppress(OSError):  # closing alone would leave the thread in accept()
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
