"""Log lines: what changed, as records with namespaced extras; and which variants a request met, on every record it writes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

from cachetools import FIFOCache

from progflags._printed import printable
from progflags._process import Lock
from progflags._trouble import LOG
from progflags.context import scope
from progflags.events import Braked, Judged, Moved, Reloaded, SourceFailed
from progflags.flags import Client

__all__ = ["ChangeLog", "VariantFilter", "add_variants", "log_changes"]

_EVERY: Final = 60.0  # seconds between two lines of one cause
_CAUSES: Final = 1024  # causes remembered
_NAMES: Final = {logging.INFO: "info", logging.WARNING: "warning"}


def log_changes(flags: Client, logger: Any = None) -> ChangeLog:
    """
    Log what changes: rollouts that move, brakes, verdicts that roll back, reloads, sources that fail.

    Lines go to structlog where the application uses it, else to the standard logger `progflags`, with extras named
    `progflags_flag`, `progflags_percent` and so on; `logger` overrides that. A cause is logged at most once a minute, with
    the number left out. Control characters are escaped. The returned handle's `close()` ends it.

        import logging

        lines = log_changes(flags, logging.getLogger("shop.releases"))
        flags.kill("new-search", reason="the index is gone", by="ann")      # is a line now
    """
    return ChangeLog(flags, logger)


class ChangeLog:
    """
    Listens to a client's Bus and writes lines; see log_changes.

        lines = log_changes(flags)
        lines.close()                                   # in a test, or before the client is closed
    """

    def __init__(self, flags: Client, logger: Any = None) -> None:
        self._write = _writer(logger)
        self._now = flags.clock.monotonic
        self._lines: FIFOCache[tuple[str, str], tuple[float, int]] = FIFOCache(_CAUSES)
        self._lock = Lock()
        hear = flags.bus.listen
        self._unlisten: tuple[Callable[[], None], ...] = (
            hear(Moved, self._moved),
            hear(Braked, self._braked),
            hear(Judged, self._judged),
            hear(Reloaded, self._reloaded),
            hear(SourceFailed, self._failed),
        )

    def close(self) -> None:
        """Log nothing from now on. Idempotent."""
        for unlisten in self._unlisten:
            unlisten()

    def _moved(self, event: Moved) -> None:
        level = logging.WARNING if event.target in ("rolling_back", "rolled_back") else logging.INFO
        self._line(
            level,
            "rollout moved",
            f"{event.flag}@{event.revision}",
            flag=event.flag,
            source=str(event.source),
            target=str(event.target),
            percent=event.percent,
            actor=event.actor,
            reason=event.reason,
            revision=event.revision,
        )

    def _braked(self, event: Braked) -> None:
        self._line(logging.WARNING, "brake", event.flag, flag=event.flag, reason=event.reason, revision=event.revision)

    def _judged(self, event: Judged) -> None:
        if event.decision == "ROLLBACK":  # the others come at every tick, and a dashboard shows them better
            self._line(logging.WARNING, "verdict", event.flag, flag=event.flag, decision=str(event.decision), reason=event.reason)

    def _reloaded(self, event: Reloaded) -> None:
        if event.changed:
            changed = ", ".join(event.changed[:10]) + (f" and {len(event.changed) - 10} more" if len(event.changed) > 10 else "")
            self._line(logging.INFO, "reloaded", event.revision, revision=event.revision, changed=changed)

    def _failed(self, event: SourceFailed) -> None:
        self._line(logging.WARNING, "source failed", event.source, source=event.source, message=event.message)

    def _line(self, level: int, what: str, cause: str, **facts: Any) -> None:
        now = self._now()
        with self._lock:
            last, left_out = self._lines.get((what, cause), (-_EVERY, 0))
            due = now - last >= _EVERY
            self._lines[what, cause] = (now, 0) if due else (last, left_out + 1)
        if not due:
            return
        clean = {name: printable(value) if isinstance(value, str) else value for name, value in facts.items() if value not in ("", None)}
        self._write(level, what, clean | ({"suppressed": left_out} if left_out else {}))


def _writer(logger: Any) -> Callable[[int, str, Mapping[str, Any]], None]:
    """How a line is written: to structlog if the program has imported it, or the logger given is one; else to logging."""
    structlog = sys.modules.get("structlog")
    if logger is None and structlog is not None:
        logger = structlog.get_logger("progflags")
    if logger is not None and not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        return lambda level, what, facts: getattr(logger, _NAMES[level])(
            what, **{f"progflags_{name}": fact for name, fact in facts.items()}
        )
    plain = LOG if logger is None else logger

    def write(level: int, what: str, facts: Mapping[str, Any]) -> None:
        text = " ".join(f"{name}={fact}" for name, fact in facts.items())
        plain.log(level, "%s: %s", what, text, extra=_named(facts))

    return write


def _named(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"progflags_{name}": fact for name, fact in facts.items()}


def _met() -> dict[str, str]:
    here = scope()
    return {} if here is None else {exposure.flag: exposure.variant for exposure in tuple(here.exposures.values())}


class VariantFilter(logging.Filter):
    """
    Adds `record.progflags`, the variants this request has met so far by flag; lets every record through.

        import logging

        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(progflags)s"))
        handler.addFilter(VariantFilter())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.progflags = _met()
        return True


def add_variants(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """
    A structlog processor: adds `progflags`, the variants this request has met so far, to events that met any.

        import structlog

        structlog.configure(processors=[add_variants, structlog.processors.JSONRenderer()])
    """
    met = _met()
    if met:
        event["progflags"] = met
    return event
