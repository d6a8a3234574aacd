"""The forms of each channel: what it documents, and nothing in them that somebody else's text could make of it."""

from __future__ import annotations

import json

import pytest

from progflags._printed import printable
from progflags.notify._chat import discord_form, slack_form, teams_form
from progflags.notify._email import letter
from progflags.notify._webhook import cloud_event

from .samples import HOSTILE, message


def test_slack_gets_a_header_a_section_a_foot_and_a_button():
    """Block Kit, with a text for notifications."""
    form = slack_form(message())

    assert [block["type"] for block in form["blocks"]] == ["header", "section", "context", "actions"]
    assert form["blocks"][0]["text"] == {"type": "plain_text", "text": f"✗ {message().title}", "emoji": False}
    assert form["blocks"][3]["elements"][0]["url"] == message().link
    assert "progflags report new-checkout" in form["blocks"][1]["text"]["text"]
    assert "owner payments" in form["blocks"][2]["elements"][0]["text"]
    assert form["text"].startswith("✗ ")


def test_without_link_or_deed_there_is_neither_button_nor_arrow():
    """Nothing is shown that leads nowhere."""
    bare = message(link="", do="")

    assert "actions" not in [block["type"] for block in slack_form(bare)["blocks"]]
    assert "→ progflags" not in json.dumps(slack_form(bare), ensure_ascii=False)
    assert "actions" not in teams_form(bare)["attachments"][0]["content"]
    assert "url" not in discord_form(bare)["embeds"][0]


def test_teams_gets_one_adaptive_card():
    """As a workflow takes it."""
    form = teams_form(message())
    (attachment,) = form["attachments"]
    card = attachment["content"]

    assert form["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"TextBlock"}
    assert card["actions"][0] == {"type": "Action.OpenUrl", "title": "Open the console", "url": message().link}


def test_discord_gets_one_embed_that_pings_nobody():
    """Whatever is written in it."""
    form = discord_form(message(said=(HOSTILE,)))

    assert form["allowed_mentions"] == {"parse": []}
    assert len(form["embeds"]) == 1
    assert form["embeds"][0]["timestamp"] == "2027-01-15T08:00:00Z"


def test_what_people_wrote_is_no_markup():
    """No link, mention or code comes of a reason."""
    said = message(said=(printable(HOSTILE),), title=printable(HOSTILE))
    slack, teams, discord = slack_form(said), teams_form(said), discord_form(said)

    section = slack["blocks"][1]["text"]["text"]
    assert "<" not in section
    assert "<" not in slack["text"]
    assert "\\[x\\]\\(https\\:" in teams["attachments"][0]["content"]["body"][1]["text"]
    assert "\\[x\\]\\(https\\:" in discord["embeds"][0]["description"]
    assert "\\@everyone" in discord["embeds"][0]["description"]


@pytest.mark.parametrize("text", ["x" * 100_000, "\U0001f600" * 50_000, "\\*" * 20_000])
def test_a_form_has_an_end(text):
    """What a channel refuses for its length would never be told."""
    long = message(title=printable(text, 400), said=(printable(text, 600),) * 30)
    slack, discord = slack_form(long), discord_form(long)

    assert len(slack["blocks"][0]["text"]["text"]) <= 150
    assert len(slack["blocks"][1]["text"]["text"]) <= 3_000
    assert len(discord["embeds"][0]["title"]) <= 256
    assert len(discord["embeds"][0]["description"]) <= 4_096
    assert len(json.dumps(teams_form(long), ensure_ascii=False).encode()) <= 28_000


def test_a_webhook_gets_a_cloud_event():
    """Version 1.0 in its structured form; one about every flag has no subject, for that may not be empty."""
    event = cloud_event(message(), "shop")

    assert (event["specversion"], event["id"], event["source"], event["type"]) == ("1.0", "new-checkout#7", "shop", "progflags.transition")
    assert (event["subject"], event["time"], event["datacontenttype"]) == ("new-checkout", "2027-01-15T08:00:00Z", "application/json")
    assert event["data"]["changes"] == [{"id": "new-checkout#7", "to": "rolled_back"}]
    assert "subject" not in cloud_event(message(flag="", kind="panic"), "shop")
    assert json.loads(json.dumps(event)) == event


def test_letters_of_one_rollout_are_one_conversation():
    """And the same message is the same letter."""
    first, second = letter(message(), "flags@example.com", ["a@b.c"]), letter(message(id="new-checkout#8"), "flags@example.com", ["a@b.c"])

    assert first["References"] == second["References"] == first["In-Reply-To"]
    assert first["Message-ID"] != second["Message-ID"]
    assert first["Message-ID"] == letter(message(), "flags@example.com", ["a@b.c"])["Message-ID"]
    assert first["Subject"].startswith("✗ new-checkout was rolled back")
    assert "\n" not in letter(message(title="a\nBcc: x@y.z"), "flags@example.com", ["a@b.c"])["Subject"]
