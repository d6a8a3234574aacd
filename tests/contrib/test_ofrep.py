"""The remote evaluation protocol: by OpenFeature's own client, by hand, over both gateways."""

import json
from functools import partial
from wsgiref.validate import validator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, OpenFeatureError, TargetingKeyMissingError
from openfeature.flag_evaluation import Reason
from starlette.applications import Starlette
from starlette.routing import Mount

import progflags as pf
from progflags.contrib import ofrep
from progflags.events import Exposed, Served
from support.web import uvicorn_server, wsgi_server

DOCUMENT = {
    "flags": {
        "on-for-all": {"percent": 100},
        "new-search": {"percent": 25},
        "flow": {
            "variants": {"classic": "classic", "fast": "fast"},
            "default": "classic",
            "rules": [{"when": 'plan == "pro"', "serve": "fast"}],
        },
        "limit": {"variants": {"low": 10, "high": 20}, "default": "high"},
        "ratio": {"variants": {"half": 0.5, "whole": 1.5}, "default": "half"},
        "layout": {"variants": {"a": {"columns": [1, 2], "dark": True}}, "default": "a"},
        "broken": {"percent": 250},
        "new-checkout": {"rollout": {"stages": [{"percent": 50, "bake": "1m"}]}},
    }
}


@pytest.fixture
def flags():
    with pf.connect(DOCUMENT, poll=None) as client:
        yield client


def asgi_server(**options):
    return uvicorn_server(ofrep.asgi(**options))


def validated_wsgi_server(**options):
    return wsgi_server(validator(ofrep.wsgi(**options)))


GATEWAYS = {"asgi": asgi_server, "wsgi": validated_wsgi_server}


@pytest.fixture(params=GATEWAYS)
def address(request, flags):
    with GATEWAYS[request.param](flags=flags) as address:
        yield address


def ask(address, key="", context=None, **headers):
    path = f"{address}/ofrep/v1/evaluate/flags" + (f"/{key}" if key else "")
    return httpx.post(path, json={"context": context or {}}, headers=headers)


def test_openfeatures_own_client_reads_every_type(address):
    """Boolean, string, integer, float and object, with variant and reason, through the OFREP provider."""
    provider = OFREPProvider(address)
    pro = EvaluationContext("u1", {"plan": "pro"})

    boolean = provider.resolve_boolean_details("on-for-all", False, pro)
    string = provider.resolve_string_details("flow", "?", pro)

    assert (boolean.value, boolean.variant, boolean.reason) == (True, "on", Reason.STATIC)
    assert (string.value, string.variant, string.reason) == ("fast", "fast", Reason.TARGETING_MATCH)
    assert provider.resolve_integer_details("limit", 0, pro).value == 20
    assert provider.resolve_float_details("ratio", 0.0, pro).value == 0.5
    assert provider.resolve_object_details("layout", {}, pro).value == {"columns": [1, 2], "dark": True}
    provider.session.close()


def test_openfeatures_own_client_understands_our_errors(address):
    """An unknown flag, a missing key, a refused definition: each is the exception its users expect."""
    provider = OFREPProvider(address)

    with pytest.raises(FlagNotFoundError):
        provider.resolve_boolean_details("nothing", False)
    with pytest.raises(TargetingKeyMissingError):
        provider.resolve_boolean_details("new-search", False)
    with pytest.raises(OpenFeatureError, match="refused"):
        provider.resolve_boolean_details("broken", False)
    provider.session.close()


def test_a_pinned_answer_has_a_reason_openfeature_knows(address, flags):
    """Its client raises on a reason it has never heard of; an override looks at nobody, so it is static."""
    flags.pin_everywhere({"new-search": "on"})
    provider = OFREPProvider(address)

    assert provider.resolve_boolean_details("new-search", False, EvaluationContext("u1")).reason == Reason.STATIC
    provider.session.close()
    flags.pin_everywhere({})


def test_remote_answers_are_the_local_ones(address, flags):
    """The same user gets the same bucket whichever way it is asked."""
    path = f"{address}/ofrep/v1/evaluate/flags/new-search"
    with httpx.Client() as browser:
        remote = [browser.post(path, json={"context": {"targetingKey": f"u{i}"}}).json()["value"] for i in range(60)]

    assert remote == [flags.is_enabled("new-search", f"u{i}") for i in range(60)]
    assert {True, False} == set(remote)


def test_the_bulk_answer_lists_every_flag_once(address, flags):
    """Successes and failures in one list, as the contract shapes them."""
    body = ask(address, context={"targetingKey": "u1", "plan": "pro"}).json()

    by_key = {flag["key"]: flag for flag in body["flags"]}
    assert len(by_key) == len(body["flags"]) == 8
    assert by_key["flow"] == {
        "key": "flow",
        "value": "fast",
        "variant": "fast",
        "reason": "TARGETING_MATCH",
        "metadata": {"flagSetId": "progflags", "version": "0"},
    }
    assert by_key["broken"]["errorCode"] == "PARSE_ERROR"
    assert set(by_key["broken"]) == {"key", "errorCode", "errorDetails"}


