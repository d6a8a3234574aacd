"""
Telling: from lines of history to one message about a flag, or to none where there is nothing in them that people want to know.

Pure: what stands around the lines (who owns the flag, what a held rollout waits for) comes in as functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from progflags._printed import printable
from progflags.notify._message import Message, Severity
from progflags.overview import NEXT
from progflags.rollout import ARCHIVED, LANDED, VERBS, Line, State

__all__ = ["Facts", "Known", "compose", "severity", "worth"]

_FAILED: Final = frozenset({State.ROLLING_BACK, State.ROLLED_BACK, State.COOLING_DOWN})
_WAITS: Final = frozenset({State.HELD, State.AWAITING_APPROVAL})
#: Steps that are told whoever took them; of the others only those that a person asked for. A stage's own way (baking, judging) is not.
_LOUD: Final = _FAILED | _WAITS | {State.SCHEDULED, State.RAMPING, State.WATCHING, State.COMPLETED, State.ABORTED, State.SUPERSEDED}
_STOPPED: Final = {"kill", "unkill", "panic", "unpanic"}
_OBSERVED: Final = {"shadow", "source", "store"}
_LINES: Final = 10  # sentences of one message
_DO: Final = {**NEXT, "kill": "progflags unkill {flag}", "panic": "progflags unpanic"}
#: The console's page about it; of everything else, the one of what is under way.
_PAGES: Final = {"transition": "rollout", "kill": "flag", "unkill": "flag", "shadow": "dark-launch"}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a flag where its message is made."""

    owner: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the rest of a message comes from: whose a flag is, and what a rollout that stands in `state` waits for, as sentences."""

    known: Callable[[str], Known] = lambda _: Known()
    unblocks: Callable[[str, str], Sequence[str]] = lambda _, __: ()


def worth(line: Line) -> bool:
    """Whether people want to know: not of definitions, nor of the way within a stage."""
    kind = line["kind"]
    if kind == "transition":
        return line.get("act") not in (ARCHIVED, LANDED) and (line["to"] in _LOUD or str(line.get("act")) in map(str, VERBS))
    return kind in _STOPPED or kind in _OBSERVED


def severity(line: Line) -> Severity:
    """How much a line matters."""
    if line["kind"] in _STOPPED:
        return Severity.CRITICAL
    if line["kind"] == "transition":
        return Severity.CRITICAL if line["to"] in _FAILED else Severity.WARNING if line["to"] in _WAITS else Severity.INFO
    return Severity.WARNING


def compose(lines: Sequence[Line], facts: Facts, console_url: str = "") -> Message:
    """
    The message that says what `lines`, all of one flag and in order, come to. There is at least one, and each is worth it.

    What the last of the gravest kind says is its title, for that is how it stands now.
    """
    gravest = max(severity(line).rank for line in lines)
    head = [line for line in lines if severity(line).rank == gravest][-1]
    flag, known = str(head["flag"]), facts.known(str(head["flag"]))
    last = lines[-1]
    waits = facts.unblocks(flag, str(last["to"])) if last["kind"] == "transition" and last["to"] in _WAITS else ()
    sentences = [_sentence(line) for line in lines]
    rest = len(sentences) - _LINES
    told = sentences if rest <= 0 else [f"… {rest:,} earlier", *sentences[-_LINES:]]
    return Message(
        id=str(last["id"]),
        kind=str(head["kind"]),
        flag=flag,
        thread=_thread(head),
        severity=severity(head),
        title=printable(_title(head), 400),
        said=tuple(printable(sentence, 600) for sentence in (*told, *waits)),
        do=_do(last, flag),
        link=_link(console_url, flag, str(head["kind"])),
        owner=known.owner,
        tags=known.tags,
        at=float(last["at"]),
        changes=tuple(lines),
    )


def _thread(line: Line) -> str:
    if line["kind"] == "transition":
        return f"rollout/{line['flag']}/{line.get('run', 0)}"
    return f"{'panic' if 'panic' in line['kind'] else line['kind'].removeprefix('un')}/{line['flag']}"


def _title(line: Line) -> str:
    if line["kind"] in _OBSERVED:
        return str(line["title"])
    if line["kind"] != "transition":
        return _switched(line)
    flag, to, percent = line["flag"], str(line["to"]), f"{float(line['percent']):g} %"
    said = {
        "scheduled": f"{flag} is started, and waits for its time",
        "ramping": f"{flag} goes to {percent}",
        "awaiting_approval": f"{flag} at {percent} waits for an approval",
        "held": f"{flag} is held at {percent}",
        "paused": f"{flag} is paused at {percent}",
        "watching": f"{flag}: {percent} have it, and it is watched",
        "completed": f"{flag} is completed: {percent} have it",
        "rolling_back": f"{flag} is being rolled back",
        "rolled_back": f"{flag} was rolled back: everybody has the control again",
        "cooling_down": f"{flag} was rolled back, and begins again after its cool-down",
        "aborted": f"{flag} was given up",
        "superseded": f"{flag}: its rollout is gone from the definitions",
    }
    return said.get(to) or f"{flag} goes on at {percent}"


def _switched(line: Line) -> str:
    by, flag = line["actor"] or "somebody", line["flag"]
    return {
        "kill": f"{flag} was killed by {by}: its safe variant serves",
        "unkill": f"{flag} serves again: {by} took the kill back",
        "panic": f"panic by {by}: every flag's safe variant serves",
        "unpanic": f"the panic is over: {by} took it back",
    }[line["kind"]]


def _sentence(line: Line) -> str:
    when = f"{datetime.fromtimestamp(float(line['at']), UTC):%H:%M:%S}Z"
    why = f": {line['reason']}" if line["reason"] else ""
    if line["kind"] in _OBSERVED:
        return f"{when} {line['title']}{why}"
    if line["kind"] != "transition":
        return f"{when} {line['kind']} by {line['actor'] or 'somebody'}{why}"
    return f"{when} {line['from']} → {line['to']} at {float(line['percent']):g} % by {line['actor']}{why}"


def _do(line: Mapping[str, Any], flag: str) -> str:
    if line["kind"] in _OBSERVED:
        return printable(str(line.get("do", "")), 400)
    return printable(_DO.get(str(line["to"] if line["kind"] == "transition" else line["kind"]), "").format(flag=flag), 400)


def _link(console_url: str, flag: str, kind: str) -> str:
    if not console_url:
        return ""
    page = _PAGES.get(kind, "") if flag else ""
    return f"{console_url.rstrip('/')}/{page}" + (f"?flag={quote(flag, safe='')}" if page else "")
