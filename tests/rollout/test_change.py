"""Another definition of a flag, delivered like code: the same stages, gates, watch and rollback; and the file stays the source of truth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import progflags as pf
from progflags.contrib.http import HttpSource
from progflags.contrib.publish import Publisher
from progflags.errors import DefinitionError, StoreError, TransitionRefused
from progflags.events import Change, ChangeKind
from progflags.flags import bucket
from progflags.rollout import State
from progflags.rollout.run._page import switch
from progflags.rollout.state._codec import load
from progflags.store import SQLiteStore
from progflags.testing import ManualClock
from progflags.wsgi import FlagsMiddleware
from rollout.conftest import rollout_table
from support.site import Site

FLAG = "discount"
VARIANTS = {"none": 0, "small": 5, "large": 20}
OLD: dict[str, Any] = {"variants": VARIANTS, "default": "none", "rules": [{"when": 'plan == "pro"', "serve": "small"}]}
GATE = {"metric": "error_rate", "max_increase": 0.5, "min_absolute": 0.01}
NEW: dict[str, Any] = {
    "variants": VARIANTS,
    "default": "none",
    "rules": [{"when": 'plan == "pro"', "serve": "large"}],
    "rollout": {**rollout_table(), "variant": "large"},
}
PEOPLE = [f"user-{number}" for number in range(400)]


class Shop:
    """One process: a file, a SQLite store, a clock that moves when told to, and an application that fails for some answers."""

    def __init__(self, folder: Path, clock: ManualClock | None = None, file: str = "flags.json", **more: Any) -> None:
        self.clock = clock or ManualClock(wall=1_800_000_000.0)
        self.file = folder / file
        self.database = folder / "state.db"
        if not self.file.exists():
            self.write(OLD)
        self.flags = pf.connect(self.file, store=f"sqlite:///{self.database}", clock=self.clock, **more)
        self.failing: set[object] = set()
        self.answers: dict[str, list[object]] = {}
        self.app = FlagsMiddleware(self._app, flags=self.flags, context=lambda environ: environ["who"])

    def write(self, flag: dict[str, Any], **sections: Any) -> None:
        self.file.write_text(json.dumps({**sections, "flags": {FLAG: flag, "other": {}}}))

    def edit(self, flag: dict[str, Any], **sections: Any) -> None:
        """The file as it is from now on."""
        self.write(flag, **sections)
        self.flags.refresh()
        assert not self.flags.status().problems
        assert not self.flags.status().rejected

    def _app(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answer = self.flags.get(FLAG, -1)
        self.answers.setdefault(environ["who"].key, []).append(answer)
        start_response("500 No" if answer in self.failing else "200 OK", [])
        return [b"."]

    def request(self, key: str, plan: str = "pro") -> None:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "who": pf.Context(key, {"plan": plan})}
        body: Any = self.app(environ, lambda *_: None)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    def run(self, seconds: float) -> None:
        """Everybody comes by in each five seconds; then the controller looks."""
        for _ in range(round(seconds / 5)):
            for key in PEOPLE:
                self.request(key)
            self.clock.advance(5)
            self.flags.rollouts.tick()

    def served(self) -> dict[object, int]:
        """What so many of them get, by every way of asking."""
        asked = [pf.Context(key, {"plan": "pro"}) for key in PEOPLE]
        values = [self.flags.get(FLAG, -1, who) for who in asked]
        assert values == [self.flags.evaluate(FLAG, None, who).value for who in asked]
        assert values == [self.flags.explain(FLAG, who).evaluation.value for who in asked]
        return dict(Counter(values))

    @property
    def status(self) -> Any:
        return self.flags.rollouts.status(FLAG)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.flags.close()


def inside(share: float, run: int = 1) -> set[str]:
    """Who is served the new definition at that share (in percent)."""
    return {key for key in PEOPLE if bucket("d", f"{FLAG}#{run}", key) < share * 10_000}


def test_a_good_one_climbs_to_everybody_and_says_that_the_file_does_not_have_it(shop: Shop) -> None:
    """Stage by stage the same people and more; then a warning until the file has it, and nobody notices when it does."""
    status = shop.flags.rollouts.change(FLAG, NEW, by="ann", reason="for schools")
    assert (status.state, status.percent, status.run) == (State.RAMPING, 10.0, 1)
    assert f"new definition {status.change}" in str(status)
    assert shop.served() == {20: len(inside(10)), 5: 400 - len(inside(10))}
    shop.run(400)

    assert shop.status.state is State.COMPLETED
    assert shop.served() == {20: 400}
    [note] = shop.status.notes
    assert "put it into the file" in note
    assert [warning.key for warning in shop.flags.status().warnings] == [f"flags.{FLAG}"]
    assert all(got in ([5] * n + [20] * (len(got) - n) for n in range(len(got) + 1)) for got in shop.answers.values())
    shop.edit(NEW)
    assert shop.served() == {20: 400}
    assert shop.status.notes == ("the file has it now",)
    assert not shop.flags.status().warnings
    assert shop.flags.rollouts.verify(FLAG) == ()


def test_a_bad_rule_is_rolled_back_on_real_traffic_and_the_others_never_notice(shop: Shop) -> None:
    """By its error gate: who is outside the share gets exactly the old answers throughout, and who was inside gets them back."""
    bad = {
        **NEW,
        "rollout": {**NEW["rollout"], "stages": [{"percent": 20, "bake": "60s", "min_samples": 20, "gates": [GATE]}], "brake": False},
    }
    shop.failing = {20}
    shop.flags.rollouts.change(FLAG, bad, by="ann")
    shop.run(60)

    assert shop.status.state is State.ROLLED_BACK
    assert "error_rate" in shop.status.reason
    assert shop.served() == {5: 400}
    met = {key for key, got in shop.answers.items() if 20 in got}
    assert met == inside(20)
    assert all(set(shop.answers[key]) == {5} for key in PEOPLE if key not in met)


def test_the_brake_stops_it_here_before_any_look(shop: Shop) -> None:
    """One that blows up: the old definition answers from the next request on, though the clock stands still."""
    shop.failing = {20}
    shop.flags.rollouts.change(FLAG, {**NEW, "rollout": {**NEW["rollout"], "stages": [{"percent": 50, "bake": "60s"}]}})
    for key in PEOPLE:
        shop.request(key)

    assert shop.served() == {5: 400}
    assert sum(20 in got for got in shop.answers.values()) < 60
    shop.flags.rollouts.tick()
    assert shop.status.state is State.ROLLED_BACK
    assert shop.served() == {5: 400}


@pytest.mark.parametrize("step", ["climbing", "watched", "done"])
def test_a_third_definition_in_the_file_ends_it(shop: Shop, step: str) -> None:
    """The file wins at once; what is under way is ended by the controller with a reason, and the old file does not bring it back."""
    shop.flags.rollouts.change(FLAG, NEW)
    shop.run({"climbing": 0, "watched": 200, "done": 400}[step])
    third = {**OLD, "rules": [{"when": 'plan == "pro"', "serve": "none"}]}
    shop.edit(third)
    assert shop.served() == {0: 400}
    shop.flags.rollouts.tick()

    assert shop.status.state is (State.COMPLETED if step == "done" else State.SUPERSEDED)
    assert "another definition by now" in f"{shop.status.reason} {shop.status.notes}"
    if step != "done":
        with pytest.raises(TransitionRefused, match="make the change anew, or start the flag's own rollout"):
            shop.flags.rollouts.retry(FLAG)
    shop.edit(OLD)
    shop.run(20)
    assert shop.served() == {5: 400}


def test_the_new_definition_in_the_file_ends_the_climb_and_completes_the_watch(shop: Shop) -> None:
    """Nothing could take it back any more, and it says so."""
    shop.flags.rollouts.change(FLAG, NEW)
    shop.edit(NEW)
    shop.flags.rollouts.tick()
    assert (shop.status.state, shop.served()) == (State.SUPERSEDED, {20: 400})
    assert "has the new definition now" in shop.status.reason

    shop.edit(OLD)
    shop.flags.rollouts.change(FLAG, NEW)
    shop.run(200)
    assert shop.status.state is State.WATCHING
    shop.edit(NEW)
    shop.flags.rollouts.tick()
    assert (shop.status.state, shop.served()) == (State.COMPLETED, {20: 400})


def test_a_release_that_has_it_takes_over_process_by_process_and_one_that_went_back_means_it(tmp_path: Path) -> None:
    """While the new file spreads nobody is served the old definition; a process that begins later with the old file serves that."""
    clock = ManualClock(wall=1_800_000_000.0)
    with closing((first := Shop(tmp_path, clock, "a.json")).flags), closing((second := Shop(tmp_path, clock, "b.json")).flags):
        first.flags.rollouts.change(FLAG, NEW)
        first.run(400)
        second.flags.refresh()
        first.edit(NEW)
        clock.advance(5)
        first.flags.rollouts.tick()
        second.flags.refresh()
        assert (first.served(), second.served()) == ({20: 400}, {20: 400})
        steps = first.flags.rollouts.history(FLAG)
        assert (steps[-1].source, steps[-1].target) == (State.COMPLETED, State.COMPLETED)
        assert steps[-1].reason == "the flag's file has the new definition now, and serves it to everybody"

        clock.advance(5)
        with closing((third := Shop(tmp_path, clock, "c.json")).flags):
            assert third.served() == {5: 400}
            assert "a process that begins with this file serves the file's" in third.status.notes[0]
        assert second.served() == {20: 400}


def test_two_processes_serve_everybody_alike_and_either_may_carry_it_on(tmp_path: Path) -> None:
    """One store: the one that did not begin it serves the same people, rolls it back, and so does the first."""
    clock = ManualClock(wall=1_800_000_000.0)
    with closing((first := Shop(tmp_path, clock)).flags), closing((second := Shop(tmp_path, clock)).flags):
        first.flags.rollouts.change(FLAG, NEW)
        second.flags.refresh()
        assert first.served() == second.served() == {20: len(inside(10)), 5: 400 - len(inside(10))}
        second.run(80)
        first.flags.refresh()
        assert first.served() == second.served() == {20: len(inside(50)), 5: 400 - len(inside(50))}
        second.flags.rollouts.rollback(FLAG)
        first.flags.refresh()
        assert first.served() == second.served() == {5: 400}
        with pytest.raises(TransitionRefused, match="cools down"):
            first.flags.rollouts.retry(FLAG)
        first.flags.rollouts.retry(FLAG, force=True)
        assert first.served() == {20: len(inside(10)), 5: 400 - len(inside(10))}  # the same people as before


def test_a_change_that_was_decided_on_something_else_is_refused(shop: Shop) -> None:
    """`seen=`, as for every verb."""
    shop.flags.rollouts.change(FLAG, NEW, seen="0.0.")
    seen = shop.flags.rollouts.rollback(FLAG).version
    shop.flags.rollouts.retry(FLAG, force=True)
    shop.flags.rollouts.rollback(FLAG)
    with pytest.raises(pf.MovedOn):
        shop.flags.rollouts.change(FLAG, NEW, force=True, seen=seen)
    assert shop.served() == {5: 400}


def test_another_change_draws_other_people(shop: Shop) -> None:
    """So that the same few do not meet every change first."""
    shop.flags.rollouts.change(FLAG, NEW)
    shop.flags.rollouts.rollback(FLAG)
    with pytest.raises(TransitionRefused, match="cools down"):
        shop.flags.rollouts.change(FLAG, NEW)
    shop.flags.rollouts.change(FLAG, NEW, force=True)
    assert shop.status.run == 2
    assert shop.served()[20] == len(inside(10, run=2))
    assert inside(10, run=1) != inside(10, run=2)


def test_who_follows_a_published_snapshot_serves_it_too(shop: Shop, tmp_path: Path) -> None:
    """Definitions, live state and the change in one file, read only."""
    place = tmp_path / "public" / "all.json"
    shop.flags.rollouts.change(FLAG, NEW)
    with closing(Publisher(shop.file, store=f"sqlite:///{shop.database}", to=place)) as publisher:
        publisher.publish()
    with closing(Site(place.read_bytes(), "/all.json")) as site, closing(HttpSource(site.url)) as source:
        with closing(pf.connect(source, poll=None)) as follower:
            asked = [pf.Context(key, {"plan": "pro"}) for key in PEOPLE]
            assert [follower.get(FLAG, -1, who) for who in asked] == [shop.flags.get(FLAG, -1, who) for who in asked]
            assert shop.served().keys() == {5, 20}
            assert follower.rollouts.status(FLAG).change == shop.status.change


def test_a_rollout_of_its_own_stays_where_it_stands(shop: Shop) -> None:
    """A flag that was rolled out keeps that on both sides, and after a rollback of the change."""
    table = {"rollout": {**rollout_table(), "variant": "small"}}
    old = {"variants": VARIANTS, "default": "none", "rules": [{"when": "beta", "serve": "none"}], **table}
    new = {"variants": VARIANTS, "default": "none", "rules": [{"when": 'plan == "pro"', "serve": "large"}], **table}
    shop.edit(old)
    shop.flags.rollouts.start(FLAG)
    shop.run(400)
    assert (shop.status.state, shop.served()) == (State.COMPLETED, {5: 400})
    heard: list[Change] = []
    shop.flags.bus.listen(Change, heard.append)
    shop.flags.rollouts.change(FLAG, new)
    assert shop.served() == {20: len(inside(10, run=2)), 5: 400 - len(inside(10, run=2))}
    for told in (heard, reversed(shop.flags.changes(FLAG))):  # a share of a definition, not the flag's own that fell from 100 %
        shares = [(one.before, one.after) for one in told if one.kind is ChangeKind.SHARE]
        assert shares[-1] == (0.0, 10.0)
        assert (100.0, 0.0) not in shares
    shop.flags.rollouts.rollback(FLAG)
    assert shop.served() == {5: 400}
    shop.flags.rollouts.rollback(FLAG)
    assert shop.served() == {5: 400}
    shop.flags.rollouts.start(FLAG)  # the flag's own again, which was never rolled back: from its first stage
    assert shop.status.change == ""
    assert [(one.before, one.after) for one in heard if one.kind is ChangeKind.SHARE] == [(0.0, 10.0), (10.0, 0.0), (0.0, 10.0)]
    assert shop.served().keys() == {0, 5}


def test_what_is_refused_says_why_and_what_to_do(shop: Shop, tmp_path: Path) -> None:
    """Nothing differs, another type, a missing flag, a mistake by file, line and key, a rollout under way, a change that is not in the file."""
    change = shop.flags.rollouts.change
    with pytest.raises(TransitionRefused, match="there is nothing to deliver"):
        change(FLAG, {**OLD, "description": "another word", "owner": "shop"})
    with pytest.raises(TransitionRefused, match="there is no flag 'discont': did you mean 'discount'"):
        change("discont", NEW)
    with pytest.raises(DefinitionError, match="a string flag, and the one that serves is a number"):
        change(FLAG, {"variants": {"a": "x"}, "default": "a"})
    with pytest.raises(DefinitionError, match="there is no segment 'eu'"):
        change(FLAG, {**OLD, "rules": [{"when": 'segment("eu")', "serve": "small"}]})
    with pytest.raises(DefinitionError, match="the prerequisites go in a circle"):
        change(FLAG, {**OLD, "requires": [{"flag": FLAG, "is": "none"}]})
    with pytest.raises(DefinitionError, match="at most 262,144 is kept|at most 262,144"):
        change(
            FLAG,
            {**OLD, "rules": [{"when": {"attribute": "id", "op": "in", "value": [f"{n:08}" for n in range(30_000)]}, "serve": "small"}]},
        )
    file = tmp_path / "new.toml"
    file.write_text('[flags.discount]\nvariants = { none = 0 }\ndefault = "none"\n\n[[flags.discount.rules]]\nserve = "smal"\n')
    with pytest.raises(DefinitionError) as wrong:
        change(FLAG, file)
    assert str(wrong.value.problems[0]).startswith(f"{file}:6: flags.discount.rules[0].serve: there is no variant 'smal'")
    file.write_text("[flags.other]\n")
    with pytest.raises(DefinitionError, match="the new definition of the flag is missing"):
        change(FLAG, file)
    plan = {**NEW, "rollout": {"stages": [{"percent": 50, "bake": "an hour"}]}}
    with pytest.raises(DefinitionError, match=r"flags\.discount\.rollout\.stages"):
        change(FLAG, plan)
    assert shop.flags.rollouts._parts.ledger.page(FLAG).record is None  # none of it left a trace

    change(FLAG, NEW)
    with pytest.raises(TransitionRefused, match="is ramping, so its definition can't be changed now"):
        change(FLAG, {**OLD, "rules": []})
    shop.run(400)
    with pytest.raises(TransitionRefused, match="is not in the file: put it there first"):
        change(FLAG, {**OLD, "rules": []})
    shop.edit({**OLD, "rollout": {"variant": "small"}})  # the same rules, so still not the new ones
    with pytest.raises(TransitionRefused, match="is not started: the change of its definition serves everybody"):
        shop.flags.rollouts.start(FLAG)


def test_a_whole_file_brings_its_segments_and_the_rest_comes_from_the_file_that_serves(shop: Shop, tmp_path: Path) -> None:
    """What it says itself counts; dates and times survive the store; and nothing that it does not use is kept."""
    shop.edit(OLD, segments={"eu": {"when": 'country == "de"'}, "big": {"when": "orders > 10"}})
    file = tmp_path / "new.toml"
    file.write_text(
        "[flags.elsewhere]\n[segments.eu]\nwhen = 'country == \"fr\"'\n[flags.discount]\nvariants = { none = 0, small = 5, large = 20 }\n"
        'default = "none"\n[[flags.discount.rules]]\nwhen = \'segment("eu") and segment("big")\'\nserve = "large"\nfrom = 2026-01-01\n'
        'until = 2099-01-01T08:00:00Z\n[flags.discount.rollout]\nvariant = "large"\nstages = [{ percent = 50, bake = "60s" }]\n'
    )
    shop.flags.rollouts.change(FLAG, str(file))
    edit = shop.flags.rollouts._parts.ledger.page(FLAG).record.edit  # type: ignore[union-attr]
    assert edit is not None
    assert edit.definition["segments"] == {"big": {"when": "orders > 10"}, "eu": {"when": 'country == "fr"'}}
    assert edit.definition["flags"].keys() == {FLAG}
    assert edit.definition["flags"][FLAG]["rules"][0]["from"] == "2026-01-01"
    for key in sorted(inside(50))[:20]:
        assert shop.flags.get(FLAG, -1, pf.Context(key, {"country": "fr", "orders": 11})) == 20
        assert shop.flags.get(FLAG, -1, pf.Context(key, {"country": "de", "orders": 11})) == 0


def test_a_progflags_that_knows_of_no_changes_leaves_it_alone(shop: Shop) -> None:
    """The rollout is of a version that it does not read, and the flag's document says what the file would."""
    shop.flags.rollouts.change(FLAG, NEW)
    store = SQLiteStore(shop.database, clock=shop.clock)
    documents = store.read()[1]
    assert documents[f"rollout/{FLAG}"].body["v"] == 2
    served = documents[f"flag/{FLAG}"].body
    assert (served["share"], served["counting"], served["edit"]["share"]) == (None, False, 100_000)
    with pytest.raises(StoreError, match="of version 3 is in the store"):
        load({**documents[f"rollout/{FLAG}"].body, "v": 3})
    store.close()


