"""
Reading flags: the methods an application calls, as fast as Python goes.

The path when all is well is written out in each method: find the function by the key (and the default's class), call it
with the context's parts, give back what it gives. Every doubt (unknown flag, another type, no key, a context that is no
Context, an exception out of an attribute) ends in the `except`, where time does not matter: it is decided there, slowly,
what the caller gets. So nothing is tested on the fast path that a failing look-up tests anyway.
"""

# pyright does not narrow by `__class__ is`, which is 5 ns quicker here than type(); mypy does, and checks these lines.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar, overload

from progflags._process import look
from progflags._trouble import say, swallow
from progflags.context import NOBODY, Context, as_context, current, innermost, scope
from progflags.flags._evaluation import ErrorCode, Evaluation, Reason
from progflags.flags._explain import explain
from progflags.flags._explanation import Explanation, Step
from progflags.flags._typed import Flag, Mismatch, as_type_of
from progflags.flags.serving import Compiled, Counters, Deferred, KeyMissing, Ruleset

__all__ = ["Reader", "asked_by"]

T = TypeVar("T")
Who = Context | str | int | Mapping[str, Any] | None
"""Wherever a context is taken: a Context, a targeting key, a mapping with `targeting_key`, None for the ambient one."""

_NOTHING: Final[dict[str, Any]] = {}
_FRESH: Final = frozenset({Reason.STATIC, Reason.TARGETING_MATCH, Reason.SPLIT, Reason.DEFAULT})


_ONCE_MORE: Final = frozenset({KeyError, UnicodeEncodeError})
"""What ends the fast path of a flag that is there: another type than the default's, a key that is no text to hash."""


class Absent(Generic[T]):
    """The class of the default that was not given: typed flags are filed under it."""


