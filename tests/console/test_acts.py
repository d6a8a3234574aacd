"""The verbs: who may, with a reason, about what was seen; and what the history has of it."""

import pytest

import progflags as pf
from console.conftest import DOCUMENT, TOKENS, asking
from progflags._console._acts import ACTS
from progflags.notify import Hook
from progflags.rollout import State, legal
from progflags.store import MemoryStore

VIEWER, OPERATOR, APPROVER = TOKENS


async def version(client, flag="checkout"):
    return (await client.get("/api/rollout", params={"flag": flag})).json()["version"]


async def said(client, verb, flag="checkout", **fields):
    seen = fields.pop("seen", None) or (await version(client, flag) if flag in ("checkout", "search") else "")
    return await client.post(f"/api/act/{verb}", json={"flag": flag, "reason": "because", "seen": seen, **fields})


def test_every_verb_of_a_rollout_but_skip_has_a_button():
    """`skip` waives a bake: nothing one does at a glance."""
    assert {str(verb) for state in State for verb in legal(state)} - {"skip"} <= ACTS.keys()


@pytest.mark.parametrize("verb", ACTS)
async def test_who_may_only_look_does_nothing(app, flags, verb):
    before = flags.changes()
    async with asking(app, VIEWER) as client:
        answer = await said(client, verb, confirm="checkout")

    assert answer.status_code == 403
    assert flags.changes() == before


async def test_an_operator_steers(app, flags):
    async with asking(app, OPERATOR) as client:
        for verb, state in (("pause", "paused"), ("resume", "ramping"), ("rollback", "rolled_back"), ("abort", None)):
            answer = await said(client, verb)
            if state is None:
                assert (answer.status_code, "retry" in answer.json()["legal"]) == (409, True)
            else:
                assert (answer.status_code, answer.json()["status"]["state"]) == (200, state)

    people = [(step.actor, step.reason) for step in flags.rollouts.history("checkout") if step.actor == "otto"]
    assert people[0] == ("otto", "because")


async def test_an_operator_can_not_approve_and_whoever_started_it_neither(app, flags):
    """Two people are two names that were let in."""
    async with asking(app, OPERATOR) as otto, asking(app, APPROVER) as anna:
        assert (await said(anna, "start", "search")).status_code == 200
        flags.rollouts.tick()
        assert flags.rollouts.status("search").state == "awaiting_approval"
        assert (await said(otto, "approve", "search")).status_code == 403
        refused = await said(anna, "approve", "search")
        assert refused.status_code == 409
        assert "two people" in refused.json()["error"]
    both = pf.console(flags, token={"second-0123456789abcdef": pf.Viewer("bea", ("approver",))})
    async with asking(both, "second-0123456789abcdef") as bea:
        assert (await said(bea, "approve", "search")).status_code == 200
    assert flags.rollouts.status("search").state == "ramping"


async def test_switches_turn(app, flags):
    async with asking(app, OPERATOR) as client:
        assert (await said(client, "kill", "banner")).status_code == 200
        assert flags.live("banner").killed.by == "otto"
        assert (await said(client, "unkill", "banner")).status_code == 200
        assert flags.live("banner").killed is None
        assert (await said(client, "panic", "")).status_code == 422
        assert (await said(client, "panic", "", confirm="Panic")).status_code == 422
        assert not flags.status().panicking
        assert (await said(client, "panic", "", confirm="panic")).status_code == 200
        assert flags.status().panic.by == "otto"
        assert (await said(client, "unpanic", "")).status_code == 200
        assert not flags.status().panicking


async def test_a_promotion_is_confirmed_by_typing_the_flags_name(app, flags):
    async with asking(app, OPERATOR) as client:
        for typed in ("", "Checkout", "checkout ", "search"):
            assert (await said(client, "promote", confirm=typed)).status_code == 422
        before = flags.rollouts.status("checkout").percent
        assert (await said(client, "promote", confirm="checkout")).status_code == 200
        assert flags.rollouts.status("checkout").percent > before


@pytest.mark.parametrize("reason", ["", "   "])
async def test_a_reason_is_wanted(app, flags, reason):
    async with asking(app, OPERATOR) as client:
        assert (await said(client, "rollback", reason=reason)).status_code == 422
    assert flags.rollouts.status("checkout").state == "ramping"