def test_the_past_and_the_log_say_what_was_under_way(shop: Shop) -> None:
    """`explain(at=)` answers by the definition that served then, and says so; shares are told apart from those of a variant."""
    heard: list[Change] = []
    shop.flags.bus.listen(Change, heard.append)
    before = shop.clock.now()
    shop.clock.advance(10)
    shop.flags.rollouts.change(FLAG, NEW, by="ann", reason="for schools")
    someone = min(inside(10))
    during = shop.clock.now()
    shop.clock.advance(10)
    shop.flags.rollouts.rollback(FLAG, by="bob")
    shop.clock.advance(10)
    who = pf.Context(someone, {"plan": "pro"})

    assert shop.flags.explain(FLAG, who).evaluation.value == 5
    assert shop.flags.explain(FLAG, who, at=before).evaluation.value == 5
    then = shop.flags.explain(FLAG, who, at=during)
    assert then.evaluation.value == 20
    assert "another definition" in str(then)
    changes = shop.flags.changes(FLAG)
    shares = [(one.before, one.after) for one in reversed(changes) if one.kind is ChangeKind.SHARE]
    assert shares == [(0.0, 10.0), (10.0, 0.0)]
    assert all("of the new definition" in one.reason for one in changes if one.kind is ChangeKind.SHARE)
    assert any(one.reason.startswith("new definition ") and one.reason.endswith("(rules): for schools") for one in changes)
    assert [(one.before, one.after) for one in heard if one.kind is ChangeKind.SHARE] == shares


