"""What a flag answers: Evaluation, with the Reason for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NoReturn

from progflags._printed import quoted
from progflags.flags._freeze import thaw

__all__ = ["ErrorCode", "Evaluation", "Reason"]


class Reason(StrEnum):
    """
    Why an answer is what it is; the words of OpenFeature where it has them.

        from progflags.flags import Reason

        flags.kill("new-search")
        flags.evaluate("new-search", False, "user-42").reason is Reason.DISABLED        # True
    """

    STATIC = "STATIC"  #: the same for everybody
    TARGETING_MATCH = "TARGETING_MATCH"  #: a rule's condition alone
    SPLIT = "SPLIT"  #: the share's or the split's hash, in or out
    DEFAULT = "DEFAULT"  #: no rule matched, nothing was hashed
    DISABLED = "DISABLED"  #: `safe`, because a kill, panic, prerequisite or holdout says so
    PINNED = "PINNED"  #: an override or the brake
    STALE = "STALE"  #: the last known good answered, because the present document was refused or is gone
    ERROR = "ERROR"  #: the caller's default; `error_code` says why


class ErrorCode(StrEnum):
    """
    What went wrong, as OpenFeature names it.

        from progflags.flags import ErrorCode

        flags.evaluate("no-such-flag").error_code is ErrorCode.FLAG_NOT_FOUND           # True
    """

    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"  #: there is no such flag
    TYPE_MISMATCH = "TYPE_MISMATCH"  #: its value is of another type than the default
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"  #: it buckets by an id, and who asks has none
    PARSE_ERROR = "PARSE_ERROR"  #: its definition was refused
    INVALID_CONTEXT = "INVALID_CONTEXT"  #: the context can't be used
    PROVIDER_NOT_READY = "PROVIDER_NOT_READY"  #: no definitions are loaded yet
    GENERAL = "GENERAL"  #: anything else


class Evaluation:
    """
    One answer. Frozen and shared: there is one object per (flag, variant, reason), built when the flag is compiled.

    `value` is what the application uses; `variant` its name, None when the caller's default was given; `reason` why;
    `error_code` what went wrong, None normally; `revision` that of the flag's live state (0 until there is one).

        answer = flags.evaluate("no-such-flag", False, "user-42")
        answer.value, answer.variant            # False, None
        answer.reason, answer.error_code        # "ERROR", "FLAG_NOT_FOUND"
    """

    __slots__ = ("error_code", "key", "reason", "revision", "value", "variant")

    key: str
    value: Any
    variant: str | None
    reason: Reason
    error_code: ErrorCode | None
    revision: int

    def __init__(  # noqa: PLR0917 - the fields, in their order
        self,
        key: str,
        value: Any,
        variant: str | None = None,
        reason: Reason = Reason.ERROR,
        error_code: ErrorCode | None = None,
        revision: int = 0,
    ) -> None:
        _KEY(self, key)
        _VALUE(self, value)
        _VARIANT(self, variant)
        _REASON(self, reason)
        _ERROR(self, error_code)
        _REVISION(self, revision)

    def replace(self, **changes: Any) -> Evaluation:
        """The same answer with some fields changed."""
        return Evaluation(**{name: changes.get(name, getattr(self, name)) for name in _FIELDS})

    def to_dict(self) -> dict[str, Any]:
        """The six fields as plain JSON values; the value is a copy of one's own."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return fields | {"value": thaw(self.value), "reason": str(self.reason), "error_code": self.error_code and str(self.error_code)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evaluation) and all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    def __hash__(self) -> int:
        return hash((self.key, self.variant, self.reason, self.revision))

    def __repr__(self) -> str:
        return "Evaluation(" + ", ".join(f"{name}={quoted(getattr(self, name))}" for name in _FIELDS) + ")"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an Evaluation is shared and frozen: see Evaluation.replace")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an Evaluation is shared and frozen")

    def __reduce__(self) -> tuple[type[Evaluation], tuple[Any, ...]]:
        return (Evaluation, tuple(getattr(self, name) for name in _FIELDS))


_FIELDS: Final = ("key", "value", "variant", "reason", "error_code", "revision")
# The slots' own setters: the only way past the frozen __setattr__, and twice as fast as object.__setattr__.
_KEY: Any = vars(Evaluation)["key"].__set__
_VALUE: Any = vars(Evaluation)["value"].__set__
_VARIANT: Any = vars(Evaluation)["variant"].__set__
_REASON: Any = vars(Evaluation)["reason"].__set__
_ERROR: Any = vars(Evaluation)["error_code"].__set__
_REVISION: Any = vars(Evaluation)["revision"].__set__
