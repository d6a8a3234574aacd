"""
Is this call to be shadowed? Asked of every call, so the answer "no" must cost next to nothing.

The flag is evaluated silently (`decide`): a shadow is no exposure, and must not count as one. What the compiled flag says
about everybody alike is remembered until the client serves another ruleset, which is one comparison of identities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from progflags._chance import chance
from progflags._printed import quoted
from progflags.context import Context, as_context, scope, unit_bytes
from progflags.darklaunch import shadow
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.record import mute
from progflags.flags import PPM, Client, Evaluation, Reason, digest, given, seed, threshold

__all__ = ["Gate"]

_NOTHING: Final[Mapping[str, Any]] = {}
_ALL: Final = 1 << 64
Decide = Callable[[bytes | None, Mapping[str, Any]], Evaluation]
_View = tuple[object, Decide | None, bool | None]  # as Gate._view says


class Gate:
    """One experiment's admission by flag, `sample` and `run_if`. What it turns away it tells: `off` and `not_sampled`."""

    __slots__ = ("_client", "_key", "_limit", "_run_if", "_seed", "_view", "flag", "not_sampled", "off")

    def __init__(
        self,
        flag: str,
        client: Client | None,
        *,
        key: Callable[..., Any] | None = None,
        sample: float = 1.0,
        run_if: Callable[..., Any] | None = None,
    ) -> None:
        if not 0.0 <= sample <= 1.0:
            raise ValueError(f"sample is a share between 0 and 1, not {quoted(sample)}")
        self.flag = flag
        self.off: Callable[[], object] = bool
        self.not_sampled: Callable[[], object] = bool
        self._client = client
        self._key = key
        self._run_if = run_if
        self._seed = seed("s", flag)
        self._limit = threshold(round(sample * PPM))
        # (the ruleset it was read from, how to ask it, what it says to everybody alike): one assignment, so that no thread
        # sees half of a reload.
        self._view: _View = (None, None, False)

    @property
    def client(self) -> Client | None:
        """The client asked: the one given, else the default one, if there is one by now."""
        return given(self._client)

    def passes(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """
        Whether to shadow this call. Never raises.

        In a shadow the answer is no and nothing is counted: such a call is part of a candidate, not the application's.
        """
        if shadow.active():
            return False
        client = self._client or given(None)
        if client is None:
            self.off()
            return False
        view = self._view
        if client.serving is not view[0]:
            try:
                view = self._follow(client)
            except Exception as error:  # a flag that can't be asked is off
                mute(f"dark launch {self.flag} admission", error)
                view = self._view = (client.serving, None, False)
        if view[2] is False:
            self.off()
            return False
        return self._ask(view, args, kwargs)

    def _follow(self, client: Client) -> _View:
        """Another ruleset serves: look the flag up again, and whether it says the same to everybody."""
        silent = client.silently(self.flag)
        if silent.decide is None:
            self._view = (silent.serving, None, False)
            return self._view
        constant: bool | None
        try:
            answer = silent.decide(None, _NOTHING)
            constant = answer.value is True if silent.forced or answer.reason is Reason.STATIC else None
        except Exception:  # it hashes the unit, or looks at attributes: not the same for everybody
            constant = None
        # Under an override somewhere the answer depends on who asks: nothing is remembered then.
        view = (silent.serving, silent.decide, constant)
        self._view = view
        return view

    def _ask(self, view: _View, args: tuple[Any, ...], kwargs: Mapping[str, Any], known: bytes | None = None) -> bool:
        _, decide, constant = view
        try:
            if constant is not True or self._limit != _ALL:
                unit, attributes = self._who(args, kwargs) if known is None else (known, _NOTHING)
                if constant is not True:
                    answer = decide(unit, attributes)  # type: ignore[misc]  # None only where the constant is False
                    if answer.value is not True:
                        (self.off if answer.reason is Reason.DISABLED else self.not_sampled)()
                        return False
                if digest(unit, self._seed) >= self._limit:
                    self.not_sampled()
                    return False
            if self._run_if is not None and not self._run_if(*args, **kwargs):
                self.not_sampled()
                return False
        except BaseException as error:
            return self._failed(error)
        return True

    def drawn(self, who: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether `sample` and `run_if` take a call of `who` that something else than the flag's value admitted. Never raises."""
        try:
            unit = self._who(args, kwargs)[0] if who is None or self._key is not None else _unit(who)[0] or _anybody()
        except BaseException as error:
            return self._failed(error)
        return self._ask((None, None, True), args, kwargs, unit)

    def _failed(self, error: BaseException) -> bool:
        """A function of the user's did: the call is left out."""
        if is_delivered(error):
            raise error
        mute(f"dark launch {self.flag} admission", error)
        self.off()
        return False

    def _who(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
        here = scope()
        attributes: Mapping[str, Any] = _NOTHING if here is None else here.context._attributes
        unit = None if here is None else here.context._kb
        if self._key is not None:
            own, attributes_ = _unit(self._key(*args, **kwargs))
            unit, attributes = own, attributes if attributes_ is None else attributes_
        return unit if unit is not None else _anybody(), attributes


def _unit(who: Any) -> tuple[bytes | None, Mapping[str, Any] | None]:
    """Whose bytes are hashed, and the attributes that came with them, where attributes can."""
    if isinstance(who, (Context, Mapping)):
        context = as_context(who)
        return (None, _NOTHING) if context is None else (context._kb, context._attributes)
    return unit_bytes(who), None


def _anybody() -> bytes:
    return chance.getrandbits(64).to_bytes(8, "big")
