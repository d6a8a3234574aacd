"""`[notify]` in the flag file: what it may say, where it is wrong, and what the environment is asked for."""

from __future__ import annotations

import pytest

import progflags as pf
from progflags.flags import decode, parse
from progflags.notify import Command, Discord, Email, Slack, Teams, Webhook, channel_of

EVERY = b"""
[notify]
console_url = "https://flags.example.com"

[notify.payments]
slack = "env:SLACK_WEBHOOK"
owners = "payments"
tags = ["pay", "risk:high"]
flags = ["pay-*"]
severity = "warning"
timeout = "3s"

[notify.bot]
slack = "env:SLACK_BOT_TOKEN"
channel = "#deploys"

[notify.teams]
teams = "https://example.com/workflow"
console_url = "https://other.example.com"

[notify.discord]
discord = "https://example.com/api/webhooks/1/x"

[notify.audit]
webhook = "https://audit.example.com/events"
secret = "env:AUDIT_SECRET"
source = "shop"

[notify.mail]
email = ["team@example.com"]
smtp = "env:SMTP_URL"
from = "flags@example.com"

[notify.pager]
command = ["/usr/local/bin/page", "--urgent"]

[flags.banner]
"""
ENVIRONMENT = {
    "SLACK_WEBHOOK": "https://hooks.slack.com/services/T/B/x",
    "SLACK_BOT_TOKEN": "xoxb-1-2-3",
    "AUDIT_SECRET": "s3cret",
    "SMTP_URL": "smtp://me:pw@mail.example.com",
}


def parsed(text, previous=None):
    document, lines = decode(text, "flags.toml")
    return parse(document, file="flags.toml", lines=lines, previous=previous)


def test_every_kind_of_channel_can_be_written():
    """With the keys that go with it; a console's address may be said once."""
    snapshot = parsed(EVERY)
    made = {name: channel_of(spec, ENVIRONMENT) for name, spec in snapshot.notify.items()}

    assert snapshot.rejected == ()
    assert [type(channel) for channel in made.values()] == [Slack, Slack, Teams, Discord, Webhook, Email, Command]
    assert (made["payments"].url, made["payments"].timeout, made["payments"].only.severity) == (
        ENVIRONMENT["SLACK_WEBHOOK"],
        3.0,
        "warning",
    )
    assert made["payments"].only.tags == ("pay", "risk:high")
    assert (made["bot"].token, made["bot"].channel) == ("xoxb-1-2-3", "#deploys")
    assert (made["teams"].console_url, made["discord"].console_url) == ("https://other.example.com", "https://flags.example.com")
    assert (made["audit"].secret, made["audit"].source) == ("s3cret", "shop")
    assert (made["mail"].to, made["mail"].sender) == (("team@example.com",), "flags@example.com")
    assert {name: channel.name for name, channel in made.items()} == {name: name for name in made}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('slak = "https://x"', "flags.toml:2: notify.x.slak: unknown key 'slak' (did you mean 'slack'?)"),
        ('url = "https://x"', "flags.toml:2: notify.x.url: unknown key 'url' (write slack, teams, discord or webhook"),
        ('flags = "a"', "flags.toml:1: notify.x: it leads nowhere"),
        ('slack = "https://x"\nteams = "https://y"', "flags.toml:3: notify.x.teams: it leads to slack already"),
        ('slack = "https://x"\nsecret = "y"', "flags.toml:3: notify.x.secret: secret goes with webhook, and this one is slack"),
        ('email = "a@b.c"', "flags.toml:1: notify.x: 'smtp' is missing"),
        ('slack = "env:9"', "flags.toml:2: notify.x.slack: '9' can't be the name of a variable"),
        ('slack = "https://x"\nseverity = "loud"', "flags.toml:3: notify.x.severity: one of info, warning, critical is wanted"),
        ('command = "page --urgent"', "flags.toml:2: notify.x.command: a list is wanted here"),
        ('slack = "https://x"\ntimeout = 5', "flags.toml:3: notify.x.timeout: a duration is wanted here"),
    ],
)
def test_what_is_wrong_with_a_channel_is_said_where_it_is(table, said):
    """With file, line, key and what to write; the flags load all the same."""
    snapshot = parsed(f"[notify.x]\n{table}\n[flags.banner]\n".encode())

    assert str(snapshot.rejected[0]).startswith(said)
    assert "banner" in snapshot.flags


