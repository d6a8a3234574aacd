"""Alerts in: who may, what each system's payload does, and that it does so once."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import progflags as pf
from progflags.notify import Hook, asgi, wsgi
from progflags.rollout import signature
from progflags.testing import ManualClock
from support.web import uvicorn_server, wsgi_server

from .payloads import alertmanager, datadog, grafana, pagerduty

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
ROLLOUT = {"stages": [{"percent": 10, "bake": "60s", "gates": [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]}]}
FLAGS = {
    "new-checkout": {"owner": "payments", "tags": ["pay"], "rollout": ROLLOUT},
    "pay-later": {"owner": "payments", "tags": ["pay", "web"], "rollout": ROLLOUT},
    "new-search": {"owner": "search", "rollout": ROLLOUT},
    "banner": {"percent": 100},
}
BEARER = {"Authorization": "Bearer t0ken"}


@pytest.fixture
def flags():
    with pf.connect({"flags": FLAGS}, clock=ManualClock(wall=NOW)) as client:
        for flag in ("new-checkout", "pay-later", "new-search"):
            client.rollouts.start(flag)
        yield client


@pytest.fixture
def send(flags):
    hook = Hook(flags, token="t0ken", services={"Checkout": {"tag": "pay"}})
    return lambda document: hook.answer(BEARER, json.dumps(document).encode())


def states(flags):
    return {flag: str(flags.rollouts.status(flag).state) for flag in ("new-checkout", "pay-later", "new-search")}


# -- what is done -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "by"),
    [
        ({"id": "a-1", "flag": "new-checkout", "reason": "checkout fails for one in ten"}, "alert"),
        (alertmanager(progflags_flag="new-checkout"), "alertmanager CheckoutErrors"),
        (grafana(progflags_flag="new-checkout"), "grafana Checkout errors"),
        (datadog("Triggered", "progflags_flag:new-checkout"), "datadog"),
        (datadog("Re-Triggered", "progflags_flag:new-checkout"), "datadog"),
    ],
    ids=["ours", "alertmanager", "grafana", "datadog", "datadog again"],
)
def test_an_alert_rolls_its_flag_back(flags, send, document, by):
    """And no other; the history says who and why."""
    status, said = send(document)

    assert (status, said["ok"]) == (200, True)
    assert said["alerts"][0]["done"] == [{"flag": "new-checkout", "state": "rolled_back", "percent": 0.0, "stored": True}]
    assert states(flags) == {"new-checkout": "rolled_back", "pay-later": "ramping", "new-search": "ramping"}
    last = flags.rollouts.history("new-checkout")[-1]
    assert last.actor == by
    assert last.reason


def test_pagerduty_says_which_service_and_the_hook_which_flags(flags, send):
    """For its webhooks carry no labels."""
    assert send(pagerduty())[0] == 200
    assert states(flags) == {"new-checkout": "rolled_back", "pay-later": "rolled_back", "new-search": "ramping"}
    assert flags.rollouts.history("pay-later")[-1].actor == "pagerduty Checkout"


@pytest.mark.parametrize(
    "document",
    [
        alertmanager("resolved", progflags_flag="new-checkout"),
        grafana("resolved", progflags_flag="new-checkout"),
        datadog("Recovered", "progflags_flag:new-checkout"),
        datadog("Warn", "progflags_flag:new-checkout"),
        datadog("No Data", "progflags_flag:new-checkout"),
        pagerduty("incident.acknowledged"),
        pagerduty("incident.resolved"),
    ],
    ids=lambda document: str(next(iter(document.values())))[:12],
)
def test_only_what_begins_does_something(flags, send, document):
    """What is resolved, acknowledged or a mere warning is answered, and changes nothing."""
    assert send(document) == (200, {"ok": True, "alerts": [], "ignored": []})
    assert set(states(flags).values()) == {"ramping"}


@pytest.mark.parametrize(
    ("which", "rolled_back"),
    [
        ({"tag": "pay"}, {"new-checkout", "pay-later"}),
        ({"owner": "search"}, {"new-search"}),
        ({"owner": "payments", "tag": "web"}, {"pay-later"}),
    ],
    ids=["tag", "owner", "both"],
)
def test_an_alert_may_be_about_several_flags(flags, send, which, rolled_back):
    """By tag, owner, or both."""
    assert send({"id": "a-1", **which})[0] == 200
    assert {flag for flag, state in states(flags).items() if state == "rolled_back"} == rolled_back


def test_an_alert_may_pause_instead(flags, send):
    """The share stays where it is."""
    assert send(alertmanager(progflags_flag="new-checkout", progflags_action="pause"))[0] == 200
    assert flags.rollouts.status("new-checkout").state == "paused"
    assert send({"id": "a-2", "flag": "pay-later", "action": "pause"})[0] == 200
    assert flags.rollouts.status("pay-later").state == "paused"


def test_an_alert_acts_once(flags, send):
    """Who began again in spite of it is not stopped by the same alert, but by the next."""
    first = alertmanager(progflags_flag="new-checkout")
    send(first)
    flags.rollouts.retry("new-checkout", force=True)
    status, said = send(first)

    assert (status, said["alerts"][0]["already"]) == (200, True)
    assert flags.rollouts.status("new-checkout").state == "ramping"

    send(alertmanager(starts="2027-01-15T09:10:00Z", progflags_flag="new-checkout"))
    assert flags.rollouts.status("new-checkout").state == "rolled_back"


def test_every_process_knows_which_alerts_were_acted_on(tmp_path):
    """And the next one."""
    store = f"sqlite:///{tmp_path}/state.db"
    alert = json.dumps(alertmanager(progflags_flag="new-checkout")).encode()
    with pf.connect({"flags": FLAGS}, store=store, poll=None) as one, pf.connect({"flags": FLAGS}, store=store, poll=None) as other:
        one.rollouts.start("new-checkout")
        Hook(one, token="t0ken").answer(BEARER, alert)
        one.rollouts.retry("new-checkout", force=True)
        _, said = Hook(other, token="t0ken").answer(BEARER, alert)

        assert said["alerts"][0]["already"]
        assert one.rollouts.status("new-checkout").state == "ramping"


# -- who may ----------------------------------------------------------------------------------------------------------------

BODY = json.dumps({"id": "a-1", "flag": "new-checkout"}).encode()
DUTY = json.dumps(pagerduty()).encode()


def hexed(secret, text):
    return hmac.new(secret.encode(), text, sha256).hexdigest()


def grafanas(at, secret="s3cret"):
    return {"X-Grafana-Alerting-Signature": hexed(secret, f"{at}:".encode() + BODY), "X-Grafana-Alerting-Timestamp": str(at)}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"X-Progflags-Signature": signature("s3cret", BODY, int(NOW))}, BODY),
        ({"x-progflags-signature": signature("s3cret", BODY, int(NOW) - 299)}, BODY),
        (grafanas(int(NOW)), BODY),
        ({"X-PagerDuty-Signature": f"v1={hexed('s3cret', DUTY)}"}, DUTY),
        ({"X-PagerDuty-Signature": f"v1={hexed('old', DUTY)},v1={hexed('s3cret', DUTY)}"}, DUTY),
    ],
    ids=["ours", "ours, a while ago", "grafana", "pagerduty", "pagerduty, two secrets"],
)
def test_a_signature_lets_in(flags, headers, body):
    """Ours, Grafana's, PagerDuty's; whatever the case of a header's name."""
    status, said = Hook(flags, secret="s3cret", services={"PSERVC1": {"tag": "pay"}}).answer(headers, body)

    assert (status, said["ok"]) == (200, True)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, BODY),
        ({"Authorization": "Bearer wrong"}, BODY),
        ({"Authorization": "t0ken"}, BODY),
        ({"Authorization": "Basic t0ken"}, BODY),
        ({"Authorization": "Bearer "}, BODY),
        ({"X-Progflags-Signature": signature("wrong", BODY, int(NOW))}, BODY),
        ({"X-Progflags-Signature": signature("s3cret", BODY, int(NOW))}, BODY + b" "),
        ({"X-Progflags-Signature": signature("s3cret", BODY, int(NOW) - 301)}, BODY),
        ({"X-Progflags-Signature": signature("s3cret", BODY, int(NOW) + 301)}, BODY),
        ({"X-Progflags-Signature": "t=,v1="}, BODY),
        ({"X-Progflags-Signature": f"t=nan,v1={hexed('s3cret', b'nan.' + BODY)}"}, BODY),
        ({"X-Progflags-Signature": "v1=\u00e9"}, BODY),
        (grafanas(int(NOW) - 301), BODY),
        (grafanas(int(NOW), "wrong"), BODY),
        ({"X-Grafana-Alerting-Signature": hexed("s3cret", BODY)}, BODY),
        ({"X-PagerDuty-Signature": f"v1={hexed('wrong', DUTY)}"}, DUTY),
        ({"X-PagerDuty-Signature": f"v1={hexed('s3cret', BODY)}"}, BODY),  # signed, and does not say when
    ],
    ids=str,
)
def test_nobody_else_is_let_in(flags, headers, body):
    """Whatever they send; nothing of the secrets is in the answer, and nothing is changed."""
    status, said = Hook(flags, secret="s3cret", token="t0ken").answer(headers, body)

    assert status == 401
    assert not said["ok"]
    assert "s3cret" not in str(said)
    assert "t0ken" not in str(said)
    assert set(states(flags).values()) == {"ramping"}


