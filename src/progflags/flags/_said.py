"""Said: what a client was told of its flags' live state, by the store and by this process itself, and what serves of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from progflags.flags._words import EVERYTHING, Word, heeded, told
from progflags.flags.serving import NO_LIVE, Killed, Live, Pin, Stated, forced_by

__all__ = ["Said"]


@dataclass(slots=True)
class Said:
    """Its tables are swapped whole, so reading takes no lock; who changes it holds the client's, and is told which flags changed."""

    read: Mapping[str, Live] = field(default_factory=dict)  # as it was installed
    words: Mapping[str, Word] = field(default_factory=dict)  # what was said of it here since
    lives: Mapping[str, Live] = field(default_factory=dict)  # what serves: both together
    pins: Mapping[str, Pin] = field(default_factory=dict)
    panic: bool = False

    def live(self, key: str) -> Live:
        return self.lives.get(key) or Live(key)

    @property
    def panicking(self) -> bool:
        """Whether a panic switch is thrown: this process's own, or that of the live state."""
        return self.panic or self.all_killed is not None

    @property
    def all_killed(self) -> Killed | None:
        return self.lives.get(EVERYTHING, NO_LIVE).killed

    @property
    def stated(self) -> Stated:
        """As it serves: the live states, and whom nobody's rules are asked for."""
        return Stated(self.lives, forced_by(self.pins, panic=self.panicking))

    def install(self, live: Mapping[str, Live]) -> set[str]:
        """The live state of all flags. A pin whose flag has moved on in it is lifted."""
        lives, pins = self.lives, self.pins
        self.read = {state.key: state for state in live.values()}
        self.words = heeded(self.words, self.read)
        self.lives = told(self.read, self.words)
        self.pins = {key: pin for key, pin in pins.items() if self.live(key).revision <= pin.revision}
        return _differing(lives, self.lives) | _differing(pins, self.pins)

    def say(self, key: str, word: Word) -> set[str]:
        """A switch, until live state of the word's revision is installed."""
        return self._reword(key, heeded({**self.words, key: word}, self.read))

    def unsay(self, key: str) -> set[str]:
        return self._reword(key, {name: word for name, word in self.words.items() if name != key})

    def pin(self, key: str, pin: Pin | None) -> set[str]:
        """The brake: control until the flag's live revision is beyond the pin's; None lifts it."""
        others = {name: other for name, other in self.pins.items() if name != key}
        self.pins = others if pin is None else {**others, key: pin}
        return {key}

    def _reword(self, key: str, words: Mapping[str, Word]) -> set[str]:
        self.words = words
        before, self.lives = self.lives.get(key), told(self.read, words)
        return set() if self.lives.get(key) == before else {key}


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    """The keys under which two tables do not say the same."""
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