def test_every_answer_is_in_the_protocols_own_words(tmp_path):
    """Its reasons are five, none of them DEFAULT, STALE or PINNED; a list is no value of it, and is said to be none."""
    words = {"STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"}
    path = tmp_path / "flags.json"
    listed = {"variants": {"a": [1, 2], "b": [3]}, "default": "a"}
    path.write_text(json.dumps({"flags": {**DOCUMENT["flags"], "listed": listed, "off": {"percent": 0}}}))

    with pf.connect(path, poll=None) as flags, asgi_server(flags=flags) as address:
        flags.kill("off", reason="test")
        pro, visitor = ({"targetingKey": "u1", "plan": plan} for plan in ("pro", "free"))
        answers = [flag for context in (pro, visitor) for flag in ask(address, context=context).json()["flags"]]
        default = ask(address, "flow", context=visitor).json()
        one = ask(address, "listed", context=pro)
        path.unlink()
        flags.refresh()
        stale = ask(address, "flow", context=pro).json()

    assert {flag["reason"] for flag in answers if "reason" in flag} == words
    assert (default["reason"], default["value"]) == ("UNKNOWN", "classic")
    assert (stale["reason"], stale["value"]) == ("UNKNOWN", "fast")
    assert one.status_code == 400
    assert (one.json()["errorCode"], "object" in one.json()["errorDetails"]) == ("GENERAL", True)
    assert [flag["errorCode"] for flag in answers if flag["key"] == "listed"] == ["GENERAL"] * 2


def test_an_unchanged_bulk_answer_is_304_until_something_changes(address, flags):
    """The ETag stands for the whole answer: same context and flags, same tag; another user or a killed flag, another."""
    first = ask(address, context={"targetingKey": "u1"})
    tag = first.headers["etag"]

    again = ask(address, context={"targetingKey": "u1"}, **{"if-none-match": f'"other", W/{tag}'})
    other = ask(address, context={"targetingKey": "u1", "plan": "pro"}, **{"if-none-match": tag})
    flags.kill("on-for-all", reason="test")
    killed = ask(address, context={"targetingKey": "u1"}, **{"if-none-match": tag})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (other.status_code, killed.status_code) == (200, 200)
    assert killed.headers["etag"] != tag


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "PARSE_ERROR"),
        (b"[" * 50_000, 400, "PARSE_ERROR"),
        (b'{"context": {"a": NaN}}', 400, "PARSE_ERROR"),
        (b"[]", 400, "INVALID_CONTEXT"),
        (b'{"context": 3}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', 400, "INVALID_CONTEXT"),
        (b'"' + b"x" * 70_000 + b'"', 413, "GENERAL"),
    ],
    ids=["cut short", "deep", "NaN", "list", "number", "numeric key", "too long"],
)
def test_requests_that_make_no_sense_are_refused_in_the_protocols_words(address, body, status, code):
    for key in ("", "/new-search"):
        reply = httpx.post(f"{address}/ofrep/v1/evaluate/flags{key}", content=body)

        assert (reply.status_code, reply.json()["errorCode"]) == (status, code)
        assert reply.json()["errorDetails"]


def test_a_refusal_says_where_in_the_body(address):
    for body, place in (
        (b'{"context": {"targetingKey": 7}}', "body.context.targetingKey: "),
        (b"[]", "body: an object"),
        (b'{"context": 3}', "body.context: an object"),
    ):
        told = httpx.post(f"{address}/ofrep/v1/evaluate/flags", content=body).json()

        assert told["errorDetails"].startswith(place)


def test_an_attribute_may_be_called_as_the_protocols_own_words_are(address):
    """What is not `targetingKey` is an attribute, whatever it is called; `null` is nobody."""
    for context in ({"targetingKey": "user-1", "context": 1, "model_dump": 2, "key": "k"}, {"targetingKey": None}, None):
        reply = httpx.post(f"{address}/ofrep/v1/evaluate/flags/on-for-all", json={"context": context})

        assert (reply.status_code, reply.json()["value"]) == (200, True)


def test_an_empty_body_is_nobodys_question(address):
    assert httpx.post(f"{address}/ofrep/v1/evaluate/flags/on-for-all").json()["value"] is True


def test_other_paths_and_methods(address):
    assert httpx.get(f"{address}/ofrep/v1/evaluate/flags/on-for-all").status_code == 405
    assert httpx.post(f"{address}/ofrep/v1/evaluate/flagship").status_code == 404
    assert httpx.post(f"{address}/").status_code == 404


