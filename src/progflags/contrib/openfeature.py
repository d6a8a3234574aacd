"""
OpenFeature: progflags behind the vendor-neutral API.

    from openfeature import api
    from progflags.contrib.openfeature import ProgflagsProvider

    api.set_provider_and_wait(ProgflagsProvider(flags))

Install `progflags[openfeature]`. The provider reads from the client it is given and never closes it. Resolving does no
I/O, so the asynchronous methods are the synchronous ones. Its reasons are OpenFeature's own, and `PINNED` for an override
or the brake; its error codes are OpenFeature's. Checked against the specification of August 2026 (0.9); requirement
numbers in this file are its.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from progflags._process import Lock
from progflags._trouble import swallow
from progflags.context import Context
from progflags.errors import missing
from progflags.events import Reloaded, SourceFailed
from progflags.flags import Client

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.event import ProviderEventDetails
    from openfeature.exception import ErrorCode, ProviderNotReadyError
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.provider import AbstractProvider, Metadata
    from openfeature.track import TrackingEventDetails
except ImportError as error:
    raise missing(error, "openfeature", "openfeature-sdk", "openfeature") from error

__all__ = ["ProgflagsProvider"]

T = TypeVar("T")

_MESSAGES = {
    "FLAG_NOT_FOUND": "no definition has this flag",
    "TYPE_MISMATCH": "the flag is of another type than was asked for",
    "TARGETING_KEY_MISSING": "the flag needs a targeting key (or another bucketing attribute), and the context has none it can use",
    "PARSE_ERROR": "the flag's definition is wrong; the client's status says where",
    "INVALID_CONTEXT": "an attribute of the context can't be read",
    "PROVIDER_NOT_READY": "no definitions were loaded yet",
    "GENERAL": "the evaluation failed; the log says why",
}


class ProgflagsProvider(AbstractProvider):
    """
    An OpenFeature provider over a connected client.

    It emits READY or ERROR from `initialize` (2.8.1–2.8.3), CONFIGURATION_CHANGED with the keys that changed, STALE when the
    last known good serves, and READY when the source is good again. Without an OpenFeature context the ambient one answers.

        from openfeature import api
        from openfeature.evaluation_context import EvaluationContext

        api.set_provider_and_wait(ProgflagsProvider(flags))
        client = api.get_client()
        client.get_boolean_value("new-search", False, EvaluationContext("user-42"))     # True
    """

    def __init__(self, flags: Client) -> None:
        super().__init__()
        self._flags = flags
        self._lock = Lock()
        self._unlisten: tuple[Any, ...] = ()
        self._stale = False

    def get_metadata(self) -> Metadata:
        """The provider's name (2.1.1)."""
        return Metadata(name="progflags")

    # Lifecycle.

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002 - OpenFeature's signature
        """
        Begin to emit what happens to the client.

        Raises:
            ProviderNotReadyError: the client has nothing to serve (2.4.2.1).
        """
        if self._flags.definitions is None:
            error = ProviderNotReadyError("this client has loaded no definitions: connect it to a source that can be read")
            self.emit_provider_error(ProviderEventDetails(message=error.error_message, error_code=error.error_code))
            raise error
        with self._lock:
            if not self._unlisten:
                bus = self._flags.bus
                self._unlisten = (
                    bus.listen(Reloaded, self._reloaded, ours=True),
                    bus.listen(SourceFailed, lambda _: self._follow(), ours=True),
                )
            self._stale = False
        self.emit_provider_ready(ProviderEventDetails())

    def shutdown(self) -> None:
        """Emit nothing any more (2.5.1–2.5.3). Idempotent; the client goes on, and the provider can be initialised again."""
        with self._lock:
            unlisten, self._unlisten = self._unlisten, ()
        for end in unlisten:
            end()

    def _reloaded(self, event: Reloaded) -> None:
        self._follow()
        if event.changed:
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=list(event.changed)))

    def _follow(self) -> None:
        """Emit STALE or READY if the client turned; called when it tells something, and by the evaluation that notices first."""
        with self._lock:
            stale = self._flags.stale
            if stale is self._stale or not self._unlisten:
                return
            self._stale = stale
        if stale:
            self.emit_provider_stale(ProviderEventDetails(message="the last known good definitions serve; the client's status says why"))
        else:
            self.emit_provider_ready(ProviderEventDetails())

    # Resolution.

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A boolean flag's value (2.2.1)."""
        return self._resolve(flag_key, default_value, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A string flag's value (2.2.2.1)."""
        return self._resolve(flag_key, default_value, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A number flag's value, if it is a whole one."""
        return self._resolve(flag_key, default_value, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A number flag's value."""
        # Any float says which type is wanted; an int default may be too large for one.
        wanted = 0.0 if isinstance(default_value, int) and not isinstance(default_value, bool) else default_value
        return self._resolve(flag_key, default_value, wanted, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[Any] | Mapping[str, Any],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[Any] | Mapping[str, Any]]:
        """A JSON flag's value, the caller's own copy; whether object or list is the flag's to say."""
        details = self._resolve(flag_key, default_value, None, evaluation_context)
        if details.error_code is None:
            if not isinstance(details.value, (dict, list)):
                return _failed(default_value, "TYPE_MISMATCH")
            details.value = _copied(details.value)
        return details

    def _resolve(self, key: str, default: T, wanted: T | None, context: EvaluationContext | None) -> FlagResolutionDetails[T]:
        """The client's answer in OpenFeature's words; `wanted` is what tells the client the type. Never raises."""
        if self._flags.stale is not self._stale:
            self._follow()
        try:
            who = _context(context)
        except Exception as error:  # attributes that can't even be copied
            swallow("OpenFeature's context", error)
            return _failed(default, "INVALID_CONTEXT")
        answer = self._flags.evaluate(key, wanted, who)
        if answer.error_code is not None:
            return _failed(default, str(answer.error_code))
        snapshot = self._flags.definitions
        model = None if snapshot is None else snapshot.flags.get(key)
        return FlagResolutionDetails(
            value=default if answer.variant is None else answer.value,
            variant=answer.variant,
            reason=_REASONS.get(str(answer.reason), str(answer.reason)),
            flag_metadata={
                **({} if model is None else model.metadata),
                **({"flagSetId": snapshot.environment} if snapshot is not None and snapshot.environment else {}),
                **self._flags.live(key).told,
                "revision": answer.revision,
                "version": "" if snapshot is None else snapshot.digest,
            },
        )

    # Tracking.

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """A business event of this unit, credited to the arms it was exposed to (2.7.1). No value counts 1; attributes are not kept."""
        value = tracking_event_details.value if tracking_event_details is not None else None
        self._flags.track(tracking_event_name, _context(evaluation_context), 1.0 if value is None else value)


_REASONS: dict[str, str | Reason] = {reason.value: reason for reason in Reason}


def _context(context: EvaluationContext | None) -> Context | None:
    """None, the ambient context, where OpenFeature says nothing about who is asking."""
    if context is None or (context.targeting_key is None and not context.attributes):
        return None
    return Context(context.targeting_key, context.attributes)


def _failed(default: T, code: str) -> FlagResolutionDetails[T]:
    """The caller's default, and why (2.2.7)."""
    return FlagResolutionDetails(value=default, reason=Reason.ERROR, error_code=ErrorCode[code], error_message=_MESSAGES[code])


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, (list, tuple)) else value
