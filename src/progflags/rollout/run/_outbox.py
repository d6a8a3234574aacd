"""
Notifications: every change (steps, kills, panics, definitions), to whoever wants to know, at least once, in order, and never in the way.

The history *is* the outbox: a line is written in the same commit as the step it tells of, so nothing can be announced that
did not happen, and nothing that happened can be forgotten. For each sink the store keeps how far it has been told, per
flag. `deliver` reads on from there, hands the lines over, and writes the new place down; if it dies in between, the next
one hands the same lines over again. Lines carry an `id` by which a receiver can tell.

One process delivers for a sink at a time. It claims the sink in the store; another takes over when the claim has stood
still for `PATIENCE` seconds of its own clock. Failures back off, up to a minute, for ever.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol
from uuid import uuid4

from progflags._beside import Beside, failing, said
from progflags._clock import Clock
from progflags._json import canonical
from progflags._printed import quoted
from progflags._process import in_child, look
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError
from progflags.rollout._timeline import changes_of, lines_of
from progflags.store import Commit, Document, Entry, Store

__all__ = ["PATIENCE", "Hook", "Outbox", "Sink", "Webhook", "signature"]

PATIENCE: Final = 30.0
_SLOWEST: Final = 60.0  # seconds between two tries of a sink that fails
_ROLLOUT: Final = "rollout/"
_TOLD: Final = (_ROLLOUT, "flag/", "panic", "definitions", "defined/")  # the subjects that sinks are told of
_BATCH: Final = 100  # lines handed over between two commits of the place
LIMIT: Final = 30.0  # seconds after which a round of one sink is said to hang

Line = Mapping[str, Any]


class Sink(Protocol):
    """Who is told. `name` must stay the same over restarts: the place is kept under it."""

    @property
    def name(self) -> str: ...

    def tell(self, line: Line) -> None:
        """Take one line; raise if it was not taken, and it comes again."""
        ...


@dataclass(frozen=True, slots=True)
class Hook:
    """A function of this program as a sink."""

    name: str
    function: Callable[[Line], object]

    def tell(self, line: Line) -> None:
        self.function(line)


@dataclass(frozen=True, slots=True)
class Webhook:
    """
    A URL that is sent each line as JSON by POST. Any 2xx is a receipt; redirects are not followed.

    With a `secret` the header `X-Progflags-Signature` is `t=<seconds>,v1=<hex>`, an HMAC-SHA256 over `<seconds>.<body>`:
    see `signature`, which a receiver can use as well. `X-Progflags-Id` is the line's id.

    Raises:
        ValueError: not an http or https URL.
    """

    url: str
    secret: str = field(default="", repr=False)
    timeout: float = 5.0
    name: str = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"a webhook's address begins with https:// or http://, not {quoted(self.url)}")
        if not self.name:
            object.__setattr__(self, "name", "webhook-" + hashlib.sha256(self.url.encode()).hexdigest()[:12])

    def tell(self, line: Line) -> None:
        import urllib.error
        import urllib.request

        body = canonical(dict(line)).encode()
        headers = {"Content-Type": "application/json", "X-Progflags-Id": str(line["id"]), "User-Agent": "progflags"}
        if self.secret:
            headers["X-Progflags-Signature"] = signature(self.secret, body, int(time.time()))
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")  # noqa: S310 - the scheme was checked
        try:
            with urllib.request.build_opener(_no_redirects()).open(request, timeout=self.timeout) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            with error:
                raise ConnectionError(f"{self.name} was answered with {error.code}") from None


def signature(secret: str, body: bytes, at: int) -> str:
    """What the signature header says for `body` sent at `at` (seconds since the epoch)."""
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _no_redirects() -> Any:
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    return Stay()


@dataclass(slots=True)
class _Tries:
    """How a sink has been doing in this process, and where it runs. `told`: lines it took."""

    beside: Beside
    told: int = 0
    error: str = ""
    failures: int = 0
    next: float = 0.0
    seen: tuple[int, float] = (-1, 0.0)  # the claim's document revision, and when it was first seen


class Outbox:
    """Delivers a store's histories to sinks. `deliver` is one round; call it from a thread of its own, a sink may be slow."""

    def __init__(self, store: Store, clock: Clock, wait: Callable[[], float] = lambda: LIMIT) -> None:
        self._store = store
        self._clock = clock
        self._wait = wait
        self._sinks: dict[str, Sink] = {}
        self._tries: dict[str, _Tries] = {}
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child is another deliverer: the claim stays its parent's."""
        self._me = uuid4().hex[:12]

    def add(self, sink: Sink) -> None:
        """Tell `sink` from now on. A new name begins with what happens next; a known one goes on where it was."""
        name = str.__str__(sink.name)
        before = self._tries.get(name)
        if before is not None:
            before.beside.close()
        self._sinks[name] = sink
        self._tries[name] = _Tries(Beside(f"sink {name}", limit=LIMIT))

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def deliver(self) -> int:
        """
        One round over all sinks; how many lines were taken by its end. Never raises: what fails is tried again later.

        Each sink has a thread of its own, so one that hangs keeps nothing from the others.
        """
        look()
        before = sum(tries.told for tries in tuple(self._tries.values()))
        begun = []
        for name, sink in tuple(self._sinks.items()):
            tries = self._tries[name]
            if self._clock.monotonic() >= tries.next:
                begun.append(tries.beside.begin(partial(self._serve, name, sink, tries)))
        until = time.monotonic() + self._wait()
        for done in begun:
            if done is not None:
                done.wait(max(0.0, until - time.monotonic()))
        return sum(tries.told for tries in tuple(self._tries.values())) - before

    def health(self) -> dict[str, str]:
        """How each sink is doing."""
        return {f"sink {name}": failing(tries.failures, tries.error) or tries.beside.health() for name, tries in tuple(self._tries.items())}

    def close(self) -> None:
        """End the sinks' threads; they begin again with the next round."""
        for tries in tuple(self._tries.values()):
            tries.beside.close()

    def _serve(self, name: str, sink: Sink, tries: _Tries) -> None:
        try:
            tries.told += self._round(name, sink, tries)
            tries.failures = 0
        except ConflictError:
            return  # another process is at it
        except BaseException as error:
            swallow(f"notifying {name}", error)
            tries.failures += 1
            tries.error = said(error)
            tries.next = self._clock.monotonic() + min(_SLOWEST, 2.0 ** min(tries.failures, 6))

    def _round(self, name: str, sink: Sink, tries: _Tries) -> int:
        place = f"outbox/{name}"
        _, documents = self._store.read()
        ends = {key: lines_of(page) or 0 for key, page in documents.items() if key.startswith(_TOLD)}
        document = documents.get(place)
        if document is None:
            self._write(place, 0, ends)
            return 0
        if "others" not in document.body:  # written by a progflags that told of steps alone: of the rest it hears what comes next
            body = {**document.body, "others": {subject: end for subject, end in ends.items() if not subject.startswith(_ROLLOUT)}}
            self._store.commit(Commit({place: body}, {place: document.revision}, (), uuid4().hex))
            document = self._store.read(place)[1][place]
        places = _places(document)
        if all(places.get(subject, 0) >= end for subject, end in ends.items()) or not self._mine(document, tries):
            return 0
        revision = self._write(place, document.revision, places)  # the claim: from here on it is ours
        told, failure = 0, None
        for subject, end in ends.items():
            if places.get(subject, 0) < end:
                count, failure = self._tell(sink, subject, places)
                told += count
                if failure is not None:
                    break
        self._write(place, revision, places)
        if failure is not None:
            raise failure
        return told

    def _mine(self, document: Document, tries: _Tries) -> bool:
        """Whether the sink is ours to serve: we did last, or whoever did has not moved for a while."""
        if document.body["worker"] == self._me:
            return True
        revision, since = tries.seen
        if revision != document.revision:
            tries.seen = document.revision, self._clock.monotonic()
            return False
        return self._clock.monotonic() - since >= PATIENCE

    def _tell(self, sink: Sink, subject: str, places: dict[str, int]) -> tuple[int, BaseException | None]:
        """Hand over a subject's lines; moves its place with each that was taken, and says what stopped it."""
        told = 0
        for entry in self._store.history(subject, after=places.get(subject, 0), limit=_BATCH):
            try:
                sink.tell(_line(entry, self._store.url))
            except BaseException as error:  # sys.exit() in a hook is no receipt, and what was taken before it is written down
                return told, error
            places[subject] = entry.number
            told += 1
        return told, None

    def _write(self, key: str, revision: int, places: Mapping[str, int]) -> int:
        steps = {subject.removeprefix(_ROLLOUT): at for subject, at in places.items() if subject.startswith(_ROLLOUT)}
        others = {subject: at for subject, at in places.items() if not subject.startswith(_ROLLOUT)}
        body = {"v": 1, "worker": self._me, "places": steps, "others": others}
        commit = Commit({key: body}, {key: revision}, (), uuid4().hex)
        try:
            return self._store.commit(commit)
        except StoreError:
            return self._store.commit(commit)


def _places(document: Document) -> dict[str, int]:
    """How far a sink was told, by subject."""
    steps = {f"{_ROLLOUT}{flag}": int(at) for flag, at in document.body["places"].items()}
    return steps | {subject: int(at) for subject, at in document.body.get("others", {}).items()}


def _line(entry: Entry, store: str) -> dict[str, Any]:
    """
    What a sink is told. A step of a rollout as its history has it; anything else with `kind`, and with the keys that a step has, so
    that who prints steps can print it as well.
    """
    room, _, flag = entry.subject.partition("/")
    if room == "rollout":
        return {"id": f"{flag}#{entry.number}", "flag": flag, "kind": "transition", **entry.body}
    change = changes_of(entry, None, store)[0].to_dict()
    before, after = change.pop("before"), change.pop("after")
    return {**entry.body, "id": f"{entry.subject}#{entry.number}", **change, "from": before, "to": after, "percent": None}