def test_keys_are_decoded_and_may_hold_anything(address):
    """A percent-encoded key, a slash in it, one that is no flag: 404 with the key as it was meant."""
    reply = ask(address, "caf%C3%A9%2Fau%20lait")

    assert (reply.status_code, reply.json()["key"]) == (404, "café/au lait")


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_authorization_hiding_and_origins(gateway, flags):
    """Without the token: 401. Flags not exposed don't exist. A page of a named origin may read the answer and its tag."""
    options = {
        "authorize": lambda headers: headers.get("authorization") == "Bearer t0ken",
        "expose": lambda key: key != "limit",
        "origins": ["https://shop.example"],
    }
    good = {"authorization": "Bearer t0ken", "origin": "https://shop.example"}
    with GATEWAYS[gateway](flags=flags, **options) as address:
        assert ask(address).status_code == 401
        assert ask(address, "limit", **good).status_code == 404
        bulk = ask(address, context={"targetingKey": "u"}, **good)
        stranger = ask(address, **{**good, "origin": "https://evil.example"})
        preflight = httpx.options(f"{address}/ofrep/v1/evaluate/flags", headers={"origin": "https://shop.example"})

    assert "limit" not in [flag["key"] for flag in bulk.json()["flags"]]
    assert bulk.headers["access-control-allow-origin"] == "https://shop.example"
    assert "etag" in bulk.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in stranger.headers
    assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "GET, POST, OPTIONS")


def test_mounted_below_a_path_and_behind_the_middleware(flags):
    """Asking is no request of the arm: the carrying request counts for nobody, the single answer is an exposure, bulk is not."""
    from progflags.asgi import FlagsMiddleware

    flags.rollouts.start("new-checkout")
    flags.rollouts.tick()
    served, exposed = [], []
    flags.bus.listen(Served, served.append)
    flags.bus.listen(Exposed, exposed.append)
    app = FlagsMiddleware(Starlette(routes=[Mount("/api", ofrep.asgi(flags))]), flags=flags)

    with uvicorn_server(app) as address:
        ask(f"{address}/api", context={"targetingKey": "u1"})
        assert exposed == []
        ask(f"{address}/api", "new-checkout", {"targetingKey": "u2"})

    assert [event.unit for event in exposed] == [b"u2"]
    assert served == []


def test_trouble_inside_is_a_500_without_its_details(flags):
    """What an authorizer raises is logged on the server and not told to the caller."""

    def authorize(headers):
        raise RuntimeError("the secret is hunter2")

    with asgi_server(flags=flags, authorize=authorize) as address:
        reply = ask(address)

    assert reply.status_code == 500
    assert "hunter2" not in reply.text


def test_without_a_client_it_says_so():
    with asgi_server() as address:
        reply = ask(address)

    assert (reply.status_code, reply.json()["errorCode"]) == (500, "GENERAL")


CONTEXTS = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(CONTEXTS, st.sampled_from(["", "/new-search", "/flow", "/nothing"]))
def test_every_json_body_has_an_answer_of_the_contracts_shape(context, key):
    """Whatever is sent as a context: 200, 400 or 404, a JSON object with the fields the contract requires."""
    import asyncio

    with pf.connect(DOCUMENT, poll=None) as flags:
        app, sent = ofrep.asgi(flags), []
        body = json.dumps({"context": context}).encode()

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": f"/ofrep/v1/evaluate/flags{key}", "headers": []}
        asyncio.run(app(scope, receive, send))

    answer = json.loads(sent[1]["body"])
    assert sent[0]["status"] in (200, 400, 404)
    if sent[0]["status"] == 200 and not key:
        assert isinstance(answer["flags"], list)
    elif sent[0]["status"] == 200:
        assert {"key", "value", "variant", "reason"} <= set(answer)
    else:
        assert {"errorCode", "errorDetails"} <= set(answer)


def test_an_answer_that_is_left_to_the_caller_has_no_value():
    """As the protocol says it; with the metadata that its flag has."""
    flow = DOCUMENT["flags"]["flow"] | {"rules": [{"when": "legacy", "serve": "default()"}], "metadata": {"team": "search"}}
    with pf.connect({"flags": {"flow": flow}}, poll=None) as flags, asgi_server(flags=flags) as address:
        asked = httpx.post(f"{address}/ofrep/v1/evaluate/flags/flow", json={"context": {"targetingKey": "u", "legacy": True}})
        usual = httpx.post(f"{address}/ofrep/v1/evaluate/flags/flow", json={"context": {"targetingKey": "u"}}).json()
    assert asked.status_code == 200
    assert not {"value", "variant", "errorCode"} & asked.json().keys()
    assert asked.json()["metadata"]["team"] == usual["metadata"]["team"] == "search"
    assert usual["value"] == "classic"


def test_an_answer_says_that_its_definition_is_being_changed():
    """Which one is delivered, and to how much of the traffic: scalars, gone once nobody is served it."""
    with pf.connect({"flags": {"flow": {"percent": 10}}}, poll=None) as flags, asgi_server(flags=flags) as address:
        ask = partial(httpx.post, f"{address}/ofrep/v1/evaluate/flags/flow", json={"context": {"targetingKey": "u"}})
        assert "change" not in ask().json()["metadata"]
        status = flags.rollouts.change("flow", {"percent": 20})
        told = ask().json()["metadata"]
        assert (told["change"], told["changePercent"]) == (status.change, 1.0)
        flags.rollouts.rollback("flow")
        assert "change" not in ask().json()["metadata"]
