"""Definitions behind an address, over real sockets: what is good serves, what is not leaves the last known good and is said."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time

import pytest

import progflags as pf
from progflags.contrib.http import HttpSource
from progflags.errors import DefinitionError
from support.patience import PATIENCE, until
from support.site import Site

GOOD = json.dumps({"flags": {"new": {"percent": 100}}}).encode()
OTHER = json.dumps({"flags": {"new": {"percent": 0}}}).encode()


@pytest.fixture
def site():
    made = Site(GOOD)
    yield made
    for one in made.readers:
        one.close()
    made.close()


def source(site, **how):
    site.readers.append(HttpSource(site.url, **{"every": 0.05, "timeout": PATIENCE, **how}))
    return site.readers[-1]


def test_it_serves_and_follows(site):
    """A change is there with the next question."""
    with pf.connect(source(site), poll=0.02) as flags:
        assert flags.is_enabled("new", "u")
        assert flags.status().source == site.url
        site.text = OTHER
        until(lambda: not flags.is_enabled("new", "u"))
        until(lambda: flags.status().state == "READY")


def test_an_address_is_enough(site):
    with pf.connect(site.url, poll=None) as flags:
        assert flags.is_enabled("new", "u")


def test_what_has_not_changed_is_not_sent_again(site):
    """It is asked by its tag, and the answer has no body."""
    one = source(site)
    first = one.read()
    until(lambda: one.read() == first and len(site.asked) >= 3)
    assert "If-None-Match" not in site.asked[0][1]
    assert all(headers["If-None-Match"] for _, headers in site.asked[1:])


def test_it_is_asked_no_more_often_than_it_says(site):
    """However often it is looked at."""
    one = source(site, every=3600.0)
    for _ in range(50):
        one.read()
    assert len(site.asked) == 1


def test_compressed_and_other_forms(site):
    site.answer = lambda handler: site.plain(
        handler, gzip.compress(b"[flags.new]\npercent = 100\n"), Content_Encoding="gzip", Content_Type="application/toml"
    )
    with pf.connect(HttpSource(site.url.removesuffix(".json")), poll=None) as flags:
        assert flags.is_enabled("new", "u")


def test_headers_go_along(site):
    source(site, headers={"Authorization": "Bearer s3cret"}).read()
    assert site.asked[0][1]["Authorization"] == "Bearer s3cret"


def test_redirects_are_followed_within_the_host(site):
    def answer(handler):
        if handler.path == "/flags.json":
            site.plain(handler, b"", 302, Location="/there")
        else:
            site.plain(handler)

    site.answer = answer
    assert source(site).read()[0].text == GOOD


def _cut(site):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(GOOD[:20])
        handler.close_connection = True

    site.answer = answer


def _page(site):
    site.answer = lambda handler: site.plain(handler, b"<!doctype html><title>Sign on</title>", Content_Type="text/html")


def _elsewhere(site):
    site.answer = lambda handler: site.plain(handler, b"", 302, Location="https://portal.example/sign-on")


def _round_and_round(site):
    site.answer = lambda handler: site.plain(handler, b"", 302, Location="/flags.json")


def _fails(site):
    site.answer = lambda handler: site.plain(handler, b"no", 503)


def _no_document(site):
    site.text = b"{}"


def _gone(site):
    site.answer = lambda handler: setattr(handler, "close_connection", True)  # who is connected already
    site.close()
    site.close = lambda: None


BAD = {
    _cut: "does not answer",
    _page: "a page for people",
    _elsewhere: "redirects to another host (portal.example)",
    _round_and_round: "redirects more than 5 times",
    _fails: "answers 503 Service Unavailable",
    _no_document: "",
    _gone: "does not answer",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_what_is_no_answer_leaves_the_last_good_one(site, spoil):
    """STALE, said with the address; and well again by itself."""
    with pf.connect(source(site), poll=0.02) as flags:
        spoil(site)
        until(lambda: flags.status().state == "STALE")
        assert flags.is_enabled("new", "u")
        (problem,) = flags.status().problems
        assert problem.file == site.url
        assert BAD[spoil] in problem.message
        if spoil is not _gone:
            site.answer, site.text = None, OTHER
            until(lambda: flags.status().state == "READY" and not flags.is_enabled("new", "u"))


@pytest.mark.parametrize("spoil", [_page, _fails, _elsewhere], ids=lambda spoil: spoil.__name__)
def test_it_is_said_once(site, spoil, caplog):
    with pf.connect(source(site), poll=0.02) as flags:
        spoil(site)
        until(lambda: flags.status().state == "STALE")
        asked = len(site.asked)
        until(lambda: len(site.asked) > asked + 2)
    assert len([line for line in caplog.records if BAD[spoil] in line.getMessage()]) <= 1


def test_one_that_sends_without_end_or_a_byte_now_and_then_is_given_up(site):
    release = threading.Event()

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not release.is_set():
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    site.answer = answer
    try:
        with pytest.raises(DefinitionError, match="before the time was up"):
            source(site, timeout=0.3).read()
    finally:
        release.set()


def test_a_document_without_end_is_refused(site):
    site.answer = lambda handler: site.plain(handler, b"x" * (8 * 1024 * 1024 + 1))
    with pytest.raises(DefinitionError, match="is larger than 8,388,608 bytes"):
        source(site).read()


def test_whoever_evaluates_and_a_file_beside_it_never_wait(site, tmp_path):
    """The server hangs; a kill in the file arrives."""
    release = threading.Event()
    (tmp_path / "kill.toml").write_text("")
    with pf.connect([source(site), str(tmp_path / "kill.toml")], poll=0.02) as flags:
        site.answer = lambda _: release.wait(PATIENCE)
        asked = len(site.asked)
        until(lambda: len(site.asked) > asked)
        (tmp_path / "kill.toml").write_text("[flags.new]\npercent = 0\n")
        try:
            until(lambda: not flags.is_enabled("new", "u"))
        finally:
            release.set()


def test_without_the_server_the_folder_serves(site, tmp_path):
    """A process that starts while it is away."""
    with pf.connect(source(site), poll=None, last_known_good=tmp_path / "kept"):
        pass
    url = site.url
    _gone(site)
    with pf.connect(HttpSource(url, timeout=5.0), poll=None, last_known_good=tmp_path / "kept") as flags:
        assert flags.is_enabled("new", "u")
        assert flags.status().state == "STALE"


@pytest.fixture
def keys():
    """A private key, its public one in PEM, and in base64."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, pem, base64.b64encode(public.public_bytes_raw()).decode()


