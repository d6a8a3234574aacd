"""What the load generator wrote down, and what follows from it. Pure: the demo's summary is read from here, not from the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Answer", "answers", "exposed_users", "lost", "seconds_to_zero", "unstable_users", "wrong_bills"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as its sender saw it. Times are wall seconds; `status` 0: no answer came; `bill`: was the total right or wrong."""

    began: float
    ended: float
    user: str
    status: int
    checkout: str
    search: str
    bill: str = "right"


def answers(lines: Iterable[str]) -> list[Answer]:
    """The facts in the file, in the order the requests were sent; a line cut short by a kill is left out."""
    found = []
    for line in lines:
        words = line.split()
        if len(words) == 7 and line.endswith("\n"):
            found.append(Answer(float(words[0]), float(words[1]), words[2], int(words[3]), *words[4:]))
    return sorted(found, key=lambda answer: answer.began)


def lost(facts: Sequence[Answer]) -> int:
    """Requests nobody answered. An error page of the bad release is an answer."""
    return sum(answer.status == 0 for answer in facts)


def wrong_bills(facts: Sequence[Answer]) -> int:
    """Answers with a total that is not the sum of the cart: what the shadow's bug would look like if it ever got out."""
    return sum(answer.status != 0 and answer.bill == "wrong" for answer in facts)


def exposed_users(facts: Sequence[Answer]) -> int:
    """Different people who were served the bad release at least once."""
    return len({answer.user for answer in facts if answer.search == "on"})


def seconds_to_zero(facts: Sequence[Answer]) -> float | None:
    """From the first bad answer of the bad release to its last answer of any kind, from whichever worker; None without one."""
    served = [answer for answer in facts if answer.search == "on"]
    bad = [answer.ended for answer in served if answer.status >= 500]
    return None if not bad else max(answer.ended for answer in served) - min(bad)


def unstable_users(facts: Sequence[Answer], changes: Sequence[float], settle: float) -> int:
    """
    People whose checkout changed although the stage did not.

    `changes` are the wall times at which the share changed. For `settle` seconds after each the workers may still
    disagree (a worker looks at the store ten times a second), so what was asked then belongs to no stage.
    """
    edges = [*sorted(changes), float("inf")]
    seen: dict[tuple[str, int], str] = {}
    unstable = set()
    for answer in facts:
        stage = sum(answer.began >= edge for edge in edges)
        settled = stage == 0 or answer.began >= edges[stage - 1] + settle
        if not settled or answer.ended >= edges[stage] or answer.checkout == "-":
            continue
        if seen.setdefault((answer.user, stage), answer.checkout) != answer.checkout:
            unstable.add(answer.user)
    return len(unstable)
