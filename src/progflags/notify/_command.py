"""A command of this host's, given each message on its standard input."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from progflags._printed import json_text, printable
from progflags.notify._channel import Channel
from progflags.notify._message import Message

__all__ = ["Command"]


@dataclass(frozen=True, kw_only=True)
class Command(Channel):
    """
    A program and its arguments: `argv`, run without a shell, with the message as JSON on its standard input.

    Exit status 0 is a receipt. One that has not ended after `timeout` seconds is killed, and the message comes again.

        told = pf.notify.Command(argv=["/usr/local/bin/tell-oncall", "--from", "progflags"])
        flags = pf.connect("flags.toml", notify=[told])

    Raises:
        ValueError: `argv` is no list of texts, or empty.
    """

    argv: Sequence[str]

    def __post_init__(self) -> None:
        if isinstance(self.argv, str) or not self.argv or not all(isinstance(word, str) and "\0" not in word for word in self.argv):
            raise ValueError('a command is a list of words, for no shell takes it apart: command = ["/usr/local/bin/page", "--urgent"]')
        object.__setattr__(self, "argv", tuple(self.argv))
        Channel.__post_init__(self)

    @property
    def where(self) -> str:
        return "\0".join(self.argv)

    def send(self, message: Message) -> None:
        text = json_text(message.to_dict()).encode()
        try:
            subprocess.run(self.argv, input=text, capture_output=True, timeout=self.timeout, check=True)  # noqa: S603 - the words of a file that may run code anyway
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.argv[0]} did not end within {self.timeout:g} s") from None
        except subprocess.CalledProcessError as error:
            said = printable(error.stderr.decode("utf-8", "replace").strip(), 160)
            raise ConnectionError(f"{self.argv[0]} ended with {error.returncode}" + (f": {said}" if said else "")) from None
