"""Objects in a bucket, at a server that speaks as S3 does: published, followed by tag, and what can't be had is said."""

from __future__ import annotations

import json
import os
import threading
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import progflags as pf
from progflags.contrib.publish import Publisher
from progflags.errors import DefinitionError, PublishError
from progflags.sources import source_of
from support.patience import PATIENCE, until

obstore = pytest.importorskip("obstore")

from progflags.contrib.objects import Bucket, ObjectSource  # noqa: E402

FLAGS = {"flags": {"new": {"percent": 100}}}
PLACE = "s3://bucket/flags/snapshot.json"


class S3:
    """What of it is needed: GET and PUT of whole objects, with tags."""

    def __init__(self):
        self.objects, self.asked, self.down = {}, [], False
        s3 = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                found = s3.objects.get(self.path)
                s3.asked.append(("GET", self.path, {name.lower(): value for name, value in self.headers.items()}))
                if found is None or s3.down:
                    return self.said(503 if s3.down else 404)
                tag = f'"{hash(found)}"'
                if self.headers.get("If-None-Match") == tag:
                    return self.said(304, ETag=tag)
                return self.said(200, found, ETag=tag, Last_Modified="Sun, 29 Nov 2026 12:00:00 GMT")

            def do_PUT(self):
                s3.asked.append(("PUT", self.path, {name.lower(): value for name, value in self.headers.items()}))
                s3.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                self.said(503 if s3.down else 200, ETag='"new"')

            def said(self, code, text=b"", **headers):
                self.send_response(code)
                for name, value in {"Content_Length": len(text), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                with suppress(BrokenPipeError):  # one that is too large is not read to its end
                    self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def s3(monkeypatch):
    """Found as the cloud's own tools find it: by the environment."""
    with closing(S3()) as made:
        settings = {"ENDPOINT": f"http://127.0.0.1:{made.server.server_port}", "ALLOW_HTTP": "true", "REGION": "eu-central-1"}
        settings |= {"ACCESS_KEY_ID": "us", "SECRET_ACCESS_KEY": "s3cret"}
        for name, value in settings.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        yield made


def test_a_snapshot_is_published_to_a_bucket_and_followed_there(s3, tmp_path):
    """A kill at the store arrives at whoever reads the bucket; what has not changed is not sent again."""
    with (
        pf.connect(FLAGS, store=f"sqlite:///{tmp_path}/live.db", poll=None) as home,
        closing(Publisher(FLAGS, store=home.status().store, to=PLACE)) as publisher,
    ):
        publisher.publish()
        source = ObjectSource(PLACE, every=0.05, timeout=PATIENCE)
        with pf.connect(source, poll=0.02) as far:
            assert far.is_enabled("new", "u")
            assert (far.status().state, far.status().source, far.status().store) == ("READY", PLACE, PLACE)
            until(lambda: any("if-none-match" in headers for _, _, headers in s3.asked))
            home.kill("new", reason="bad")
            publisher.publish()
            until(lambda: not far.is_enabled("new", "u"))
    put = next(headers for verb, _, headers in s3.asked if verb == "PUT")
    assert (put["content-type"], put["cache-control"]) == ("application/json", "max-age=1")


def test_an_address_is_enough(s3):
    s3.objects["/bucket/flags.json"] = json.dumps(FLAGS).encode()
    with pf.connect("s3://bucket/flags.json", poll=None) as flags:
        assert flags.is_enabled("new", "u")


def test_a_folder_in_a_bucket(s3):
    with closing(Publisher(FLAGS, store="memory://", to="s3://bucket/")) as publisher:
        publisher.publish()
    assert list(s3.objects) == ["/bucket/snapshot.json"]


def test_a_bucket_that_is_away_leaves_the_last_good_one(s3):
    s3.objects["/bucket/flags.json"] = json.dumps(FLAGS).encode()
    with pf.connect(ObjectSource("s3://bucket/flags.json", every=0.05, timeout=PATIENCE), poll=0.02) as flags:
        s3.down = True
        until(lambda: flags.status().state == "STALE")
        assert flags.is_enabled("new", "u")
        (problem,) = flags.status().problems
        assert "s3cret" not in str(problem)
        assert "does not answer" in problem.message
        s3.down = False
        until(lambda: flags.status().state == "READY")


def test_what_is_not_there_is_said(s3):
    with pytest.raises(DefinitionError, match=r"s3://bucket/gone.json: is not there"):
        pf.connect("s3://bucket/gone.json", poll=None)


def test_a_document_without_end_is_refused(s3):
    s3.objects["/bucket/flags.json"] = b"x" * (8 * 1024 * 1024 + 1)
    with pytest.raises(DefinitionError, match="is larger than 8,388,608 bytes"):
        pf.connect("s3://bucket/flags.json", poll=None)


def test_what_can_not_be_put_is_said(s3):
    with closing(Publisher(FLAGS, store="memory://", to=PLACE)) as publisher:
        s3.down = True
        with pytest.raises(PublishError, match=r"s3://bucket/flags/snapshot.json does not answer"):
            publisher.publish()


def test_a_forked_child_is_not_left_waiting(s3):
    """The threads of obstore are the parent's: the child says so, and goes on with what it has."""
    s3.objects["/bucket/flags.json"] = json.dumps(FLAGS).encode()
    source = ObjectSource("s3://bucket/flags.json", every=0.05, timeout=PATIENCE)
    with pf.connect(source, poll=None) as flags:
        child = os.fork()
        if child == 0:
            try:
                until(lambda: flags.refresh() and flags.status().state == "STALE")
                os._exit(0 if flags.is_enabled("new", "u") and "connect in each worker" in flags.status().problems[0].message else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3:///key.json", "file:///key.json"])
def test_what_is_no_objects_address_is_refused(url):
    with pytest.raises(ValueError, match="is no object's address"):
        Bucket(url)


def test_what_obstore_does_not_know_is_refused(s3):
    with pytest.raises(ValueError, match="s3://bucket/flags.json"):
        ObjectSource("s3://bucket/flags.json", options={"colour": "blue"})


@pytest.mark.parametrize("url", ["gs://bucket/flags.json", "az://container/flags.json"])
def test_other_clouds_have_addresses_like_it(url, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert source_of(url).name == url
