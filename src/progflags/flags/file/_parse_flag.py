"""One flag's table → a FlagModel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from progflags.flags._model import BOOLEAN, FlagModel, Holdout, Ramp, Require, RolloutSpec, Rule, Slot, Unit, make_flag, make_rule
from progflags.flags._problems import Path, Problems, Wrong, shown, suggest, word
from progflags.flags.file._format import FLAG, REQUIRE, RULE
from progflags.flags.file._kinds import NAME, VALUE, is_table, read
from progflags.flags.file._parts import Parts

__all__ = ["FlagParser"]

_SUGAR = frozenset({"percent", "split", "serve", "ramp", "from", "until"})
_KEY = Unit()
_SHARED = 1000  # rules remembered while a document is read
_Report = Callable[[Path, str, str], object]


class FlagParser:
    """Parses flags that share their segments, groups and holdouts."""

    def __init__(self, parts: Parts, problems: Problems) -> None:
        self.parts = parts
        self.problems = problems
        self._known: dict[tuple[Any, ...], tuple[Rule]] = {}

    def flag(self, key: Any, table: Any) -> FlagModel | None:
        """The flag, or None; what is wrong with it has been reported either way."""
        before = len(self.problems.found)

        def report(path: Path, message: str, hint: str = "") -> None:
            self.problems.add(("flags", key, *path), message, hint)

        try:
            NAME.check(key)
        except Wrong as wrong:
            report((), f"a flag's key: {wrong.message}")
            return None
        if not table and is_table(table):
            return make_flag(key, salt=key)
        try:
            found = read(table, FLAG, report)
        except RecursionError:
            report((), "nested too deep")
            return None
        variants, kind = self._variants(table, found, report)
        if len(self.problems.found) > before or not is_table(table):
            return None
        return _One(self, key, found, variants, kind, report).model()

    def _variants(self, table: Any, found: Mapping[str, Any], report: _Report) -> tuple[Mapping[str, Any], str]:
        written = found.get("variants")
        declared = found.get("type")
        if written is None:
            if declared not in (None, "boolean") and is_table(table) and "variants" not in table:
                report(("variants",), f"a {declared} flag says what its variants are", 'write variants = { a = "a", b = "b" }')
            return BOOLEAN, "boolean"
        if not written:
            report(("variants",), "a flag has at least one variant", "")
        values: dict[str, Any] = {}
        for name, value in written.items():
            try:
                values[NAME.check(name)] = VALUE.check(value)
            except Wrong as wrong:
                report(("variants", word(name), *wrong.path), wrong.message, wrong.hint)
        kinds = {type_of(value) for value in values.values()}
        if declared is not None and declared != "json":
            for name, value in values.items():
                if type_of(value) != declared:
                    report(("variants", name), f"a {declared} is wanted here, not {shown(value)}", "the flag's type says so")
            return values, declared
        if declared == "json":
            return values, declared
        if len(kinds) > 1:
            report(("variants",), f"variants of different types: {', '.join(sorted(kinds))}", 'make them alike, or say type = "json"')
        return values, next(iter(kinds), "boolean")

    def rule(self, name: str, when: Any, *rest: Any) -> tuple[Rule]:
        """A rule as a row of one. Flags with the same rule share it, which is half of what 10,000 flags cost memory and collector."""
        key = (name, id(when), *rest)  # an id that can't pass to another condition: the remembered rule holds its own
        known = self._known.get(key)
        if known is None:
            known = (make_rule(name, when, *rest),)
            if len(self._known) < _SHARED:
                self._known[key] = known
        return known

    @staticmethod
    def variant(written: str | bool, variants: Mapping[str, Any]) -> str | None:
        """The name of a variant as written: a name, or true/false for the variant with that value. None: there is none."""
        if isinstance(written, bool):
            return next((name for name, value in variants.items() if value is written), None)
        return written if written in variants else None


def type_of(value: Any) -> str:
    """A flag's type by one of its values."""
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number" if isinstance(value, (int, float)) else "json"