# Left whole, though long: the evaluation path is written out in each of its methods, which saves each of them a call.
class Reader:
    """The reading half of a client, and the whole of a snapshot."""

    __slots__ = ("_counters", "_ruleset", "_stale")

    def __init__(self, ruleset: Ruleset, counters: Counters, *, stale: bool = False) -> None:
        self._ruleset = ruleset
        self._counters = counters
        self._stale = stale

    def is_enabled(self, key: str | Flag[bool], context: Who = None, default: bool = False) -> bool:
        """
        Whether a boolean flag is on for `context`: a Context, a targeting key, a mapping, or None for the ambient one.

        Never raises; trouble gives `default`, and `evaluate` says which.

            if flags.is_enabled("new-search", "user-42"): ...
        """
        try:
            if context.__class__ is Context:
                return self._ruleset.on[key](context._kb, context._attributes)
            if context is None:
                who = innermost()._context or self._ambient(key)
                return self._ruleset.on[key](who._kb, who._attributes)
            if context.__class__ is str:
                return self._ruleset.on[key](context.encode() or None, _NOTHING)
            who = asked_by(context)
            return self._ruleset.on[key](who._kb, who._attributes)
        except Exception as error:
            answer: bool = self._otherwise(key, default, context, error, bool)
            return answer

    @overload
    def get(self, flag: Flag[T], *, context: Who = None) -> T: ...
    @overload
    def get(self, flag: str | Flag[T], default: T, context: Who = None) -> T: ...
    def get(self, flag: Any, default: Any = Absent, context: Who = None) -> Any:
        """
        The flag's value for `context`, of the default's type; a typed flag brings its own default and type.

        Never raises; trouble gives `default`, and `evaluate` says which. Tables and lists are shared and can't be changed.

            limits = flags.get("search-limits", {"k": 10}, pf.Context("user-42", {"plan": "pro"}))
        """
        try:
            if context.__class__ is Context:
                return self._ruleset.typed[default.__class__][flag](context._kb, context._attributes)
            if context is None:
                who = innermost()._context or self._ambient(flag)
                return self._ruleset.typed[default.__class__][flag](who._kb, who._attributes)
            if context.__class__ is str:
                return self._ruleset.typed[default.__class__][flag](context.encode() or None, _NOTHING)
            who = asked_by(context)
            return self._ruleset.typed[default.__class__][flag](who._kb, who._attributes)
        except Exception as error:
            return self._otherwise(flag, default, context, error, default.__class__)

    def evaluate(self, flag: str | Flag[Any], default: Any = None, context: Who = None) -> Evaluation:
        """
        The answer with its variant, reason and error code. `default` is what trouble gives; None takes any type.

            answer = flags.evaluate("new-search", False, "user-42")
            answer.value, answer.variant, answer.reason         # True, "on", "SPLIT"
        """
        try:
            if flag.__class__ is not str and isinstance(flag, Flag):
                return self._evaluate_typed(flag, context)
            who = context if context.__class__ is Context else self._ambient(flag) if context is None else asked_by(context)
            ruleset = self._ruleset
            if default is not None and flag not in ruleset.typed.get(default.__class__, _NOTHING):
                self._give(flag, default, who)  # pyright: ignore[reportArgumentType]
            answer: Evaluation = ruleset.whole[flag](who._kb, who._attributes)  # pyright: ignore[reportArgumentType]
            plain = (default is None or default.__class__ is answer.value.__class__) and not self._stale
            return answer if plain else self._told(answer, default)
        except Exception as error:
            try:
                return self._failed(flag, _named(flag, default)[1], context, error)
            except Exception:  # a key that can't be looked up, or a used-up stack
                return Evaluation(flag.key if isinstance(flag, Flag) else flag, default, None, Reason.ERROR, ErrorCode.GENERAL)

    def evaluate_all(self, context: Who = None) -> dict[str, Evaluation]:
        """Every flag's answer from one ruleset, for instance to bootstrap a front end; a flag in trouble has value None."""
        frozen = Reader(self._now(), self._counters, stale=self._stale)
        snapshot = frozen._ruleset.snapshot
        keys = () if snapshot is None else (*snapshot.flags, *sorted(snapshot.broken))
        return {key: frozen.evaluate(key, None, context) for key in keys}

    def explain(self, flag: str | Flag[Any], context: Who = None) -> Explanation:
        """Every step of the decision: why a rule did or did not match, the bucket and its threshold. Counts nothing."""
        key, _ = _named(flag, None)
        ruleset = self._now()
        try:
            who = asked_by(context)
        except Exception as error:
            step = Step("context", False, f"it can't be used: {type(error).__name__}")
            return Explanation(Evaluation(key, None, None, Reason.ERROR, ErrorCode.INVALID_CONTEXT), (step,))
        return explain(ruleset, key, who, self._code(key))

    def _now(self) -> Ruleset:
        """The ruleset that answers here."""
        return self._ruleset

    # ── the slow path ──────────────────────────────────────────────────────

    def _ambient(self, flag: str | Flag[Any]) -> Context:
        """Who is asking here; nobody where the flag says the same to everybody, so that it need not be found out."""
        inner = innermost()
        here = scope() if inner.over else inner
        if here is None:
            return NOBODY
        return here._context or (NOBODY if self._ruleset.alike[flag] else here._taken())

    def _give(self, key: str, default: Any, who: Context) -> None:
        """A value that perhaps is of another type: asked once without counting, for who can't be given it meets no arm."""
        ruleset = self._now()
        if ruleset.function(default.__class__, key) is None:
            as_type_of(default, ruleset.compiled[key].decide(who._kb, who._attributes).value)

    def _told(self, answer: Evaluation, default: Any) -> Evaluation:
        """In the default's type; and that the last known good answered."""
        value = answer.value if default is None else as_type_of(default, answer.value)
        if value is not answer.value:
            answer = answer.replace(value=value)
        if self._stale and answer.reason in _FRESH:
            answer = answer.replace(reason=Reason.STALE)
        return answer

    def _evaluate_typed(self, flag: Flag[Any], context: Who) -> Evaluation:
        """Read before it is counted, for who can't be given the value meets no arm; the caller is told the default then."""
        who = asked_by(context) if context is not None else self._ambient(flag.key)
        decided = self._now().compiled[flag.key].decide(who._kb, who._attributes).value
        value = flag.read(decided)
        answer = self._told(self._ruleset.whole[flag.key](who._kb, who._attributes), None)
        return answer.replace(value=value if answer.value is decided else flag.read(answer.value))

    def _otherwise(self, flag: Any, default: Any, context: Who, error: Exception, kind: type) -> Any:
        """
        What a caller gets where the fast path ended: the value after all, in the default's type, or the default.

        A flag that is asked for the first time (since it changed) takes its place in the table of its `kind` here.
        """
        look()
        try:
            key, default = _named(flag, default)
            if context is None:
                context = self._ambient(key)
            ruleset = self._now()
            compiled = ruleset.compiled.get(key)
            if compiled is not None and error.__class__ in _ONCE_MORE:
                function = ruleset.function(kind, key) if flag is key else None
                if function is not None:
                    who = asked_by(context)
                    return function(who._kb, who._attributes)
                return self._converted(flag, compiled, default, context)
        except Exception as second:
            error = second
        try:
            return self._failed(flag, default, context, error).value
        except Exception:
            return default  # the caller's stack is as good as used up: there is no room left even to say so

    def _converted(self, flag: Any, compiled: Compiled, default: Any, context: Who) -> Any:
        """Asked once without counting first: who can't be given the value was not served it, so meets no arm."""
        who = asked_by(context)
        read = flag.read if isinstance(flag, Flag) else partial(as_type_of, default)
        read(compiled.decide(who._kb, who._attributes).value)
        return read(compiled.value(who._kb, who._attributes))

    def _failed(self, flag: Any, default: Any, context: Who, error: Exception) -> Evaluation:
        """The caller's default, the code that says why, and a count; said once a minute per flag and code."""
        key = flag.key if isinstance(flag, Flag) else flag if isinstance(flag, str) else repr(type(flag))
        if default is Absent:
            default = flag.default if isinstance(flag, Flag) else None
        if isinstance(error, Deferred):
            return self._deferred(key, default, error.reason)
        code = self._code(key) or self._cause(context, error)
        known = key in self._now().compiled
        next(self._counters.of(key if known else "", None, str(Reason.ERROR), str(code)))
        if code in (ErrorCode.INVALID_CONTEXT, ErrorCode.GENERAL):
            swallow(f"evaluation of {key[:80]}", error)
        else:
            # Names nobody knows share one line a minute: they may come from outside, and there is no end to them.
            cause = str(code) if code is ErrorCode.FLAG_NOT_FOUND else f"{key[:80]} {code}"
            say("evaluation", f"flag {key[:80]!r}: {code}; the caller's default was given", cause=cause)
        return Evaluation(key, default, None, Reason.ERROR, code, 0)

    def _deferred(self, key: str, default: Any, reason: Reason) -> Evaluation:
        """A rule says that the caller's default is the answer: no trouble, and counted as any other."""
        next(self._counters.of(key, None, str(reason)))
        revision = self._now().compiled[key].live.revision
        return Evaluation(key, default, None, Reason.STALE if self._stale else reason, None, revision)

    def _code(self, key: str) -> ErrorCode | None:
        """What is wrong with a flag for everybody, None when nothing is."""
        ruleset = self._now()
        if ruleset.snapshot is None:
            return ErrorCode.PROVIDER_NOT_READY
        if key in ruleset.compiled:
            return None
        return ErrorCode.PARSE_ERROR if key in ruleset.snapshot.broken else ErrorCode.FLAG_NOT_FOUND

    @staticmethod
    def _cause(context: Who, error: Exception) -> ErrorCode:
        """What went wrong for this caller."""
        if isinstance(error, Mismatch):
            return ErrorCode.TYPE_MISMATCH
        if isinstance(error, KeyMissing | UnicodeEncodeError):
            return ErrorCode.TARGETING_KEY_MISSING
        try:
            who = asked_by(context)
        except Exception:
            return ErrorCode.INVALID_CONTEXT
        if who._kb is None and isinstance(error, TypeError):
            return ErrorCode.TARGETING_KEY_MISSING
        if isinstance(error, RecursionError):
            return ErrorCode.GENERAL
        return ErrorCode.INVALID_CONTEXT


def asked_by(context: Who) -> Context:
    """
    Who is asking, whatever says so.

    Raises:
        TypeError: `context` is no context.
    """
    if context is None:
        return current() or NOBODY
    return context if isinstance(context, Context) else as_context(context) or NOBODY


def _named(flag: Any, default: Any) -> tuple[str, Any]:
    """The key and the default that count, of a key or a typed flag."""
    if isinstance(flag, Flag):
        return flag.key, flag.default if default is Absent or default is None else default
    return flag, None if default is Absent else default
