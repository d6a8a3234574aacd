"""A share is of one variant. Edit the file to another, and nobody is served what was never judged."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import progflags as pf
from progflags.rollout import State
from progflags.store import Commit, SQLiteStore
from progflags.testing import ManualClock
from rollout.conftest import rollout_table
from support.patience import until

FLAG = "checkout"
PEOPLE = [f"user-{number}" for number in range(500)]
VARIANTS = {"classic": "c", "fast": "f", "faster": "x"}


class Shop:
    """One process: a file, a SQLite store, a clock that moves when told to."""

    def __init__(self, folder: Path, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(wall=1_800_000_000.0)
        self.file = folder / "flags.json"
        self.database = folder / "state.db"
        if not self.file.exists():
            self.edit()
        self.flags = pf.connect(self.file, store=f"sqlite:///{self.database}", clock=self.clock)

    def edit(self, variant: str = "fast", *, variants: dict[str, str] | None = None, default: str = "classic", **table: Any) -> None:
        """The file as it is from now on; it is read at the next look."""
        flag = {"variants": variants or VARIANTS, "default": default, "rollout": {**rollout_table(**table), "variant": variant}}
        self.file.write_text(json.dumps({"flags": {FLAG: flag}}))
        if hasattr(self, "flags"):
            self.flags.refresh()
            assert not self.flags.status().problems
            assert not self.flags.status().rejected

    def run(self, seconds: float) -> None:
        """Traffic without a failure, and the controller's ticks."""
        for _ in range(round(seconds / 5)):
            for arm in ("control", "candidate"):
                self.flags.metrics.record(FLAG, arm=arm, seconds=0.1, error=False, n=50)
            self.clock.advance(5)
            self.flags.rollouts.tick()

    @property
    def state(self) -> State:
        return self.flags.rollouts.status(FLAG).state

    def served(self) -> dict[str, int]:
        """How many people get which variant."""
        said = [self.flags.evaluate(FLAG, None, person) for person in PEOPLE]
        assert {one.error_code for one in said} == {None}
        assert [self.flags.get(FLAG, "none", person) for person in PEOPLE] == [one.value for one in said]
        assert [self.flags.explain(FLAG, person).evaluation.variant for person in PEOPLE] == [one.variant for one in said]
        return dict(Counter(str(one.variant) for one in said))

    def forget(self) -> None:
        """The store as an older progflags left it: a flag's document says nothing about the variant."""
        store = SQLiteStore(self.database, clock=self.clock)
        body = dict(store.read(f"flag/{FLAG}")[1][f"flag/{FLAG}"].body)
        body.pop("variant", None)
        store.commit(Commit({f"flag/{FLAG}": body}))
        store.close()


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.flags.close()


def completed(shop: Shop) -> None:
    shop.flags.rollouts.start(FLAG)
    shop.run(400)
    assert shop.state is State.COMPLETED
    assert shop.served() == {"fast": 500}


def test_after_100_percent_another_variant_waits_for_its_own_rollout(shop):
    """What was judged stays where it is; the new one is served to nobody before its first stage, and then to that share."""
    completed(shop)
    shop.edit("faster")

    assert shop.served() == {"fast": 500}
    shop.run(30)
    assert (shop.state, shop.served()) == (State.COMPLETED, {"fast": 500})
    shop.flags.rollouts.start(FLAG)
    people = shop.served()
    assert 25 < people.pop("faster") < 80
    assert people.keys() == {"classic"}


def test_the_next_rollout_climbs_from_the_last_ones_winner_once_that_is_the_default(shop):
    """As the documentation says it is done: nobody ever gets what came before the winner."""
    completed(shop)
    shop.edit("faster", default="fast")

    assert shop.served() == {"fast": 500}
    shop.flags.rollouts.start(FLAG)
    assert shop.served().keys() == {"fast", "faster"}
    shop.run(400)
    assert (shop.state, shop.served()) == (State.COMPLETED, {"faster": 500})


def test_a_winner_that_is_the_default_by_now_asks_for_no_key(tmp_path):
    """Beside a holdback its share is below 100 %, and still the same for everybody."""
    shop = Shop(tmp_path)
    shop.edit(holdback=5)
    shop.flags.rollouts.start(FLAG)
    shop.run(400)
    assert shop.state is State.COMPLETED
    assert shop.served()["fast"] > 450
    shop.edit("faster", holdback=5)
    assert shop.served()["fast"] > 450
    shop.edit("faster", default="fast", holdback=5)

    answer = shop.flags.evaluate(FLAG, "none")
    assert (answer.variant, answer.reason, answer.error_code) == ("fast", "STATIC", None)
    shop.flags.close()


