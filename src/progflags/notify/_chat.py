"""
Slack, Teams and Discord: the same message in the form that each of them documents.

What comes from flags and people is data in all three: nothing in it is a link, a mention or a markup there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cachetools import LRUCache

from progflags._printed import cut, printable
from progflags.notify._channel import Channel, Refused
from progflags.notify._message import Message, Severity
from progflags.notify._post import must_be_url, post

__all__ = ["Discord", "Slack", "Teams", "discord_form", "slack_form", "teams_form"]

_API: Final = "https://slack.com/api/chat.postMessage"
_THREADS: Final = 500  # conversations a process remembers the beginning of
_COLOURS: Final = {Severity.INFO: 0x2E7D32, Severity.WARNING: 0xB26A00, Severity.CRITICAL: 0xB3261E}
_STYLES: Final = {Severity.INFO: "good", Severity.WARNING: "warning", Severity.CRITICAL: "attention"}
_MARKS: Final = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]()<>#+-.!|~:@"})
#: What Slack says of a message that it will not take however often it comes.
_NEVER: Final = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text", "invalid_arguments"}
)


@dataclass(frozen=True, kw_only=True)
class Slack(Channel):
    """
    A Slack channel: by the `url` of an incoming webhook, or by a bot's `token` and the `channel` (id or name) it may write to.

    With a token what belongs together, as the steps of one rollout, is one thread, whichever process tells. An incoming webhook's
    answer does not say where its message stands, so there each stands for itself.

        console = "https://shop.example.com/ops"
        ops = pf.notify.Slack(token=TOKEN, channel="#releases", console_url=console)
        flags = pf.connect("flags.toml", notify=[ops])

    Raises:
        ValueError: neither a URL nor a token with a channel.
    """

    url: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    channel: str = ""
    _threads: LRUCache[str, str] = field(default_factory=lambda: LRUCache(_THREADS), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.token and not self.channel:
            raise ValueError('a bot\'s token wants a channel to write to: channel = "#deploys"')
        if not self.token or self.url:
            must_be_url(self.url, "the address of a Slack webhook")
        Channel.__post_init__(self)

    @property
    def where(self) -> str:
        return self.channel or self.url

    @property
    def threaded(self) -> bool:
        return bool(self.token)

    def send(self, message: Message) -> str | None:
        if not self.token:
            post(self.url, slack_form(message), {}, self.timeout)
            return None
        first = message.first or self._threads.get(message.thread)
        form = {**slack_form(message), "channel": self.channel, **({"thread_ts": first} if first else {})}
        answer = post(self.url or _API, form, {"Authorization": f"Bearer {self.token}"}, self.timeout)
        return self._taken(answer if isinstance(answer, dict) else {}, message.thread, first)

    def _taken(self, answer: dict[str, Any], thread: str, first: str | None) -> str:
        """The API answers with 200 whatever became of it."""
        if answer.get("ok") is True:
            self._threads[thread] = called = first or str(answer.get("ts", ""))
            return called
        why = printable(str(answer.get("error", "no answer that says so")), 160)
        if why in _NEVER:
            raise Refused(f"Slack does not take it: {why}")
        raise ConnectionError(f"Slack does not take it: {why}")


@dataclass(frozen=True, kw_only=True)
class Teams(Channel):
    """
    A Teams channel or chat, by the `url` of a workflow that posts when a webhook request is received: an adaptive card each.

        team = pf.notify.Teams(url="https://shop.webhook.office.com/workflows/abc")
        flags = pf.connect("flags.toml", notify=[team])
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        must_be_url(self.url, "the address of a Teams workflow")
        Channel.__post_init__(self)

    @property
    def where(self) -> str:
        return self.url

    def send(self, message: Message) -> None:
        post(self.url, teams_form(message), {}, self.timeout)


@dataclass(frozen=True, kw_only=True)
class Discord(Channel):
    """
    A Discord channel, by its webhook's `url`: an embed each.

        channel = pf.notify.Discord(url="https://discord.com/api/webhooks/123/abc")
        flags = pf.connect("flags.toml", notify=[channel])
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        must_be_url(self.url, "the address of a Discord webhook")
        Channel.__post_init__(self)

    @property
    def where(self) -> str:
        return self.url

    def send(self, message: Message) -> None:
        post(self.url, discord_form(message), {}, self.timeout)


def slack_form(message: Message) -> dict[str, Any]:
    """
    Block Kit: a header, the sentences, whose it is, and a button.

    Limits as documented: 150 characters in a header, 3,000 in a section, 75 in a button; `text` is what notifications show.
    """
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": message.headline[:150], "emoji": False}}]
    said = [_for_slack(line) for line in message.said] + ([f"*→ {_for_slack(message.do)}*"] if message.do else [])
    blocks += [{"type": "section", "text": {"type": "mrkdwn", "text": _fitting(said, 3_000)}}] if said else []
    blocks += [{"type": "context", "elements": [{"type": "plain_text", "text": _foot(message)[:2_000], "emoji": False}]}]
    if message.link:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Open the console"}, "url": message.link[:3_000]}
        blocks += [{"type": "actions", "elements": [button]}]
    return {"text": _for_slack(message.headline), "blocks": blocks, "unfurl_links": False}


def teams_form(message: Message) -> dict[str, Any]:
    """A message with one adaptive card of version 1.4, which the clients for desktop and mobile show; 28 kB at most, as documented."""
    lines = [*message.said, *([f"→ {message.do}"] if message.do else [])]
    said = cut("\n\n".join(line.translate(_MARKS) for line in lines), 10_000)  # a mark may take four bytes in JSON
    body = [
        {
            "type": "TextBlock",
            "text": message.headline.translate(_MARKS),
            "weight": "bolder",
            "size": "medium",
            "wrap": True,
            "color": _STYLES[message.severity],
        },
        *([{"type": "TextBlock", "text": said, "wrap": True, "spacing": "small"}] if said else []),
        {"type": "TextBlock", "text": _foot(message).translate(_MARKS), "isSubtle": True, "size": "small", "wrap": True},
    ]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the console", "url": message.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def discord_form(message: Message) -> dict[str, Any]:
    """One embed that pings nobody. Limits as documented: 256 characters in a title, 4,096 in a description, 2,048 in a footer."""
    lines = [line.translate(_MARKS) for line in message.said] + ([f"**→ {message.do.translate(_MARKS)}**"] if message.do else [])
    embed: dict[str, Any] = {
        "title": message.headline[:256],
        "description": _fitting(lines, 3_500),  # 6,000 for the whole embed
        "color": _COLOURS[message.severity],
        "timestamp": message.when,
        "footer": {"text": _foot(message)[:2_000]},
    }
    if message.link:
        embed["url"] = message.link
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _foot(message: Message) -> str:
    """Whose it is, how much it matters, when."""
    parts = [str(message.severity), f"owner {message.owner}" if message.owner else "", " ".join(message.tags), message.when]
    return printable(" · ".join(filter(None, parts)))


def _for_slack(text: str) -> str:
    """The three characters that make a link or a mention; what else looks like markup only looks so."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fitting(lines: list[str], most: int) -> str:
    """The lines that fit, the last ones first to go; in bytes, of which a character has at least one."""
    text = "\n".join(lines)
    return text if len(text) <= most else cut(text, most)