async def test_what_was_decided_about_another_state_is_refused_with_what_changed(app, flags):
    async with asking(app, OPERATOR) as client:
        seen = await version(client)
        flags.rollouts.pause("checkout", by="bob", reason="lunch")
        answer = await said(client, "promote", seen=seen, confirm="checkout")

    told = answer.json()
    assert answer.status_code == 409
    assert [(step["actor"], step["to"], step["reason"]) for step in told["changes"]] == [("bob", "paused", "lunch")]
    assert told["version"] != seen
    assert flags.rollouts.status("checkout").state == "paused"


async def test_what_comes_between_the_look_and_the_commit_is_refused_as_well(clock):
    """A hook in the store: bob is quicker than anna by the width of her commit."""
    meddle = []

    class Meddled(MemoryStore):
        def commit(self, commit):
            if meddle and "rollout/checkout" in commit.writes:
                meddle.pop()()
            return super().commit(commit)

    with pf.connect(DOCUMENT, store=Meddled(clock=clock), clock=clock) as flags:
        flags.rollouts.start("checkout", by="ann", reason="it is ready")
        async with asking(pf.console(flags, token=TOKENS), APPROVER) as anna:
            seen = await version(anna)
            meddle.append(lambda: flags.rollouts.pause("checkout", by="bob", reason="lunch"))
            answer = await said(anna, "promote", seen=seen, confirm="checkout")
            page = await anna.post("/act/promote", data={"flag": "checkout", "reason": "x", "seen": seen, "confirm": "checkout"})

        told = answer.json()
        assert answer.status_code == page.status_code == 409
        assert [(step["actor"], step["to"]) for step in told["changes"]] == [("bob", "paused")]
        assert "What changed meanwhile" in page.text
        assert told["version"] == flags.rollouts.status("checkout").version
        assert flags.rollouts.status("checkout").state == "paused"


async def test_the_way_down_is_open_whatever_happened_meanwhile(app, flags):
    """Who rolls back at 1 % means it at 10 % as well; but not the run of the day after."""
    async with asking(app, OPERATOR) as client:
        seen = await version(client)
        flags.rollouts.promote("checkout", by="bob", reason="in a hurry")
        assert (await said(client, "rollback", seen=seen)).status_code == 200
        flags.rollouts.retry("checkout", by="bob", force=True)
        assert (await said(client, "rollback", seen=seen)).status_code == 409
        assert (await said(client, "rollback", seen="")).status_code == 200


@pytest.mark.parametrize("seen", ["x", "1", "1.", "..", "1.99999999999999.", "-1.-1.", "1.²."])
async def test_a_version_that_is_none_is_another(app, seen):
    async with asking(app, OPERATOR) as client:
        assert (await said(client, "promote", seen=seen, confirm="checkout")).status_code == 409


@pytest.mark.parametrize(
    ("verb", "flag", "code"), [("explode", "checkout", 404), ("kill", "nothing", 409), ("start", "banner", 409), ("kill", "", 422)]
)
async def test_what_there_is_not_is_said(app, verb, flag, code):
    async with asking(app, OPERATOR) as client:
        assert (await said(client, verb, flag)).status_code == code


async def test_an_alert_rolls_back_where_a_hook_is(flags):
    """It proves itself to the hook; what it shows there is no token of the console, and counts as no wrong one."""
    app = pf.console(flags, token=TOKENS, hook=Hook(flags, token="an-alerts-token-0123"))
    alert = {"id": "1", "flag": "checkout", "action": "rollback", "reason": "errors"}
    async with asking(app, "an-alerts-token-0123") as sender, asking(app) as nobody, asking(app, OPERATOR) as otto:
        assert [(await nobody.post("/hooks/rollback", json=alert)).status_code for _ in range(12)] == [401] * 12
        assert (await otto.post("/hooks/rollback", json=alert)).status_code == 401
        assert flags.rollouts.status("checkout").state == "ramping"
        assert (await sender.post("/hooks/rollback", json=alert)).status_code == 200
        assert flags.rollouts.status("checkout").state == "rolled_back"
        assert (await sender.get("/api/now")).status_code == 401
        assert (await otto.get("/api/now")).status_code == 200


async def test_without_a_hook_there_is_no_such_address(app):
    async with asking(app, OPERATOR) as client:
        assert (await client.post("/hooks/rollback", json={})).status_code == 404