def test_pagerdutys_webhook_is_too_old_by_its_own_time(flags):
    """For its signature has none, and what is signed does."""
    old = json.dumps(pagerduty(occurred="2027-01-15T07:00:00Z")).encode()
    hook = Hook(flags, secret="s3cret", services={"Checkout": {"tag": "pay"}})

    assert hook.answer({"X-PagerDuty-Signature": f"v1={hexed('s3cret', old)}"}, old)[0] == 401


def test_without_secret_and_token_there_is_no_hook(flags):
    """It would be everybody's."""
    with pytest.raises(ValueError, match="wants a secret or a token"):
        Hook(flags)
    with pytest.raises(ValueError, match="wants a secret or a token"):
        Hook(flags, secret="", token="")


# -- what is wrong ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[]", 422, "an object is wanted"),
        (b"{}", 422, "id: Field required"),
        (b'{"id": "a", "flag": 1}', 422, "flag: Input should be a valid string"),
        (b'{"id": "a"}', 422, "says nothing of flags"),
        (b'{"id": "a", "flag": "x", "flg": "y"}', 422, "flg: Extra inputs are not permitted"),
        (b'{"id": "a", "flag": "x", "action": "kill"}', 422, "action: Input should be"),
        (json.dumps(alertmanager()).encode(), 422, "label it with progflags_flag"),
        (json.dumps(alertmanager(progflags_flag="x", progflags_action="kill")).encode(), 422, "progflags_action is one of"),
        (json.dumps(pagerduty(service="Elsewhere")).encode(), 422, "none of the hook's"),
        (json.dumps({"alerts": [alertmanager()["alerts"][0]] * 101}).encode(), 422, "at most 100"),
        (b" " * 262_145, 413, "at most 262144"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_can_not_be_understood_is_refused_with_what_is_wrong(flags, body, status, said):
    """And what to do about it."""
    answered, answer = Hook(flags, token="t0ken").answer(BEARER, body)

    assert (answered, answer["ok"]) == (status, False)
    assert said in answer["error"]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"id": "a", "flag": "nothing"}, "there is no flag"),
        ({"id": "a", "flag": "banner"}, "banner"),
        ({"id": "a", "tag": "pya"}, "did you mean 'pay'?"),
    ],
)
def test_what_is_refused_says_why_and_may_come_again(flags, send, document, said):
    """It was not acted on."""
    for _ in range(2):
        status, answer = send(document)

        assert (status, answer["ok"], answer["alerts"][0]["already"]) == (409, False, False)
        assert said in str(answer["alerts"][0]["failed"])