def signed(site, private, text=None):
    def answer(handler):
        body = base64.b64encode(private.sign(text or site.text)) + b"\n" if handler.path.endswith(".sig") else None
        site.plain(handler, body)

    return answer


@pytest.mark.parametrize("form", [1, 2], ids=["pem", "base64"])
def test_a_signature_is_asked_for(site, keys, form):
    site.answer = signed(site, keys[0])
    with pf.connect(source(site, key=keys[form]), poll=0.02) as flags:
        assert flags.is_enabled("new", "u")
        site.answer = signed(site, keys[0], text=b"something else")
        site.text = OTHER
        until(lambda: flags.status().state == "STALE")
        assert flags.is_enabled("new", "u")
        assert "is not signed by the key" in flags.status().problems[0].message
        site.answer = signed(site, keys[0])
        until(lambda: not flags.is_enabled("new", "u"))


def test_somebody_elses_signature_and_none_are_refused(site, keys):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    site.answer = signed(site, Ed25519PrivateKey.generate())
    with pytest.raises(DefinitionError, match="is not signed by the key"):
        source(site, key=keys[1]).read()
    site.answer = lambda handler: site.plain(handler, b"", 404) if handler.path.endswith(".sig") else site.plain(handler)
    with pytest.raises(DefinitionError, match="answers 404"):
        source(site, key=keys[1]).read()


@pytest.mark.parametrize(
    ("url", "how", "said"),
    [
        ("ftp://host/flags.json", {}, "is no address of a document"),
        ("https:///flags.json", {}, "is no address of a document"),
        ("http://host/flags.json", {}, "use https, or sign it"),
        ("https://host/flags.json", {"every": 0}, "seconds above zero"),
        ("https://host/flags.json", {"key": "no key"}, "key is an Ed25519 public key"),
    ],
)
def test_what_can_not_be_is_refused_at_once(url, how, said):
    with pytest.raises(ValueError, match=said):
        HttpSource(url, **how)


def test_secrets_in_an_address_are_not_told():
    assert "s3cret" not in HttpSource("https://ann:s3cret@host/flags.json").name
