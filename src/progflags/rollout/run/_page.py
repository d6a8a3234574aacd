"""A page: what a store has about one flag, its live state and its rollout, and under which names the store has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from progflags._names import named, shown, wrong_with
from progflags.errors import StoreError, TransitionRefused
from progflags.flags import EVERYTHING, Live
from progflags.rollout.state import Record
from progflags.store import Document

__all__ = ["FLAG", "ROLLOUT", "Page", "possible", "records", "subject", "switch"]

FLAG: Final = "flag/"
ROLLOUT: Final = "rollout/"
_PANIC: Final = "panic"  # the document, and the history's subject, of the switch for all flags


@dataclass(frozen=True, slots=True)
class Page:
    """
    What the store had about one flag, as of one moment. `record` is None before the first start, and where `damaged` says that
    there is a rollout which can't be read here, and why: the flag's own state, a kill among it, is served all the same.
    """

    flag: str
    live: Live
    record: Record | None = None
    revision: int = 0
    body: Mapping[str, Any] = field(default_factory=dict)  # of the flag's document: keys of others are kept
    damaged: str = ""

    @property
    def expects(self) -> dict[str, int]:
        """What a decision made on this page is made on."""
        return {subject(self.flag): self.live.revision, ROLLOUT + self.flag: self.revision}


def records(pages: Mapping[str, Page]) -> dict[str, Record | None]:
    """The rollouts there are; None is one that can't be read."""
    return {flag: page.record for flag, page in pages.items() if page.record is not None or page.damaged}


def subject(flag: str) -> str:
    return _PANIC if flag == EVERYTHING else FLAG + possible(flag)


def possible(flag: object) -> str:
    """
    `flag` as a plain str.

    Raises:
        TransitionRefused: no flag can be called that, so there is none.
    """
    name = named(flag)
    if name is None:
        raise TransitionRefused(f"there is no flag {shown(flag)}: {wrong_with(flag)}")
    return name


def switch(flag: str, documents: Mapping[str, Document]) -> Page:
    """
    The page without its rollout.

    Raises:
        StoreError: the flag's live state is damaged or of another version; it is left as it is.
    """
    served = documents.get(subject(flag))
    try:
        live = replace(Live.of(served, flag), key=flag)
    except ValueError as error:
        raise StoreError(f"{error}; it is left as it is: put back what was there, or update progflags") from None
    return Page(flag, live, body={} if served is None else served.body)