def test_a_secret_is_not_quoted_where_it_is_wrong():
    """A file's problems are logged, and shown to everybody."""
    snapshot = parsed(b'[notify.x]\nslack = "https://hooks.slack.com/ S3CRET"\n[flags.banner]\n')

    assert "S3CRET" not in str(snapshot.rejected[0])
    assert "S3CRET" not in repr(parsed(b'[notify.x]\nslack = "https://hooks.slack.com/S3CRET"\n[flags.banner]\n'))


def test_a_channel_that_is_wrong_now_stays_as_it_was():
    """As a flag does."""
    good = parsed(b'[notify.x]\nslack = "https://x"\n[flags.banner]\n')
    bad = parsed(b'[notify.x]\nslack = ""\n[flags.banner]\n', previous=good)

    assert bad.notify == good.notify


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ('slack = "env:NOT_SET_ANYWHERE"', {}, "flags.toml:2: notify.x.slack: the variable NOT_SET_ANYWHERE is not set in this process"),
        ('slack = "env:URL"', {"URL": "S3CRET"}, "flags.toml:2: notify.x.slack: the address of a Slack webhook begins with https://"),
        ('slack = "env:URL"', {"URL": "xoxb-S3CRET"}, "flags.toml:2: notify.x.slack: a bot's token wants a channel"),
        ('email = "a@b.c"\nsmtp = "env:URL"', {"URL": "S3CRET"}, "flags.toml:2: notify.x.email: the mail server is smtp://"),
    ],
)
def test_what_the_environment_lacks_is_said_where_it_is_asked_for(text, environment, said):
    """File, line and key; never what was found."""
    spec = parsed(f"[notify.x]\n{text}\n[flags.banner]\n".encode()).notify["x"]
    with pytest.raises(pf.DefinitionError) as caught:
        channel_of(spec, environment)

    assert str(caught.value.problems[0]).startswith(said)
    assert "S3CRET" not in str(caught.value)


def test_a_channel_that_can_not_be_used_here_is_a_warning_of_the_status(tmp_path):
    """The application starts, and says whom it can't tell; a channel of code and one of the file can't have one name."""
    file = tmp_path / "flags.toml"
    file.write_text('[notify.x]\nslack = "env:NOT_SET_ANYWHERE"\n[notify.y]\nteams = "https://y"\n[flags.banner]\n')
    with pf.connect(file, store="memory://warned", poll=None, notify=[pf.notify.Teams(url="https://z", name="y")]) as flags:
        warnings = {warning.key: warning.message for warning in flags.status().warnings}
        state = flags.status().state

    assert state == "READY"
    assert warnings["notify.x.slack"] == "the variable NOT_SET_ANYWHERE is not set in this process"
    assert "of its own" in warnings["notify.y"]


def test_channels_of_several_files_come_together_and_say_where_they_are(tmp_path):
    """As flags do."""
    (tmp_path / "a.toml").write_text('[notify.x]\nslack = "env:NOT_SET_ANYWHERE"\n[flags.a]\n')
    (tmp_path / "b.toml").write_text('[notify.y]\nteams = "https://y"\n[flags.b]\n')
    with pf.connect(tmp_path, store="memory://several-channels", poll=None) as flags:
        (warning,) = (warning for warning in flags.status().warnings if warning.key.startswith("notify"))

        assert set(flags.definitions.notify) == {"x", "y"}
        assert (warning.file.endswith("a.toml"), warning.line) == (True, 2)
