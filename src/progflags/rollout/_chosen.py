"""The plan that the served file has for a flag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches

from progflags._printed import quoted
from progflags.errors import DefinitionError, TransitionRefused
from progflags.flags import Client, Edit, FlagModel, ProfileSpec, RolloutSpec
from progflags.rollout.plan import BROKEN, Entries, Plan, PlanError
from progflags.rollout.run import Page
from progflags.rollout.state import Record, State

__all__ = ["Plans", "entries", "plan_of"]


def plan_of(model: FlagModel, profiles: Mapping[str, str | ProfileSpec] | None = None) -> Plan:
    """
    The plan of a flag that has a rollout; of one that has none the plan that its profile makes. `profiles` are the entries of the file's
    table of that name.

    Raises:
        DefinitionError: the table cannot be carried out; the problem names file, line and key.
    """
    spec = model.rollout or RolloutSpec(model.key, {})
    try:
        rules = entries(profiles or {})
        plan = Plan.of(spec.data, tags=model.tags, key=model.key, file=spec.file, rules=rules, owner=model.owner or "")
        return replace(plan, variant=model.candidate or "")
    except PlanError as error:
        path = tuple(int(part) if part.isdecimal() else part for part in error.key.split(".") if part)
        raise DefinitionError([spec.problem(path, error.message)]) from None


def entries(profiles: Mapping[str, str | ProfileSpec]) -> Entries:
    """The file's `[profiles]` as a plan takes them."""
    return {name: entry if isinstance(entry, str) else {**entry.data, BROKEN: entry.broken} for name, entry in profiles.items()}


class Plans:
    """The plans of the file a client serves, each parsed once per file: a status is asked for every second."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._parsed: dict[str, tuple[object, Plan]] = {}
        self._listed: tuple[object, tuple[str, ...]] = (None, ())
        self._compared: dict[str, tuple[Plan, Plan, bool]] = {}  # by flag: the file's plan, the run's, and whether they differ

    def of(self, flag: str) -> Plan:
        """
        The plan the file has for `flag` now.

        Raises:
            TransitionRefused: no such flag, or it has no rollout.
            DefinitionError: the rollout table cannot be carried out; file, line and key are named.
        """
        model, snapshot = self.model(flag), self._client.definitions
        known, plan = self._parsed.get(flag, (None, None))
        if plan is None or known is not snapshot:
            plan = plan_of(model, None if snapshot is None else snapshot.profiles)
            self._parsed[flag] = (snapshot, plan)
        return plan

    def model(self, flag: str) -> FlagModel:
        """The definition of a flag that has a rollout; raises as `of` does where there is none."""
        self.known(flag)
        snapshot = self._client.definitions
        model = None if snapshot is None else snapshot.flags.get(flag)
        if model is None and snapshot is not None:  # `broken`: its definition was rejected, and there is no earlier one
            raise DefinitionError([problem for problem in snapshot.rejected if f"{problem.key}.".startswith(f"flags.{flag}.")])
        if model is None or model.rollout is None:
            raise TransitionRefused(f"{quoted(flag)} has no rollout: give it a `rollout` table in the flag file")
        return model

    def known(self, flag: str) -> None:
        """Refuse a flag that the file does not have, with the one that was perhaps meant."""
        snapshot = self._client.definitions
        if snapshot is not None and flag not in snapshot.flags and flag not in snapshot.broken:
            near = get_close_matches(flag, snapshot.flags, 1)
            raise TransitionRefused(f"there is no flag {quoted(flag)}" + (f": did you mean {quoted(near[0])}?" if near else ""))

    def drafts(self, pages: Mapping[str, Page]) -> dict[str, int]:
        """The flags that have a rollout which serves nobody, with the revision of what is served instead."""
        snapshot = self._client.definitions
        if snapshot is not self._listed[0]:
            self._listed = (snapshot, () if snapshot is None else tuple(key for key, model in snapshot.flags.items() if model.rollout))
        found = {}
        for flag in self._listed[1]:
            page = pages.get(flag)
            if page is None:
                found[flag] = 0
            elif not page.live.counting and not page.live.share:
                found[flag] = page.live.revision
        return found

    def changed(self, record: Record) -> bool:
        """Whether the file's plan is no longer the one `record` was started with."""
        if record.edit is not None:
            return False  # it came with a plan of its own
        try:
            return record.state is not State.DRAFT and self._differ(record.flag, self.of(record.flag), record.plan)
        except (TransitionRefused, DefinitionError):
            return record.state is not State.DRAFT

    def _of_change(self, record: Record, edit: Edit) -> Iterator[str]:
        """What is to be said of a change of definition: where it is, and what a person has to do about that."""
        snapshot, flag = self._client.definitions, record.flag
        model = None if snapshot is None else snapshot.flags.get(flag)
        mark = edit.base if model is None else self._client.edits.imprint(model)
        if record.state is State.COMPLETED and mark == edit.base:
            kept = "it serves from the store alone" if edit.landed is None else "a process that begins with this file serves the file's"
            yield f"the file does not have the new definition yet, and {kept}: put it into the file"
        elif record.state is State.COMPLETED:
            yield "the file has it now" if mark == edit.new else "the file has another definition by now, and that serves"
        if record.share:
            yield from (f"not served by this process: {one.message}" for one in self._client.edits.unserved() if one.key == f"flags.{flag}")

    def _differ(self, flag: str, ours: Plan, theirs: Plan) -> bool:
        """Compared once: both are what they are, and a status is asked for every second."""
        known = self._compared.get(flag)
        if known is None or known[0] is not ours or known[1] is not theirs:
            known = self._compared[flag] = ours, theirs, ours.blank != theirs.blank
        return known[2]

    def notes(self, record: Record) -> tuple[str, ...]:
        """What an edit of the file means for those who were rolled out another variant than it names now, or another definition."""
        if record.edit is not None:
            return tuple(self._of_change(record, record.edit))
        snapshot, variant = self._client.definitions, record.plan.variant
        model = None if snapshot is None else snapshot.flags.get(record.flag)
        if record.state is not State.COMPLETED or model is None or not model.candidate or variant in ("", model.candidate, model.default):
            return ()
        if variant not in model.variants:
            return (f"the file no longer has {variant!r}, which was rolled out: {model.default!r}, the default, is served",)
        waits = f"{model.candidate!r} is served to nobody before its own start, and everybody stays with {variant!r} until then"
        return (f"{waits}; make {variant!r} the default first, or the start takes them back to {model.default!r}",)