def test_a_file_with_environments_is_read_as_it_is_here(tmp_path: Path) -> None:
    """What it says of this one is laid over it; one that does not know this environment is taken as it stands."""
    old = {"flags": {FLAG: OLD}, "environments": {"staging": {}}}
    (tmp_path / "flags.json").write_text(json.dumps(old))
    new = {"flags": {FLAG: NEW}, "environments": {"staging": {"flags": {FLAG: {"variants": {"large": 50}}}}}}
    clock = ManualClock(wall=1_800_000_000.0)
    with closing(pf.connect(tmp_path / "flags.json", clock=clock, environment="staging")) as flags:
        for given, large in ((new, 50), ({"flags": {FLAG: NEW}}, 20)):
            flags.rollouts.change(FLAG, given, force=True)
            served = {flags.get(FLAG, -1, pf.Context(key, {"plan": "pro"})) for key in PEOPLE}
            assert served == {5, large}
            flags.rollouts.rollback(FLAG)


def test_a_lenient_file_s_change_can_do_without_the_same_networks(shop: Shop) -> None:
    when = 'ip in cidr("10.0.0.0/8", "nope")'
    document = {"flags": {FLAG: {**NEW, "rules": [{"when": when, "serve": "large"}]}}}
    with pytest.raises(DefinitionError, match="lenient = true"):
        shop.flags.rollouts.change(FLAG, document)
    shop.flags.rollouts.change(FLAG, {"lenient": True, **document})
    shop.flags.rollouts.promote(FLAG, full=True)
    asked = [shop.flags.get(FLAG, -1, pf.Context("u", {"ip": ip})) for ip in ("10.1.2.3", "192.0.2.1")]
    assert asked == [20, 0]
    assert not [problem for problem in shop.flags.status().warnings if "can't be served" in problem.message]