def test_a_tag_of_which_nothing_is_under_way_is_no_error(flags, send):
    """There is nothing to roll back."""
    send({"id": "a-1", "tag": "pay"})
    status, said = send({"id": "a-2", "tag": "pay"})

    assert (status, said["alerts"][0]["done"]) == (200, [])


@given(
    st.dictionaries(
        st.sampled_from(["id", "flag", "tag", "event", "alerts", "alert_transition", "orgId", "tags", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=10),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=10,
        ),
    )
)
def test_whatever_comes_is_answered(document):
    """Never an exception, never a 500."""
    with pf.connect({"flags": FLAGS}, poll=None) as client:
        status, said = Hook(client, token="t0ken").answer(BEARER, json.dumps(document).encode())

    assert status in (200, 400, 409, 422)
    assert said["ok"] == (status == 200)


# -- over HTTP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("serve", "door"), [(uvicorn_server, asgi), (wsgi_server, wsgi)], ids=["asgi", "wsgi"])
def test_the_hook_is_served(flags, serve, door):
    """By POST alone, with a limit, and with who may."""
    with serve(door(Hook(flags, token="t0ken"))) as address, httpx.Client(headers=BEARER) as client:
        assert client.get(address).status_code == 405
        assert client.post(address, content=BODY, headers={"Authorization": "Bearer x"}).headers["www-authenticate"] == "Bearer"
        assert client.post(address, content=b"x" * 300_000).status_code == 413
        answer = client.post(address, content=BODY)

    assert (answer.status_code, answer.json()["alerts"][0]["done"][0]["state"]) == (200, "rolled_back")


