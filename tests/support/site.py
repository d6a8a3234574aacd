"""A web server for documents: what it answers, the test writes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Site"]


class Site:
    """A web server whose answers the test writes: `text` with its ETag, or what `answer(handler)` does."""

    def __init__(self, text: bytes, path: str = "/flags.json"):
        self.text, self.kind, self.answer, self.asked = text, "application/json", None, []
        self.readers = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.asked.append((self.path, dict(self.headers)))
                (site.answer or Handler.plain)(self)

            def plain(self, text=None, code=200, **headers):
                text = site.text if text is None else text
                tag = f'"{hash(text)}"'
                if self.headers.get("If-None-Match") == tag and code == 200:
                    self.send_response(304)
                    self.end_headers()
                    return
                self.send_response(code)
                for name, value in {"Content_Type": site.kind, "ETag": tag, "Content_Length": len(text), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.plain = Handler.plain
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
