"""`rollout change … --dry-run`: what another definition of a flag differs in, whom it would move, and by which stages."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from progflags.cli._diff import Moved, moved, units, who
from progflags.cli._say import tell, tell_all, tell_json

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.context import Context
    from progflags.flags import Snapshot
    from progflags.rollout import Proposal

__all__ = ["propose"]

_SPOKEN: Final = {"slot": "group", "skips": "on_missing_unit"}


def propose(arguments: argparse.Namespace, flags: Flags) -> int:
    """
    Print it. Exit 0.

    Raises:
        TransitionRefused: there is nothing to change.
    """
    rollouts, snapshot = flags.rollouts, flags.definitions
    proposal = rollouts.proposed(arguments.flag, arguments.to)
    assert snapshot is not None
    contexts = who(arguments)
    moves = _moves(snapshot, proposal, contexts)
    said = rollouts.forecast(arguments.flag, plan=proposal.plan)
    parts = [_SPOKEN.get(part, part) for part in proposal.parts]
    if arguments.json:
        gone = [{"from": old, "to": new, "ppm": ppm, "percent": ppm / 10_000} for old, new, ppm in moves]
        body = {"flag": arguments.flag, "change": proposal.edit.name, "parts": parts, "units": len(contexts), "moved": gone}
        tell_json({"ok": True, **body, "plan": proposal.plan.to_dict(), "forecast": said.to_dict()})
        return 0
    tell(f"{arguments.flag}: new definition {proposal.edit.name} ({', '.join(parts)})")
    for line in _told(moves):
        tell(f"  {line}")
    tell(f"  by {units(arguments, contexts)}; nothing was begun")
    tell_all(said)
    return 0


def _moves(snapshot: Snapshot, proposal: Proposal, contexts: list[Context]) -> Moved:
    """Whom the new definition would serve another variant, once it serves everybody."""
    after = replace(snapshot, flags={**snapshot.flags, proposal.old.key: proposal.new})
    return moved(proposal.old.key, snapshot, after, contexts)


def _told(moves: Moved) -> Iterator[str]:
    for old, new, ppm in moves:
        yield f"{old} → {new}: {ppm / 10_000:g} % of the units"
    if not moves:
        yield "nobody moves"
