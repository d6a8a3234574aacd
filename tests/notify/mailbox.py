"""A mail server on a socket: as much of SMTP as a letter takes, with STARTTLS where there is a certificate, and AUTH."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from contextlib import contextmanager


class Mailbox:
    """`letters` as (sender, recipients, letter, encrypted); `logins` as (user, password); `refuse`: what DATA is answered with."""

    def __init__(self, certificate=None):
        self.certificate = certificate
        self.letters, self.logins = [], []
        self.refuse = ""
        self.port = 0


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        box, self.encrypted = self.server.box, False
        self.say("220 mailbox")
        while line := self.rfile.readline().decode().strip():
            word, _, rest = line.partition(" ")
            if word.upper() == "QUIT":
                self.say("221 bye")
                return
            getattr(self, word.lower(), self.unknown)(box, rest)

    def finish(self):
        super().finish()
        if self.encrypted:
            self.request.close()

    def say(self, *lines):
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def unknown(self, *_):
        self.say("500 what?")

    def ehlo(self, box, _):
        offers = ["STARTTLS"] if box.certificate and not self.encrypted else ["AUTH PLAIN"]
        self.say("250-mailbox", f"250 {offers[0]}")

    def starttls(self, box, _):
        self.say("220 go on")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(box.certificate)
        self.request = context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        self.encrypted = True

    def auth(self, box, rest):
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        box.logins.append((user, password))
        self.say("235 welcome")

    def mail(self, _, rest):
        self.sender, self.recipients = rest[len("FROM:<") :].partition(">")[0], []
        self.say("250 ok")

    def rcpt(self, _, rest):
        self.recipients.append(rest[len("TO:<") :].partition(">")[0])
        self.say("250 ok")

    def rset(self, *_):
        self.say("250 ok")

    def data(self, box, _):
        if box.refuse:
            self.say(box.refuse)
            return
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        letter = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        box.letters.append((self.sender, self.recipients, letter, self.encrypted))
        self.say("250 taken")


@contextmanager
def mailbox(certificate=None):
    box = Mailbox(certificate)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Conversation) as server:
        server.box, server.daemon_threads = box, True
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join(60)
