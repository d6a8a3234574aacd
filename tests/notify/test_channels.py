"""Channels against real servers, programs and a mail server's conversation: what is a receipt, and what is not."""

from __future__ import annotations

import hmac
import json
import socket
import subprocess
import sys
from hashlib import sha256

import pytest

from progflags.notify import Busy, Command, Discord, Email, Refused, Slack, Teams, Webhook

from .mailbox import mailbox
from .receiver import receiver
from .samples import message

PATIENT = 60.0


@pytest.fixture
def server():
    with receiver() as here:
        yield here


@pytest.mark.parametrize("kind", [Slack, Teams, Discord, Webhook])
def test_a_message_is_posted_as_json(server, kind):
    """To the address that was given, in the channel's own form."""
    kind(url=f"{server.url}/hook", timeout=PATIENT).send(message())

    (path, headers, body, _), (document,) = server.seen[0], server.documents
    assert path == "/hook"
    assert headers["Content-Type"].startswith(("application/json", "application/cloudevents+json"))
    assert json.loads(body) == document
    assert "rolled back" in body


@pytest.mark.parametrize(
    ("answer", "raised", "said"),
    [
        (302, ConnectionError, "302"),
        (404, ConnectionError, "404"),
        (500, ConnectionError, "500"),
        ((400, {}, b"invalid_blocks"), Refused, "invalid_blocks"),
        ((429, {"Retry-After": "17"}, b""), Busy, "429"),
        ((503, {"Retry-After": "17"}, b""), Busy, "503"),
    ],
)
def test_what_is_no_2xx_is_no_receipt(server, answer, raised, said):
    """A redirect neither. What is wrong with the message is told apart from what is wrong with the way there; no address is quoted."""
    server.answers.append(answer)

    with pytest.raises(raised, match=said) as caught:
        Slack(url=f"{server.url}/services/T0/S3CRET", timeout=PATIENT).send(message())
    assert getattr(caught.value, "after", 17.0) == 17.0
    assert "S3CRET" not in str(caught.value)


