"""
Objects in a bucket, at servers that speak as S3, Google's and Azure's do: published, followed by tag, and what can't be had is said.

Each is found as the cloud's own tools find it: by the environment.
"""

from __future__ import annotations

import json
import os
import threading
from base64 import b64encode
from contextlib import closing, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

import progflags as pf
from progflags.contrib.publish import Publisher
from progflags.errors import DefinitionError, PublishError
from support.patience import PATIENCE, until

obstore = pytest.importorskip("obstore")
pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402

from progflags.contrib.objects import Bucket, ObjectSource  # noqa: E402

FLAGS = {"flags": {"new": {"percent": 100}}}
PLACE = "s3://bucket/flags/snapshot.json"


class Cloud:
    """
    What of one is needed: GET and PUT of whole objects, with tags. `signed`: how a request begins that may be answered; `kinds`: under which
    headers type and life of an object are put; `needs`: what a PUT must say besides; `made`: what it is answered. A path is compared as it is meant, however it is quoted.
    """

    signed, kinds, needs = "AWS4-HMAC-SHA256 Credential=us/", ("content-type", "cache-control"), {}
    made = 200

    def __init__(self):
        self.objects, self.asked, self.down = {}, [], False
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                found = cloud.objects.get(self.met())
                if found is None or cloud.down or not self.allowed():
                    return self.said(503 if cloud.down else 404 if self.allowed() else 403)
                tag = f'"{hash(found)}"'
                if self.headers.get("If-None-Match") == tag:
                    return self.said(304, ETag=tag)
                return self.said(200, found, ETag=tag, Last_Modified="Sun, 29 Nov 2026 12:00:00 GMT")

            def do_PUT(self):
                path = self.met()
                text = self.rfile.read(int(self.headers["Content-Length"]))
                if cloud.down or not self.allowed() or any(self.headers.get(name) != value for name, value in cloud.needs.items()):
                    return self.said(503 if cloud.down else 403)
                cloud.objects[path] = text
                return self.said(cloud.made, ETag='"new"', Last_Modified="Sun, 29 Nov 2026 12:00:00 GMT")

            def met(self):
                path = unquote(self.path)
                cloud.asked.append((self.command, path, {name.lower(): value for name, value in self.headers.items()}))
                return path

            def allowed(self):
                return self.headers.get("Authorization", "").startswith(cloud.signed)

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

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def environment(self):
        found = {"ENDPOINT": self.address, "ALLOW_HTTP": "true", "REGION": "eu-central-1"}
        return {f"AWS_{name}": value for name, value in {**found, "ACCESS_KEY_ID": "us", "SECRET_ACCESS_KEY": "s3cret"}.items()}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@cache
def account():
    """A service account's key: obstore signs its tokens with it by itself, and asks nobody for one."""
    key = rsa.generate_private_key(65_537, 2048)
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return {"type": "service_account", "client_email": "us@example.com", "private_key_id": "s3cret", "private_key": text}


class Google(Cloud):
    """Google's, by its XML interface, which is what obstore asks."""

    signed = "Bearer ey"

    @property
    def environment(self):
        told = {**account(), "gcs_base_url": self.address}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(told), "GOOGLE_ALLOW_HTTP": "true"}


class Azure(Cloud):
    """Azure's blobs."""

    signed, kinds, needs = "SharedKey account:", ("x-ms-blob-content-type", "x-ms-blob-cache-control"), {"x-ms-blob-type": "BlockBlob"}
    made = 201

    @property
    def environment(self):
        key = b64encode(b"s3cret").decode()
        found = {"ENDPOINT": self.address, "ACCOUNT_NAME": "account", "ACCOUNT_KEY": key}
        return {f"AZURE_STORAGE_{name}": value for name, value in found.items()} | {"AZURE_ALLOW_HTTP": "true"}


@pytest.fixture(params=[("s3", Cloud), ("gs", Google), ("az", Azure)], ids=["s3", "google", "azure"])
def cloud(request, monkeypatch):
    """One of them, and how its objects' addresses begin."""
    begins, make = request.param
    with closing(make()) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        made.place = f"{begins}://bucket"
        yield made