# -- guesses ----------------------------------------------------------------------------------------------------------------


def tried(hook, token, client="10.0.0.1"):
    return hook.answer({"Authorization": f"Bearer {token}"}, b"{}", client)[0]


def test_wrong_tokens_from_an_address_are_few_in_a_minute(flags):
    """The eleventh is not looked at, nor is the right one; another address is not held up, nor is anybody a minute later."""
    hook = Hook(flags, token="t0ken")

    assert [tried(hook, f"guess-{n}") for n in range(12)] == [401] * 10 + [429] * 2
    assert tried(hook, "t0ken") == 429
    assert tried(hook, "t0ken", "10.0.0.2") != 429
    flags.clock.advance(61)
    assert tried(hook, "t0ken") not in (401, 429)


def test_nobodys_guesses_keep_a_signed_alert_out(flags):
    """Behind one proxy all have its address: an alert that is signed comes in whatever the others try."""
    hook = Hook(flags, token="t0ken", secret="s3cret")
    for n in range(20):
        tried(hook, f"guess-{n}")
    body = json.dumps({"id": "1", "flag": "new-checkout", "reason": "errors"}).encode()
    headers = {"X-Progflags-Signature": signature("s3cret", body, int(NOW)), "Authorization": "Bearer none"}

    assert hook.answer(headers, body, "10.0.0.1")[0] == 200
    assert states(flags)["new-checkout"] == "rolled_back"


def test_a_signature_that_is_wrong_is_no_guess(flags):
    hook = Hook(flags, token="t0ken", secret="s3cret")
    for _ in range(20):
        assert hook.answer({"X-Progflags-Signature": f"t={NOW:.0f},v1=0"}, b"{}", "10.0.0.1")[0] == 401

    assert tried(hook, "t0ken") == 422


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_the_applications_say_whose_guesses_they_are(flags, kind):
    hook = Hook(flags, token="t0ken")
    serve = {"asgi": (uvicorn_server, asgi), "wsgi": (wsgi_server, wsgi)}[kind]
    with serve[0](serve[1](hook)) as url:
        wrong = [httpx.post(url, json={}, headers={"Authorization": "Bearer x"}, trust_env=False).status_code for _ in range(11)]

    assert wrong == [401] * 10 + [429]
    assert hook._limit.wait("127.0.0.1") > 0