def test_a_server_that_is_not_there_is_an_error_without_its_address():
    """For it may be a secret."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]

    with pytest.raises(ConnectionError) as caught:
        Discord(url=f"http://127.0.0.1:{port}/S3CRET", timeout=PATIENT).send(message())
    assert "S3CRET" not in str(caught.value)


def test_a_channel_hides_what_is_secret():
    """Wherever it is printed."""
    said = repr(
        [
            Slack(url="https://hooks.slack.com/S3CRET"),
            Slack(token="xoxb-S3CRET", channel="#a"),
            Teams(url="https://x/S3CRET"),
            Discord(url="https://x/S3CRET"),
            Webhook(url="https://x/S3CRET", secret="S3CRET"),
            Email(to="a@b.c", smtp="smtp://me:S3CRET@mail.example.com"),
        ]
    )

    assert "S3CRET" not in said


def test_a_webhook_is_signed_over_time_and_body(server):
    """With HMAC-SHA256, so that nobody else can speak, nor the same again much later."""
    Webhook(url=server.url, secret="s3cret", source="shop", timeout=PATIENT).send(message())

    _, headers, body, _ = server.seen[0]
    at, _, signed = headers["X-Progflags-Signature"].removeprefix("t=").partition(",v1=")
    assert hmac.compare_digest(signed, hmac.new(b"s3cret", f"{at}.{body}".encode(), sha256).hexdigest())
    assert headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert json.loads(body)["source"] == "shop"


def test_a_slack_bot_keeps_what_belongs_together_in_a_thread(server):
    """By the time stamp of the first message; another rollout begins another."""
    bot = Slack(token="xoxb-1", channel="#deploys", url=server.url, timeout=PATIENT)
    for ts in ("1.1", "2.2", "3.3"):
        server.answers.append((200, {}, json.dumps({"ok": True, "ts": ts}).encode()))
    bot.send(message())
    bot.send(message(id="new-checkout#8"))
    bot.send(message(flag="other", thread="rollout/other/1"))

    assert [document.get("thread_ts") for document in server.documents] == [None, "1.1", None]
    assert {document["channel"] for document in server.documents} == {"#deploys"}
    assert server.seen[0][1]["Authorization"] == "Bearer xoxb-1"


@pytest.mark.parametrize(("error", "raised"), [("invalid_blocks", Refused), ("channel_not_found", ConnectionError)])
def test_slacks_api_says_no_with_200(server, error, raised):
    """And that is no receipt."""
    server.answers.append((200, {}, json.dumps({"ok": False, "error": error}).encode()))

    with pytest.raises(raised, match=error):
        Slack(token="xoxb-1", channel="#deploys", url=server.url, timeout=PATIENT).send(message())


def test_a_letter_is_sent_in_plain_text_to_a_server_on_this_host():
    """To everybody, with the headline as its subject."""
    with mailbox() as box:
        Email(to=["a@example.com", "b@example.com"], smtp=f"smtp://127.0.0.1:{box.port}", sender="flags@example.com", timeout=PATIENT).send(
            message()
        )

    ((sender, recipients, letter, encrypted),) = box.letters
    assert (sender, recipients, encrypted) == ("flags@example.com", ["a@example.com", "b@example.com"], False)
    assert letter["Subject"] == f"✗ {message().title}"
    assert "error_rate is 40 %" in letter.get_content()


def test_a_letter_goes_encrypted_and_after_a_login_where_the_server_offers_it(tmp_path, monkeypatch):
    """STARTTLS first, then the password."""
    certificate = tmp_path / "both.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ]
        + ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True,
        capture_output=True,
    )
    certificate.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "cert.pem").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with mailbox(certificate) as box:
        Email(to="a@example.com", smtp=f"smtp://ann:p%40ss@127.0.0.1:{box.port}", timeout=PATIENT).send(message())

    assert box.letters[0][3]
    assert box.logins == [("ann", "p@ss")]


def test_a_server_elsewhere_that_offers_no_encryption_is_sent_nothing(monkeypatch):
    """Not even the password."""
    with mailbox() as box:
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", box.port))])
        with pytest.raises(ConnectionError, match="STARTTLS"):
            Email(to="a@example.com", smtp=f"smtp://ann:secret@mail.example.com:{box.port}", timeout=PATIENT).send(message())

    assert (box.letters, box.logins) == ([], [])


def test_a_letter_that_is_refused_for_good_is_refused():
    """And one that is refused for now comes again."""
    with mailbox() as box:
        one = Email(to="a@example.com", smtp=f"smtp://127.0.0.1:{box.port}", timeout=PATIENT)
        box.refuse = "554 not that"
        with pytest.raises(Refused, match="554"):
            one.send(message())
        box.refuse = "451 later"
        with pytest.raises(Exception, match="451"):
            one.send(message())


def test_a_command_gets_the_message_on_its_standard_input(tmp_path):
    """As JSON, and its words as they are: no shell takes them apart."""
    program = "import json, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2] + json.load(sys.stdin)['flag'])"
    Command(argv=[sys.executable, "-c", program, str(tmp_path / "out"), "$HOME; "], timeout=PATIENT).send(message())

    assert (tmp_path / "out").read_text() == "$HOME; new-checkout"


@pytest.mark.parametrize(
    ("program", "raised", "said", "timeout"),
    [
        ("import sys; sys.exit('no such room')", ConnectionError, "ended with 1: no such room", PATIENT),
        ("import time; time.sleep(600)", TimeoutError, "did not end", 0.5),
    ],
)
def test_a_command_that_fails_or_hangs_is_no_receipt(program, raised, said, timeout):
    """It says what it was, and is killed when its time is up."""
    with pytest.raises(raised, match=said):
        Command(argv=[sys.executable, "-c", program], timeout=timeout).send(message())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Slack(), "begins with https"),
        (lambda: Slack(url="ftp://x/S3CRET"), "begins with https"),
        (lambda: Slack(token="xoxb-1"), "channel"),
        (lambda: Webhook(url="nowhere"), "begins with https"),
        (lambda: Email(to=[], smtp="smtp://localhost"), "addresses"),
        (lambda: Email(to="a@b.c", smtp="mail.example.com"), "smtp://host"),
        (lambda: Command(argv="rm -rf /"), "list of words"),
        (lambda: Teams(url="https://x", timeout=0), "above 0"),
        (lambda: Teams(url="https://x", name="a\nb"), "control character"),
    ],
)
def test_what_can_be_no_channel_is_refused_where_it_is_written(make, said):
    """With what is wrong, and without what may be secret."""
    with pytest.raises(ValueError, match=said) as caught:
        make()
    assert "S3CRET" not in str(caught.value)