def test_a_kill_meanwhile_keeps_the_change_and_stops_its_climb(shop: Shop) -> None:
    """In the store, too: taken back, everybody is served as before."""
    shop.flags.rollouts.change(FLAG, NEW)
    before = shop.served()
    shop.flags.kill(FLAG, by="ann", reason="support")
    assert shop.served() == {0: 400}
    shop.run(100)
    assert shop.status.percent == 10
    shop.flags.unkill(FLAG)
    assert shop.served() == before


def test_a_decorated_function_is_chosen_by_the_variant_and_counted_for_the_definition(shop: Shop) -> None:
    """The candidate of a change is no function: who is served which definition says nothing of the code behind a variant."""
    shop.edit({"rollout": {}})
    shop.flags.rollouts.change(FLAG, {"rules": [{"percent": 50, "serve": "on"}], "rollout": {"stages": [{"percent": 50, "bake": "1h"}]}})

    @pf.progressive(FLAG, candidate=lambda key: "new", flags=shop.flags, key=lambda key: key)
    def checkout(key: str) -> str:
        return "old"

    called = {key: checkout(key) for key in PEOPLE}
    assert called == {key: "new" if shop.flags.is_enabled(FLAG, key) else "old" for key in PEOPLE}
    assert 50 < list(called.values()).count("new") < 150
    counted = shop.flags.metrics.read(FLAG)
    assert counted["candidate"]["requests"] == len(inside(50))
    assert counted["control"]["requests"] == 400 - len(inside(50))
    shop.flags.metrics.record(FLAG, arm="on", seconds=0.1)  # a variant is no arm now
    assert shop.flags.metrics.read(FLAG)["candidate"]["requests"] == len(inside(50))


