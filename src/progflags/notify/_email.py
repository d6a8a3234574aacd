"""E-mail, by SMTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from progflags.notify._channel import Channel, Refused
from progflags.notify._message import Message

if TYPE_CHECKING:
    import smtplib

__all__ = ["Email", "letter"]

_PORTS: Final = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, kw_only=True)
class Email(Channel):
    """
    Letters to the addresses in `to`, by the server in `smtp`: `smtp://user:password@host:587`, which must offer STARTTLS, or
    `smtps://` for TLS from the first byte. A server on this host (`localhost`, `127.0.0.1`) may do without either. `sender` is whom
    they are from.

    What belongs together is one conversation: the letters refer to one that was perhaps never sent, which mail programs group by.

        server = "smtps://shop:secret@mail.example.com"
        letters = pf.notify.Email(to=["oncall@example.com"], smtp=server, sender="flags@example.com")
        flags = pf.connect("flags.toml", notify=[letters])

    Raises:
        ValueError: no address, or no SMTP server's URL.
    """

    to: Sequence[str]
    smtp: str = field(repr=False)
    sender: str = "progflags@localhost"

    def __post_init__(self) -> None:
        object.__setattr__(self, "to", (self.to,) if isinstance(self.to, str) else tuple(self.to))
        if not self.to or not all("@" in each and each.isprintable() for each in (*self.to, self.sender)):
            raise ValueError('a letter has addresses: email = ["team@example.com"]')
        place = urlsplit(self.smtp)
        if place.scheme not in _PORTS or not place.hostname:
            raise ValueError("the mail server is smtp://host:587 or smtps://host, with user:password@ before the host where it wants one")
        Channel.__post_init__(self)

    @property
    def where(self) -> str:
        return " ".join(self.to)

    def send(self, message: Message) -> None:
        import smtplib

        place = urlsplit(self.smtp)
        try:
            with self._connected(place) as server:
                if place.username:
                    server.login(unquote(place.username), unquote(place.password or ""))
                server.send_message(letter(message, self.sender, self.to))
        except smtplib.SMTPRecipientsRefused as error:
            raise ConnectionError(f"no recipient was taken: {sorted(code for code, _ in error.recipients.values())}") from None
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= 500:
                raise Refused(f"the letter was refused with {error.smtp_code}") from None
            raise

    def _connected(self, place: SplitResult) -> smtplib.SMTP:
        import smtplib
        from ssl import create_default_context

        host, port = str(place.hostname), place.port or _PORTS[place.scheme]
        if place.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, timeout=self.timeout, context=create_default_context())
        server = smtplib.SMTP(host, port, timeout=self.timeout)
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=create_default_context())
        elif host not in ("localhost", "127.0.0.1", "::1"):
            server.close()
            raise ConnectionError("the mail server offers no STARTTLS, and nothing goes to another host in the clear")
        return server


def letter(message: Message, sender: str, to: Sequence[str]) -> EmailMessage:
    """Plain text. The same message is the same letter, so that one that comes twice is shown once."""
    host = sender.rpartition("@")[2] or "localhost"
    one = EmailMessage()
    one["Subject"] = message.headline
    one["From"], one["To"] = sender, ", ".join(to)
    one["Date"] = formatdate(message.at)
    one["Message-ID"] = _id(message.id, host)
    one["In-Reply-To"] = one["References"] = _id(f"thread {message.thread}", host)
    one["Auto-Submitted"] = "auto-generated"
    one["X-Progflags-Severity"] = str(message.severity)
    one.set_content(f"{message}\n")
    return one


def _id(of: str, host: str) -> str:
    return f"<{sha256(of.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}@{host}>"
