"""The notifier: sees to it that the channels which code and flag file name are the ones that the outbox serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from progflags._clock import Clock
from progflags._trouble import say, swallow
from progflags.errors import DefinitionError, Problem, ProgflagsError
from progflags.flags import ChannelSpec
from progflags.notify._addressee import Addressee
from progflags.notify._channel import Channel
from progflags.notify._table import channel_of
from progflags.notify._telling import Facts, Known
from progflags.notify._threads import Threads
from progflags.rollout import Outbox, RolloutStatus

if TYPE_CHECKING:
    from progflags.flags import Snapshot

__all__ = ["Notifier", "Source"]

_FINDINGS = 5  # sentences of what a held rollout's gates say


class Source(Protocol):
    """What a notifier asks of a client."""

    @property
    def definitions(self) -> Snapshot | None: ...

    @property
    def clock(self) -> Clock: ...


class Notifier:
    """
    Tells what happens to the flags of `client` to `channels`, and to those of its flag file.

    `status` gives a flag's rollout as it stands.
    """

    def __init__(self, client: Source, outbox: Outbox, channels: Sequence[Channel], *, status: Callable[[str], RolloutStatus]) -> None:
        self._client = client
        self._outbox = outbox
        self._status = status
        self._facts = Facts(self._known, self._unblocks)
        self._coded = {channel.name for channel in channels}
        self._filed: Mapping[str, ChannelSpec] = {}
        self._wrong: dict[str, Sequence[Problem]] = {}
        self._addressees: dict[str, Addressee] = {}
        for channel in channels:
            self._add(channel)

    def heed(self, filed: Mapping[str, ChannelSpec]) -> None:
        """Serve the channels of the flag file as it is now."""
        for name in self._filed.keys() - filed.keys():
            self._wrong.pop(name, None)
            if name not in self._coded:
                self._outbox.drop(f"notify/{name}")
        for name, spec in filed.items():
            if spec != self._filed.get(name):
                self._wrong[name] = self._try(spec)
        self._filed = filed

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Channels of the file that can't be used in this process, and why."""
        return tuple(problem for problems in tuple(self._wrong.values()) for problem in problems)

    def _try(self, spec: ChannelSpec) -> Sequence[Problem]:
        problems = self._served(spec)
        for problem in problems:
            say("notify", f"nobody is told there: {problem}", cause=f"channel {problem.key}")
        return problems

    def _served(self, spec: ChannelSpec) -> Sequence[Problem]:
        if spec.name in self._coded:
            return (spec.problem((), f"the program has a channel {spec.name!r} of its own", "give one of them another name"),)
        try:
            self._add(channel_of(spec))
        except DefinitionError as error:
            self._outbox.drop(f"notify/{spec.name}")
            return error.problems
        return ()

    @property
    def ours(self) -> tuple[Addressee, ...]:
        """The channels that this process tells, of those that share the store."""
        held = self._outbox.held
        return tuple(one for name, one in tuple(self._addressees.items()) if name in held)

    def _add(self, channel: Channel) -> None:
        clock = self._client.clock
        one = Addressee(channel, self._facts, clock, Threads(self._outbox.store, clock, channel.name))
        self._addressees[one.name] = one
        self._outbox.add(one)

    def _known(self, flag: str) -> Known:
        snapshot = self._client.definitions
        model = None if snapshot is None else snapshot.flags.get(flag)
        return Known() if model is None else Known(model.owner or "", model.tags)

    def _unblocks(self, flag: str, state: str) -> Sequence[str]:
        """What a rollout that stands in `state` waits for; nothing where it has gone on since."""
        try:
            status = self._status(flag)
        except ProgflagsError as error:
            swallow("notify", error)
            return ()
        if status.state != state:
            return ()
        findings = [f"{one.get('metric', '')}: {one.get('reason', '')}" for one in status.findings if one.get("decision") != "PASS"]
        return [one for one in (status.waiting, status.why, *findings[:_FINDINGS], *status.notes[:_FINDINGS]) if one]
