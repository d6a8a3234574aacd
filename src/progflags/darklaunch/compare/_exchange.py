"""
One HTTP exchange as it is compared: status, the headers that matter, the body as what it says.

Captured as bytes on the way through, capped; decoded where it is compared, never on the request's time. A rule for an
exchange may name a part (`$.status`, `$.headers.location`, `$.body.items[*].price`) or speak of the body as if it were
the whole (`$.items[*].price`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from progflags.darklaunch.compare._body import read_body
from progflags.darklaunch.compare._paths import DEEP, parse
from progflags.darklaunch.compare._rules import Rule

__all__ = ["HEADERS", "MAX_BODY", "METHODS", "Answer", "Heard", "Reader", "answer", "heard", "rooted", "skipped"]

METHODS: Final = ("GET", "HEAD", "OPTIONS")  # safe by RFC 9110; every other method has effects that would happen twice
MAX_BODY: Final = 65_536
HEADERS: Final = ("content-type", "location", "cache-control")  # the rest is mostly noise: dates, ids, server names
_PARTS: Final = frozenset({"status", "headers", "body"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, header pairs as lower-case names and values, and the whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


#: An Answer as a door heard it pass: status, header pairs of bytes or of text, chunks. Made one where it is compared.
Heard = tuple[int, tuple[Any, ...], list[bytes]]


def answer(status: int, headers: Iterable[Any], chunks: list[bytes]) -> Answer:
    """An Answer of what was heard."""
    return Answer(status, tuple((_text(name).lower(), _text(value)) for name, value in headers), b"".join(chunks))


def heard(kept: Any) -> Any:
    """An Answer of what was heard; anything else as it is."""
    return answer(*kept) if isinstance(kept, tuple) else kept


def _text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else bytes(raw).decode("latin-1")


class Reader:
    """An Answer → what is compared: its parts, or what `reduce` makes of them. `headers` are the names compared beside HEADERS."""

    __slots__ = ("_names", "_reduce")

    def __init__(self, headers: Iterable[str] = (), reduce: Callable[[Any], Any] | None = None) -> None:
        self._names = frozenset({*HEADERS, *(name.lower() for name in headers)})
        self._reduce = reduce

    def __call__(self, answer: Any) -> Any:
        if not isinstance(answer, Answer):
            return answer
        parts = {"status": answer.status, "headers": self._headers(answer), "body": _body(answer)}
        return parts if self._reduce is None else self._reduce(parts)

    def alike(self, control: Any, candidate: Any) -> bool:
        """Whether all that would be compared is the same byte for byte, so that nothing need be decoded."""
        if not (isinstance(control, Answer) and isinstance(candidate, Answer)):
            return False
        if control.status != candidate.status or control.body != candidate.body:
            return False
        return self._headers(control) == self._headers(candidate) and _encoding(control) == _encoding(candidate)

    def _headers(self, answer: Answer) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in answer.headers:
            if name in self._names:
                headers[name] = value if name not in headers else f"{headers[name]}, {value}"
        return headers


def _encoding(answer: Answer) -> str:
    return _header(answer, "content-encoding")


def _header(answer: Answer, name: str) -> str:
    return ", ".join(value for each, value in answer.headers if each == name)


def _body(answer: Answer) -> Any:
    return read_body(answer.body, _header(answer, "content-type"), _encoding(answer))


def rooted(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules as they apply to the parts: those that name none of them speak of the body."""
    return tuple(_rooted(rule) for rule in rules)


def _rooted(rule: Rule) -> Rule:
    steps = parse(rule.path)
    if not steps or steps[0] is DEEP or steps[0] in _PARTS:
        return rule
    return replace(rule, path="$.body" + rule.path[1:])


def skipped(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a request is of a kind that is never shadowed: part of a resource, an event stream, another protocol."""
    return any(name in {"range", "upgrade"} or (name == "accept" and "text/event-stream" in value) for name, value in headers)