def test_a_winner_that_the_file_no_longer_names_is_served_to_nobody(shop):
    """There is nothing left to serve; the default is what is left."""
    completed(shop)
    shop.edit("faster", variants={"classic": "c", "faster": "x"})

    assert shop.served() == {"classic": 500}


def test_in_the_middle_of_a_climb_another_variant_is_served_to_nobody_at_once(shop):
    """The file has given up the one under way, and no tick has to come first to say so; nothing is counted for either arm."""
    shop.flags.rollouts.start(FLAG)
    shop.run(75)
    assert shop.flags.rollouts.status(FLAG).percent == 50
    assert 200 < shop.served()["fast"] < 300
    before = shop.flags.metrics.read(FLAG)
    shop.edit("faster")

    assert shop.served() == {"classic": 500}
    assert shop.flags.metrics.read(FLAG) == before
    shop.clock.advance(0.2)
    shop.flags.rollouts.tick()
    assert (shop.state, shop.served()) == (State.SUPERSEDED, {"classic": 500})


def test_an_edit_taken_back_before_anybody_looked_changes_nothing(shop):
    shop.flags.rollouts.start(FLAG)
    shop.run(75)
    before = shop.served()
    shop.edit("faster")
    shop.edit("fast")

    assert shop.served() == before
    shop.run(30)
    assert shop.state is State.BAKING


@pytest.mark.parametrize("seconds", [75, 400])
def test_a_store_written_before_shares_named_their_variant_is_read_as_ever(shop, seconds):
    """The rollout beside it knows whose share it is; the next step writes it down."""
    shop.flags.rollouts.start(FLAG)
    shop.run(seconds)
    before, state = shop.served(), shop.state
    shop.forget()
    shop.flags.refresh()
    assert (shop.served(), shop.state) == (before, state)

    shop.edit("faster")
    assert shop.served() == ({"fast": 500} if state is State.COMPLETED else {"classic": 500})
    shop.edit("fast")
    assert shop.served() == before
    shop.flags.rollouts.rollback(FLAG)
    assert shop.served() == {"classic": 500}
    shop.flags.rollouts.retry(FLAG, force=True)
    shop.run(400)
    assert (shop.state, shop.served()) == (State.COMPLETED, {"fast": 500})
    assert shop.flags.live(FLAG).variant == "fast"


def test_an_older_progflags_that_starts_another_variant_leaves_no_wrong_name_behind(shop):
    """In the middle of an upgrade both write the same store, and the older keeps the key it does not know."""
    completed(shop)
    shop.edit("faster")
    shop.flags.rollouts.start(FLAG)
    store = SQLiteStore(shop.database, clock=shop.clock)
    body = store.read(f"flag/{FLAG}")[1][f"flag/{FLAG}"].body
    store.commit(Commit({f"flag/{FLAG}": {**body, "variant": "fast"}}))
    store.close()

    shop.flags.refresh()
    assert shop.served().keys() == {"classic", "faster"}


def test_a_process_that_begins_after_the_edit_serves_what_the_others_do(shop, tmp_path):
    completed(shop)
    shop.edit("faster")
    other = Shop(tmp_path, shop.clock)
    try:
        assert other.served() == shop.served() == {"fast": 500}
        shop.flags.kill(FLAG)
        other.flags.refresh()
        assert other.served() == {"classic": 500}
        other.flags.unkill(FLAG)
        shop.flags.refresh()
        assert other.served() == shop.served() == {"fast": 500}
    finally:
        other.flags.close()


def test_a_decorated_function_runs_the_candidate_for_its_own_variant_alone(shop):
    """The code behind it may be the new variant's already, so whoever is served the old one gets the control."""
    checkout = pf.progressive(FLAG, candidate=lambda: "candidate", flags=shop.flags, key=lambda: "user-1")(lambda: "control")
    completed(shop)
    assert checkout() == "candidate"
    shop.edit("faster")
    assert checkout() == "control"


def test_openfeature_hears_of_the_edit_and_answers_with_what_was_judged(shop):
    api = pytest.importorskip("openfeature.api")
    from openfeature.event import ProviderEvent

    from progflags.contrib.openfeature import ProgflagsProvider

    completed(shop)
    heard: list[Any] = []
    api.set_provider_and_wait(ProgflagsProvider(shop.flags), domain="variant")
    client = api.get_client(domain="variant")
    client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda details: heard.append(details.flags_changed))
    try:
        shop.edit("faster")
        assert client.get_string_details(FLAG, "none").variant == "fast"
        until(lambda: [FLAG] in heard)  # handlers run in threads of OpenFeature's own
    finally:
        api.shutdown()


