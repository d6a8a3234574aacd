"""OpenFeature's manifest: over HTTP as its command line asks for it, and the same document beside a published snapshot."""

import json
import threading
from contextlib import closing

import jsonschema
import pytest

import progflags as pf
from progflags.contrib import ofrep
from progflags.contrib._shelf import shelf_beside
from progflags.contrib.publish import Publisher
from progflags.errors import PublishError
from support.patience import PATIENCE, until
from support.web import uvicorn_server, wsgi_server

httpx = pytest.importorskip("httpx")

FLAGS = {
    "flags": {
        "search": {"percent": 25, "description": "The new search."},
        "flow": {"variants": {"classic": "classic", "fast": "fast"}, "default": "classic"},
        "limit": {"variants": {"low": 10, "high": 20}, "default": "high"},
        "ratio": {"variants": {"half": 0.5, "whole": 1}, "default": "whole"},
        "layout": {"variants": {"a": {"columns": [1, 2], "dark": True}}, "default": "a"},
        "listed": {"variants": {"a": [1, 2], "b": [3]}, "default": "a"},
        "internal-limit": {"percent": 100},
    }
}
TYPES = {"search": "boolean", "flow": "string", "limit": "integer", "ratio": "float", "layout": "object", "internal-limit": "boolean"}

#: What the manifest API of OpenFeature's command line (0.1.0) asks of an answer; `float` is what its files call a fraction.
ENVELOPE = {
    "type": "object",
    "required": ["flags"],
    "properties": {
        "flags": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "type", "defaultValue"],
                "properties": {
                    "key": {"type": "string", "minLength": 1},
                    "name": {"type": "string"},
                    "type": {"enum": ["boolean", "string", "integer", "float", "object"]},
                    "description": {"type": ["string", "null"]},
                },
                "allOf": [
                    {"if": {"properties": {"type": {"const": name}}}, "then": {"properties": {"defaultValue": {"type": of}}}}
                    for name, of in [
                        ("boolean", "boolean"),
                        ("string", "string"),
                        ("integer", "integer"),
                        ("float", "number"),
                        ("object", "object"),
                    ]
                ],
            },
        }
    },
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "object", "required": ["message", "status"], "properties": {"status": {"type": "integer"}}}},
}
SERVERS = {"asgi": lambda *a, **o: uvicorn_server(ofrep.asgi(*a, **o)), "wsgi": lambda *a, **o: wsgi_server(ofrep.wsgi(*a, **o))}


@pytest.fixture
def flags():
    with pf.connect(FLAGS, poll=None) as client:
        yield client


@pytest.mark.parametrize("server", SERVERS)
def test_the_manifest_has_what_can_be_asked_for(flags, server):
    with SERVERS[server](flags, expose=lambda key: not key.startswith("internal-")) as address:
        answer = httpx.get(f"{address}/openfeature/v0/manifest")

    jsonschema.validate(answer.json(), ENVELOPE)
    told = {flag["key"]: flag for flag in answer.json()["flags"]}
    assert {key: flag["type"] for key, flag in told.items()} == {key: kind for key, kind in TYPES.items() if key != "internal-limit"}
    assert told["search"] == {"key": "search", "type": "boolean", "description": "The new search.", "defaultValue": False}
    assert told["limit"]["defaultValue"] == 20
    assert told["layout"]["defaultValue"] == {"columns": [1, 2], "dark": True}
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-manifest-capabilities"] == "read"


def test_who_may_not_is_told_in_that_apis_words(flags):
    """401 without the token; 403 for whoever wants to write, since flags are changed in their file."""
    good = {"authorization": "Bearer t0ken"}
    with uvicorn_server(ofrep.asgi(flags, authorize=lambda headers: headers.get("authorization") == good["authorization"])) as address:
        at = f"{address}/openfeature/v0/manifest"
        answers = {
            401: [httpx.get(at), httpx.post(f"{at}/flags", json={})],
            403: [httpx.post(f"{at}/flags", json={}, headers=good), httpx.put(f"{at}/flags/search", json={}, headers=good)],
        }
        assert httpx.get(at, headers=good).status_code == 200
    with uvicorn_server(ofrep.asgi()) as address:
        answers[500] = [httpx.get(f"{address}/openfeature/v0/manifest")]

    for status, those in answers.items():
        for answer in those:
            jsonschema.validate(answer.json(), ERROR)
            assert (answer.status_code, answer.json()["error"]["status"]) == (status, status)


def test_a_published_manifest_is_the_same_document(flags, tmp_path):
    """In the snapshot's folder, at the path that the command line asks for."""
    with uvicorn_server(ofrep.asgi(flags)) as address, closing(Publisher(FLAGS, store="memory://", to=tmp_path, manifest=True)) as one:
        one.publish()
        asked = httpx.get(f"{address}/openfeature/v0/manifest").json()

    assert json.loads((tmp_path / "openfeature/v0/manifest").read_bytes()) == asked
    assert (tmp_path / "snapshot.json").exists()


def test_a_manifest_follows_the_definitions_and_nothing_else(tmp_path, monkeypatch):
    """Written again where a flag is another; not for a kill. One that could not be written is, later."""
    monkeypatch.setattr("progflags.contrib.publish._APART", 0.0)
    monkeypatch.setattr("progflags.contrib.publish._AGAIN", 0.01)
    file, place, ended = tmp_path / "flags.json", tmp_path / "public" / "openfeature/v0/manifest", threading.Event()
    file.write_text(json.dumps(FLAGS))
    store = f"sqlite:///{tmp_path}/live.db"
    with (
        closing(Publisher(file, store=store, to=tmp_path / "public/snapshot.json", manifest=True)) as one,
        pf.connect(file, store=store, poll=None) as home,
    ):
        put, written = one._catalogue.put, []

        def puts(text):
            written.append(text)
            if len(written) == 1:
                raise PublishError("the disk is full")
            put(text)

        monkeypatch.setattr(one, "_catalogue", type("Shelf", (), {"put": staticmethod(puts)}))
        told = []
        thread = threading.Thread(target=one.follow, args=(ended, told.append))
        thread.start()
        until(place.exists)
        home.kill("search")
        until(lambda: len(told) == 2)
        file.write_text(json.dumps({"flags": {**FLAGS["flags"], "one-more": {"percent": 0}}}))
        until(lambda: b"one-more" in place.read_bytes())
        ended.set()
        thread.join(PATIENCE)
    assert len(written) == 3


@pytest.mark.parametrize(("to", "beside"), [("public/", "public/m"), ("public/snapshot.json", "public/m"), ("snapshot.json", "m")])
def test_it_lies_in_the_same_folder(tmp_path, monkeypatch, to, beside):
    monkeypatch.chdir(tmp_path)
    assert shelf_beside(to, "m").name == beside


def test_it_lies_in_the_same_bucket():
    pytest.importorskip("obstore")
    assert shelf_beside("s3://bucket/flags/snapshot.json", "openfeature/v0/manifest").name == "s3://bucket/flags/openfeature/v0/manifest"
    assert shelf_beside("s3://bucket/snapshot.json", "m").name == "s3://bucket/m"
