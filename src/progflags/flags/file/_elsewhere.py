"""
What other systems call things, and what a flag file says instead.

A word that is nearly one of ours by its letters and another by its meaning (`state`, `salt`) would be corrected wrongly. The
words are in small letters, without `_` and `-`; one that a table really has is never looked up.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CHANNEL_WORDS", "FLAG_WORDS", "GATE_WORDS", "RULE_WORDS", "STAGE_WORDS"]

_OFF = "write enabled = false; to switch it off at once, everywhere: `progflags kill KEY`"
_RULES = """write rules = [{ when = 'plan == "pro"', serve = "on" }]"""
RULE_WORDS: Final = {
    **dict.fromkeys(
        ("condition", "conditions", "constraints", "if", "filter", "filters", "targeting", "clauses", "match", "segment"), "write when"
    ),
    **dict.fromkeys(("percentage", "rolloutpercentage", "rollout", "share", "weight", "fractional", "coverage"), "write percent = 10"),
    **dict.fromkeys(("variation", "variant", "value", "then", "result", "force"), 'write serve = "a variant\'s name"'),
    **dict.fromkeys(("variations", "variants", "weights", "distribution", "distributions"), "write split = { a = 1, b = 1 }"),
    **dict.fromkeys(("start", "startdate", "after"), "write from = 2027-01-31"),
    **dict.fromkeys(("end", "enddate", "before"), "write until = 2027-01-31"),
}
FLAG_WORDS: Final = {
    **{word: hint for word, hint in RULE_WORDS.items() if word not in ("rollout", "variants")},
    **dict.fromkeys(("state", "status", "disabled", "active", "on", "off", "archived", "isenabled", "isactive"), _OFF),
    **dict.fromkeys(("targeting", "conditions", "constraints", "strategies", "filters", "clauses", "when", "condition", "targets"), _RULES),
    **dict.fromkeys(("variations", "values", "options"), 'write variants = { a = "a", b = "b" }'),
    **dict.fromkeys(
        ("value", "defaultvariant", "defaultvariation", "defaultvalue", "fallthrough", "fallback"), "write default = a variant"
    ),
    **dict.fromkeys(("offvariation", "offvariant", "offvalue"), "write safe = a variant"),
    **dict.fromkeys(("stickiness", "bucketby", "hashattribute", "bucketingkey", "sticky"), 'write unit = "account_id"'),
    **dict.fromkeys(("seed", "hashseed"), "write salt"),
    **dict.fromkeys(("prerequisites", "dependencies", "depends", "dependson"), 'write requires = [{ flag = "other" }]'),
    **dict.fromkeys(("ttl", "expiry", "expiration", "expiresat"), "write expires = 2027-03-01"),
    **dict.fromkeys(("team", "maintainer", "maintainers", "owners"), "write owner"),
    **dict.fromkeys(("stages", "steps", "schedule"), "write a [flags.KEY.rollout] table with stages"),
}
STAGE_WORDS: Final = {
    **dict.fromkeys(("weight", "setweight", "share", "percentage", "traffic"), "write percent = 10"),
    **dict.fromkeys(("hold", "duration", "pause", "wait", "interval", "soak"), 'write bake = "30m"'),
    **dict.fromkeys(("analysis", "metrics", "checks"), 'write gates = [{ metric = "error_rate", max = 0.01 }]'),
}
GATE_WORDS: Final = {
    "name": 'write metric = "error_rate"',
    **dict.fromkeys(("threshold", "limit", "bound", "maximum", "below"), "write max, min, max_increase or max_decrease"),
    **dict.fromkeys(("percentile", "p"), "write quantile = 0.99"),
}
CHANNEL_WORDS: Final = {
    **dict.fromkeys(("url", "webhookurl", "slackurl", "incomingwebhook"), 'write slack, teams, discord or webhook = "https://…"'),
    **dict.fromkeys(("token", "bottoken", "slacktoken"), 'write slack = "env:SLACK_BOT_TOKEN" and channel = "#deploys"'),
    **dict.fromkeys(("mail", "to", "recipients", "emails"), 'write email = ["team@example.com"] and smtp = "env:SMTP_URL"'),
    **dict.fromkeys(("level", "minseverity", "severities"), 'write severity = "warning"'),
    **dict.fromkeys(("exec", "script", "run", "shell"), 'write command = ["/usr/local/bin/page", "--urgent"]'),
    **dict.fromkeys(("events", "only", "filter", "filters"), "write flags, owners, tags or severity"),
}