@pytest.fixture
def s3(monkeypatch):
    with closing(Cloud()) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def test_a_snapshot_is_published_to_a_bucket_and_followed_there(cloud, tmp_path):
    """A kill at the store arrives at whoever reads the bucket; what has not changed is not sent again."""
    place = f"{cloud.place}/flags/snapshot.json"
    with (
        pf.connect(FLAGS, store=f"sqlite:///{tmp_path}/live.db", poll=None) as home,
        closing(Publisher(FLAGS, store=home.status().store, to=place)) as publisher,
    ):
        publisher.publish()
        source = ObjectSource(place, every=0.05, timeout=PATIENCE)
        with pf.connect(source, poll=0.02) as far:
            assert far.is_enabled("new", "u")
            assert (far.status().state, far.status().source, far.status().store) == ("READY", place, place)
            until(lambda: any("if-none-match" in headers for _, _, headers in cloud.asked))
            home.kill("new", reason="bad")
            publisher.publish()
            until(lambda: not far.is_enabled("new", "u"))
    put = next(headers for verb, _, headers in cloud.asked if verb == "PUT")
    assert tuple(put[kind] for kind in cloud.kinds) == ("application/json", "max-age=1")


def test_an_address_is_enough(cloud):
    cloud.objects["/bucket/flags.json"] = json.dumps(FLAGS).encode()
    with pf.connect(f"{cloud.place}/flags.json", poll=None) as flags:
        assert flags.is_enabled("new", "u")


def test_a_folder_in_a_bucket(cloud):
    with closing(Publisher(FLAGS, store="memory://", to=f"{cloud.place}/")) as publisher:
        publisher.publish()
    assert list(cloud.objects) == ["/bucket/snapshot.json"]


def test_a_bucket_that_is_away_leaves_the_last_good_one(cloud):
    cloud.objects["/bucket/flags.json"] = json.dumps(FLAGS).encode()
    with pf.connect(ObjectSource(f"{cloud.place}/flags.json", every=0.05, timeout=PATIENCE), poll=0.02) as flags:
        cloud.down = True
        until(lambda: flags.status().state == "STALE")
        assert flags.is_enabled("new", "u")
        (problem,) = flags.status().problems
        assert "s3cret" not in str(problem)
        assert "does not answer" in problem.message
        cloud.down = False
        until(lambda: flags.status().state == "READY")


def test_what_is_not_there_is_said(cloud):
    with pytest.raises(DefinitionError, match=f"{cloud.place}/gone.json: is not there"):
        pf.connect(f"{cloud.place}/gone.json", poll=None)


def test_a_document_without_end_is_refused(cloud):
    cloud.objects["/bucket/flags.json"] = b"x" * (8 * 1024 * 1024 + 1)
    with pytest.raises(DefinitionError, match="is larger than 8,388,608 bytes"):
        pf.connect(f"{cloud.place}/flags.json", poll=None)


def test_what_can_not_be_put_is_said(cloud):
    with closing(Publisher(FLAGS, store="memory://", to=f"{cloud.place}/flags/snapshot.json")) as publisher:
        cloud.down = True
        with pytest.raises(PublishError, match=f"{cloud.place}/flags/snapshot.json does not answer"):
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


def test_a_bucket_that_does_not_let_us_in_is_said(cloud):
    """And no word of the secret."""
    cloud.objects["/bucket/flags.json"] = json.dumps(FLAGS).encode()
    cloud.signed = "another"
    with closing(Publisher(FLAGS, store="memory://", to=f"{cloud.place}/")) as publisher, pytest.raises(PublishError) as refused:
        publisher.publish()
    with pytest.raises(DefinitionError) as unread:
        pf.connect(f"{cloud.place}/flags.json", poll=None)
    for said in (str(refused.value), str(unread.value)):
        assert "PermissionDenied" in said or "Unauthenticated" in said
        assert "s3cret" not in said