class _One:
    """A flag whose fields are right one by one, being put together."""

    def __init__(  # noqa: PLR0917 - what FlagParser.flag found, handed over
        self,
        parser: FlagParser,
        key: str,
        found: dict[str, Any],
        variants: Mapping[str, Any],
        kind: str,
        report: _Report,
    ) -> None:
        self.parser = parser
        self.key = key
        self.found = found
        self.variants = variants
        self.kind = kind
        self.report = report
        self.sound = True
        self.unit = Unit(found["unit"]) if "unit" in found else _KEY
        if self.unit.groups == (("targeting_key",),):
            self.unit = _KEY

    def wrong(self, path: Path, message: str, hint: str = "") -> None:
        self.report(path, message, hint)
        self.sound = False

    def model(self) -> FlagModel | None:
        found = self.found
        default = self._default()
        safe = self._name(("safe",), found["safe"]) if "safe" in found else default
        rules = self._rules(default)
        flag = make_flag(
            key=self.key,
            type=self.kind,
            variants=self.variants,
            default=default,
            safe=safe,
            unit=self.unit,
            salt=found.get("salt", self.key),
            rules=rules,
            requires=self._requires() if "requires" in found else (),
            slot=self._slot() if "group" in found else None,
            holdout=self._holdout() if "holdout" in found else None,
            description=found.get("description", ""),
            owner=found.get("owner"),
            expires=found.get("expires"),
            ticket=found.get("ticket"),
            kind=found.get("kind", "release"),
            tags=found.get("tags", ()),
            rollout=self._rollout() if "rollout" in found else None,
            candidate=self._candidate(default) if "rollout" in found else None,
            tests=found.get("tests", ()),
        )
        return flag if self.sound else None

    def _name(self, path: Path, written: str | bool) -> str:
        name = self.parser.variant(written, self.variants)
        if name is None:
            self.wrong(path, f"there is no variant {str(written)!r}", suggest(written, self.variants))
        return name or ""

    def _default(self) -> str:
        if "default" in self.found:
            return self._name(("default",), self.found["default"])
        if self.variants is BOOLEAN:
            return "off"
        if self.kind == "boolean":
            name = self.parser.variant(False, self.variants)
            if name is not None:
                return name
        if len(self.variants) == 1:
            return next(iter(self.variants))
        self.wrong((), "'default' is missing: the variant when no rule matched", suggest("", self.variants))
        return ""

    def _on(self, default: str) -> str | None:
        """What a share gets when nothing says so: `on`, or the only variant that is not the default."""
        if self.variants is BOOLEAN:
            return "on"
        if self.kind == "boolean":
            name = self.parser.variant(True, self.variants)
            if name is not None:
                return name
        others = [name for name in self.variants if name != default]
        return others[0] if len(others) == 1 else None

    # ── rules ──────────────────────────────────────────────────────────────

    def _rules(self, default: str) -> tuple[Rule, ...]:
        rows: list[tuple[Rule]] = []
        for at, table in enumerate(self.found.get("rules", ())):
            path: Path = ("rules", at)
            before = len(self.parser.problems.found)
            found = read(table, RULE, lambda p, m, h, path=path: self.wrong((*path, *p), m, h))  # type: ignore[misc]
            if len(self.parser.problems.found) == before:
                rows.append(self._rule(path, found, default, found.get("name", f"rule {at + 1}")))
        if not _SUGAR.isdisjoint(self.found):
            rows.append(self._rule((), self.found, default, "everybody"))
            if "rollout" in self.found:
                key = next(key for key in self.found if key in _SUGAR)
                self.wrong((key,), f"{key!r} beside 'rollout'", "the rollout's share is live state: take one of the two out")
        return rows[0] if len(rows) == 1 else tuple(rule for (rule,) in rows)

    def _rule(self, path: Path, found: Mapping[str, Any], default: str, name: str) -> tuple[Rule]:
        when = found.get("when")
        if when is not None:
            try:
                when = self.parser.parts.segments.fill(when)
            except Wrong as wrong:
                self.wrong((*path, "when"), wrong.message, wrong.hint)
        serve, split = self._served(path, found, default)
        ramp = self._ramp(path, found)
        since, until = found.get("from"), found.get("until")
        if since is not None and until is not None and since >= until:
            self.wrong((*path, "until"), "'until' is not after 'from'")
        return self.parser.rule(name, when, serve, split, found.get("percent"), ramp, since, until)

    def _served(self, path: Path, found: Mapping[str, Any], default: str) -> tuple[str | None, tuple[tuple[str, int | float], ...]]:
        if "serve" in found and "split" in found:
            self.wrong((*path, "split"), "'serve' and 'split' at once", "serve one variant, or split between several")
        if "split" in found:
            for name, _ in found["split"]:
                if name not in self.variants:
                    self.wrong((*path, "split", name), f"there is no variant {name!r}", suggest(name, self.variants))
            return None, found["split"]
        if "serve" in found:
            return self._name((*path, "serve"), found["serve"]), ()
        name = self._on(default)
        if name is None:
            self.wrong(path, "does not say what it serves", f"add serve = {json_list(self.variants)}, or split = {{ ... }}")
        return name, ()

    def _ramp(self, path: Path, found: Mapping[str, Any]) -> Ramp | None:
        ramp = found.get("ramp")
        if ramp is None:
            return None
        if "percent" in found:
            self.wrong((*path, "percent"), "'percent' and 'ramp' at once", "the ramp's `end` is the percentage it reaches")
        if ramp["from"] >= ramp["until"]:
            self.wrong((*path, "ramp", "until"), "'until' is not after 'from'")
        return Ramp(ramp["from"], ramp["until"], ramp.get("start", 0), ramp.get("end", 1_000_000))

    # ── what it hangs on ───────────────────────────────────────────────────

    def _requires(self) -> tuple[Require, ...]:
        requires = []
        for at, table in enumerate(self.found["requires"]):
            before = len(self.parser.problems.found)
            found = read(table, REQUIRE, lambda p, m, h, at=at: self.wrong(("requires", at, *p), m, h))  # type: ignore[misc]
            if len(self.parser.problems.found) == before:
                requires.append(Require(found["flag"], found.get("is", (True,))))
        return tuple(requires)

    def _slot(self) -> Slot | None:
        name = self.found["group"]
        parts = self.parser.parts
        group = parts.groups.get(name)
        if group is None:
            if ("group", name) in parts.wrong:
                self.wrong(("group",), f"group {name!r} is itself wrong", "see its own message")
            else:
                self.wrong(("group",), f"there is no group {name!r}", suggest(name, parts.groups))
            return None
        if self.key not in group.slots:
            self.wrong(("group",), f"group {name!r} has no slot for this flag", f"add it to groups.{name}.slots")
            return None
        if group.unit != self.unit and not (group.unit.groups == (("targeting_key",),) and not self.unit.groups):
            message = f"this flag buckets by {self.unit}, its group by {group.unit}; the same units would be in and out"
            self.wrong(("unit",) if "unit" in self.found else ("group",), message, "give both the same unit")
        return Slot(name, group.salt, *group.slots[self.key])

    def _holdout(self) -> Holdout | None:
        name = self.found["holdout"]
        parts = self.parser.parts
        if name not in parts.holdouts:
            if ("holdout", name) in parts.wrong:
                self.wrong(("holdout",), f"holdout {name!r} is itself wrong", "see its own message")
            else:
                self.wrong(("holdout",), f"there is no holdout {name!r}", suggest(name, parts.holdouts))
        return parts.holdouts.get(name)

    def _rollout(self) -> RolloutSpec:
        return RolloutSpec(self.key, self.found["rollout"], self.parser.problems.file, self.parser.problems.lines)

    def _candidate(self, default: str) -> str | None:
        written = self.found["rollout"].get("variant")
        if written is not None:
            name = self._name(("rollout", "variant"), written)
            if name == default and name:
                self.wrong(("rollout", "variant"), "the candidate is the default itself", suggest("", self.variants))
            return name
        other = self._on(default)
        if other is None or other == default:
            self.wrong(("rollout",), "which variant is the candidate?", f"add variant = {json_list(self.variants)}")
        return other


def json_list(names: Iterable[str]) -> str:
    """Choices as a file would write them."""
    return " or ".join(f'"{name}"' for name in names)