def test_explain_and_status_say_whose_share_it_is(shop):
    completed(shop)
    shop.edit("faster")

    assert "of fast, which was rolled out before" in str(shop.flags.explain(FLAG, "user-1"))
    status = shop.flags.rollouts.status(FLAG)
    assert status.changed
    assert any("make 'fast' the default first" in note for note in status.notes)
    shop.edit("faster", variants={"classic": "c", "faster": "x"})
    assert any("no longer has 'fast'" in note for note in shop.flags.rollouts.status(FLAG).notes)
    shop.edit("faster", default="fast")
    assert shop.flags.rollouts.status(FLAG).notes == ()


def test_making_the_winner_the_default_of_two_variants_does_not_bring_back_the_loser(shop):
    """The only other variant is then the candidate by itself, and has no share."""
    two = {"classic": "c", "fast": "f"}
    completed(shop)
    table = rollout_table()
    shop.file.write_text(json.dumps({"flags": {FLAG: {"variants": two, "default": "fast", "rollout": table}, "other": {}}}))
    shop.flags.refresh()

    assert shop.flags.definitions.flags[FLAG].candidate == "classic"
    assert shop.served() == {"fast": 500}


@pytest.mark.parametrize(
    "damage",
    [
        {"killed": "yes"},
        {"killed": True},
        {"killed": {"at": "yesterday"}},
        {"killed": {"at": 10**400}},
        {"run": "3"},
        {"counting": "no"},
        {"variant": 3},
        {"share": 2_000_000},
    ],
)
def test_a_flags_document_that_somebody_wrote_by_hand_is_refused_in_a_sentence(shop, damage, caplog):
    """Whoever serves goes on as before, nobody guesses what was meant; a kill and a rollback hold here all the same."""
    completed(shop)
    store = SQLiteStore(shop.database, clock=shop.clock)
    whole = store.read(f"flag/{FLAG}")[1][f"flag/{FLAG}"].body
    store.commit(Commit({f"flag/{FLAG}": {**whole, **damage}}))

    shop.flags.refresh()
    assert shop.served() == {"fast": 500}
    assert re.search(f"flag/{FLAG}.*put back what was there", caplog.text)
    shop.flags.kill(FLAG)
    assert shop.served() == {"classic": 500}
    assert len(shop.flags.status().pending) == 1
    shop.flags.unkill(FLAG)
    assert shop.served() == {"fast": 500}
    shop.flags.rollouts.rollback(FLAG)
    assert shop.served() == {"classic": 500}

    store.commit(Commit({f"flag/{FLAG}": dict(whole)}))
    store.close()
    shop.flags.rollouts.tick()
    assert (shop.state, shop.served()) == (State.ROLLED_BACK, {"classic": 500})
    assert shop.flags.status().pending == ()


def test_what_is_told_by_hand_of_a_variant_counts_on_its_arm(tmp_path):
    """`arm="fast"` was an arm of its own, whose failures nobody judged; a variant that the rollout doesn't compare has none."""
    shop = Shop(tmp_path)
    shop.flags.rollouts.start(FLAG)
    shop.flags.metrics.record(FLAG, arm="fast", seconds=0.1, error=True, n=3)
    shop.flags.metrics.record(FLAG, arm="classic", seconds=0.1, error=False, n=5)
    shop.flags.metrics.observe(FLAG, "items", 2.0, arm="fast")
    shop.flags.metrics.record(FLAG, arm="faster", seconds=0.1, error=True)

    counts = shop.flags.metrics.read(FLAG)
    assert {arm: (of["requests"], of["errors"]) for arm, of in counts.items()} == {"control": (5, 0), "candidate": (3, 3)}
    assert counts["candidate"]["items"]["n"] == 1
    assert [warning.message for warning in shop.flags.status().warnings] == [
        "an observation of checkout was not counted: it has no arm 'faster'"
    ]
    shop.flags.close()


def test_the_brake_hears_what_is_told_by_hand_of_a_variant(tmp_path):
    shop = Shop(tmp_path)
    shop.flags.rollouts.start(FLAG)
    shop.flags.metrics.record(FLAG, arm="classic", seconds=0.1, error=False, n=100)
    shop.flags.metrics.record(FLAG, arm="fast", seconds=0.1, error=True, n=100)
    shop.flags.rollouts.tick()

    assert shop.state == "rolled_back"
    shop.flags.close()
