"""The JSON API, asked everything its description allows and much that it does not: it never answers with an error of its own."""

import asyncio
import string

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st

import progflags as pf
from console.conftest import DOCUMENT, TOKENS
from progflags._console._api import schema
from progflags.testing import ManualClock
from support.sizes import size

TOKEN = list(TOKENS)[2]
KEYS = st.sampled_from(["checkout", "search", "banner", "colour", "nothing", ""]) | st.text(max_size=300)
FIELDS = st.dictionaries(
    st.sampled_from(["flag", "reason", "seen", "confirm", "key", "attributes", "at", "q", "kind", "page", "person", "since", "of"]),
    KEYS
    | st.sampled_from(
        [
            "1.0.",
            "1.2.",
            "-1",
            "99999999999999999999",
            "2026-01-01",
            "0000-00-00",
            "9999-12-31T23:59:59",
            "0001-01-01T00:00+14:00",
            "a=1\nb=[",
            "²",
        ]
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def app():
    with pf.connect(DOCUMENT, clock=ManualClock(1_800_000_000.0)) as flags:
        flags.rollouts.start("checkout", by="ann", reason="it is ready")
        yield pf.console(flags, token=TOKENS)


def ask(app, method, path, **options):
    async def once():
        transport = httpx.ASGITransport(app)
        headers = {"authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            return await client.request(method, path, **options)

    return asyncio.run(once())


@pytest.mark.sized
def test_what_its_description_allows_never_breaks_it(app):
    """Ten thousand requests in all, a share of them for each operation; every answer is one that the description names."""
    described = schemathesis.openapi.from_dict(schema(""))
    operations = [found.ok() for found in described.get_all_operations()]
    each = size(4, full=-(-10_000 // len(operations)))
    codes = set()

    for operation in operations:

        @hypothesis.settings(max_examples=each, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy())
        def one(case):
            sent = case.as_transport_kwargs(base_url="http://localhost")
            headers = {name: value for name, value in (sent.get("headers") or {}).items() if name.lower() not in ("host", "authorization")}
            answer = ask(app, case.method, case.formatted_path, params=sent.get("params"), json=sent.get("json"), headers=headers)
            codes.add(answer.status_code)
            assert answer.status_code < 500, (case.method, case.formatted_path, sent, answer.text)
            assert str(answer.status_code) in operation.definition.raw["responses"], answer.text
            assert isinstance(answer.json(), dict)

        one()

    assert 200 in codes
    assert len(operations) > 15


@pytest.mark.sized
def test_whatever_is_asked_is_answered(app):
    """Every route there is, with every method, and fields of any kind in any place."""
    routes = [
        path.replace("{verb}", verb).replace("{name}", "console.css")
        for path, _ in app.routes
        for verb in ("kill", "promote", "x")
        if path != "/live"
    ]

    @hypothesis.settings(
        max_examples=size(60, full=5_000), database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(
        st.sampled_from(sorted(set(routes))),
        st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"]),
        FIELDS,
        FIELDS,
        st.sampled_from(["json", "data", "raw"]),
        st.text(alphabet=string.printable, max_size=40),
    )
    def one(path, method, query, body, how, header):
        sent = {"content": repr(body).encode("utf-8", "surrogatepass")} if how == "raw" else {how: body}
        clean = {"x-csrf-token": "".join(c for c in header if c.isprintable()), "content-type": "application/json"} if how == "raw" else {}
        try:
            answer = ask(app, method, path, params=query, headers=clean, **sent)
        except UnicodeEncodeError:  # half of a character can't be sent at all
            return
        assert answer.status_code < 500, (method, path, query, body, answer.text)
        assert "content-security-policy" in answer.headers

    one()


@pytest.mark.parametrize("text", ["\x00", "é" * 300, "a" * 5_000, "%ff", "..", "../../etc/passwd", "\u202e", "[" * 3_000, "𝟚"])
@pytest.mark.parametrize("path", ["/rollout", "/flag", "/flags", "/dark-launch", "/changes", "/live", "/api/flag", "/static/x"])
def test_odd_texts_are_answered(app, path, text):
    answer = ask(app, "GET", path, params={"flag": text, "q": text, "page": text, "since": text, "person": text, "of": f"x {text}"})

    assert answer.status_code < 500