def test_a_process_that_starts_without_the_store_serves_what_was_seen_last(tmp_path: Path) -> None:
    """The change is in the folder of the last known good, with the rest of the live state."""
    clock = ManualClock(wall=1_800_000_000.0)
    with closing((first := Shop(tmp_path, clock, last_known_good=tmp_path / "kept")).flags):
        first.flags.rollouts.change(FLAG, NEW)
        served = first.served()
        first.flags.rollouts.carry()
    (tmp_path / "state.db").rename(tmp_path / "away.db")
    (tmp_path / "state.db").mkdir()
    with closing((second := Shop(tmp_path, clock, last_known_good=tmp_path / "kept")).flags):
        assert second.flags.status().store_problem
        assert second.served() == served


def test_a_store_that_went_back_to_before_a_change_rolls_nothing_back(tmp_path: Path) -> None:
    """The share of a change is none of the flag's own rollout, which stood at everybody all the while."""
    clock = ManualClock(wall=1_800_000_000.0)
    table = {"rollout": {**rollout_table(), "variant": "small"}}
    old = {"variants": VARIANTS, "default": "none", **table}
    with closing((shop := Shop(tmp_path, clock)).flags):
        shop.edit(old)
        shop.flags.rollouts.start(FLAG)
        shop.run(400)
        copy = SQLiteStore(shop.database, clock=clock).read()[1]
        shop.flags.rollouts.change(FLAG, {**old, "rules": [{"when": 'plan == "pro"', "serve": "large"}]})
        assert shop.served().keys() == {5, 20}
        before = dict(shop.flags.rollouts._parts.controller.pages)
        ledger = shop.flags.rollouts._parts.ledger
        earlier = {FLAG: ledger._page(switch(FLAG, copy), copy[f"rollout/{FLAG}"])}
        shop.flags.rollouts._parts.looks._hold(shop.flags.rollouts._parts.brake, before, earlier)
        assert shop.flags.rollouts._parts.brake.intent(FLAG) is None
