"""The hook: an alert in, a rollback out. Without a transport; see `_apps` for those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from progflags._clock import Clock
from progflags._json import loads
from progflags._limit import Limit
from progflags._printed import printable
from progflags._trouble import swallow
from progflags.errors import ProgflagsError, StoreError
from progflags.flags import Snapshot
from progflags.notify.inbound._once import Once
from progflags.notify.inbound._proof import Proof, Unproven
from progflags.rollout import Act, Dealt, Rollouts, RolloutStatus, deal

__all__ = ["LIMIT", "Hook", "Steered"]

LIMIT: Final = 262_144  # bytes of a body: a hundred alerts with their annotations
_TIMEOUT: Final = 5.0  # seconds that each flag's rollback may take


class Steered(Protocol):
    """What the hook asks of a client."""

    @property
    def definitions(self) -> Snapshot | None: ...

    @property
    def rollouts(self) -> Rollouts: ...

    @property
    def clock(self) -> Clock: ...


class _No(Exception):  # noqa: N818 - an answer on its way out
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Hook:
    """
    Rolls back, or pauses, what an alert is about: one flag, or all with a tag or an owner.

    It takes what Alertmanager, Grafana, Datadog and PagerDuty send, and of other programs an object with `id`, one of `flag`, `tag` and
    `owner`, `action` (`rollback`, or `pause`) and `reason`.

    Who sends proves that they may: by a signature with `secret` (`X-Progflags-Signature`, as our webhooks have it, Grafana's and
    PagerDuty's own), not older than `window` seconds, or by `Authorization: Bearer` with `token`. `services` says what PagerDuty's
    services are about, by name or id: `{"Checkout": {"tag": "payments"}}`.

    After ten wrong tokens in a minute from an address no token is looked at from there for a while. A signature is: nobody guesses
    one, and nobody else's guesses are to keep an alert from coming in.

        hook = pf.notify.Hook(flags, token=TOKEN)
        app.mount("/hooks/rollback", pf.notify.asgi(hook))

    Raises:
        ValueError: neither `secret` nor `token`.
    """

    def __init__(
        self,
        flags: Steered,
        *,
        secret: str | None = None,
        token: str | None = None,
        window: float = 300.0,
        services: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._flags = flags
        self._proof = Proof(secret or "", token or "", window)
        self._services = services or {}
        self._limit = Limit(flags.clock)
        self._once = Once(flags.rollouts.outbox.store, flags.clock)

    def answer(self, headers: Mapping[str, str], body: bytes, client: str = "") -> tuple[int, dict[str, Any]]:
        """
        The status and the JSON that a request with `headers` and `body` from the address `client` is answered with. Blocks for as
        long as the store takes; never raises.

        200: done, done before, or nothing in it has begun. 400: no JSON. 401: nobody who may. 409: refused, as of a flag that there is not.
        413: too much. 422: not a shape that is known, or no word of flags. 429: too many wrong tokens from there. 503: it holds in this
        process and is not stored, or the store is out of reach: send it again.
        """
        try:
            return self._answer({name.lower(): value for name, value in headers.items()}, body, client)
        except _No as no:
            return no.status, {"ok": False, "error": printable(no, 400)}
        except StoreError as error:
            return 503, {"ok": False, "error": str(error)}
        except Exception as error:
            swallow("hook", error)
            return 500, {"ok": False, "error": "it could not be dealt with; the log says why"}

    def _answer(self, headers: Mapping[str, str], body: bytes, client: str) -> tuple[int, dict[str, Any]]:
        if len(body) > LIMIT:
            raise _No(413, f"a body is at most {LIMIT} bytes")
        timed = self._proven(headers, body, client)
        meant, unmeant = self._read(body, timed=timed)
        if unmeant and not meant:
            raise _No(422, unmeant[0])
        results = [self._one(alert) for alert in meant]
        status = max((status for status, _ in results), default=200)
        return status, {"ok": status == 200, "alerts": [said for _, said in results], "ignored": unmeant}

    def _proven(self, headers: Mapping[str, str], body: bytes, client: str) -> bool:
        """Whether its time is, too."""
        guessing = "authorization" in headers
        wait = self._limit.wait(client) if guessing else 0.0
        shown = {name: value for name, value in headers.items() if name != "authorization"} if wait else headers
        try:
            return self._proof.check(shown, body, self._flags.clock.now())
        except Unproven as unproven:
            if wait:
                raise _No(429, f"too many wrong tokens from this address: no other is looked at for {wait:.0f} s") from None
            if guessing:
                self._limit.wrong(client)
            raise _No(401, str(unproven)) from None

    def _read(self, body: bytes, *, timed: bool) -> tuple[list[Any], list[str]]:
        """What there is to be done, and why the rest is not."""
        from pydantic import ValidationError

        from progflags.notify.inbound._alerts import Alert, alerts

        document = _document(body)
        try:
            found = list(alerts(document, self._services))
        except ValidationError as error:
            raise _No(422, _why(error)) from None
        meant = [one for one in found if isinstance(one, Alert)]
        if not timed:
            self._fresh(meant)
        return meant, [printable(one, 240) for one in found if not isinstance(one, Alert)]

    def _fresh(self, meant: list[Any]) -> None:
        try:
            for alert in meant:
                self._proof.fresh(float("nan") if alert.at is None else alert.at, self._flags.clock.now())
        except Unproven as unproven:
            raise _No(401, str(unproven)) from None

    def _one(self, alert: Any) -> tuple[int, dict[str, Any]]:
        said: dict[str, Any] = {"id": printable(alert.id, 400), "action": str(alert.act)}
        if self._once.known(alert.id):
            return 200, {**said, "already": True, "done": [], "failed": {}}
        verb = self._flags.rollouts.rollback if alert.act is Act.ROLLBACK else self._flags.rollouts.pause
        try:
            chosen = alert.which.flags(self._flags.definitions, self._flags.rollouts, alert.act)
        except ProgflagsError as error:
            return 409, {**said, "already": False, "done": [], "failed": {"": str(error)}}
        dealt = deal(chosen, lambda flag: verb(flag, reason=alert.reason, by=alert.by, timeout=_TIMEOUT))
        if not dealt.failed and not dealt.unstored:
            self._once.note(alert.id)
        return _status(dealt), {**said, "already": False, "done": [_plain(status) for status in dealt.done], "failed": dict(dealt.failed)}


def _status(dealt: Dealt) -> int:
    return 503 if dealt.unstored else 409 if dealt.failed else 200


def _plain(status: RolloutStatus) -> dict[str, Any]:
    return {"flag": status.flag, "state": str(status.state), "percent": status.percent, "stored": not status.pending}


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = loads(body)
    except (ValueError, RecursionError):
        raise _No(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise _No(422, "an object is wanted, not a list or a single value")
    return document


def _why(error: Any) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
