"""
What every key of a file means: for editors, which show it beside the key, and for the reference, which is written from it.

Read only where somebody asks for the schema; a program that loads a file never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["MEANING", "Meaning"]


class Meaning(NamedTuple):
    """
    What a key says, and a value for it that a file may have.

    `default`: what a file that leaves it out gets; where that is no one value, `otherwise` says it in words.
    """

    says: str
    example: Any
    default: Any = None
    otherwise: str = ""


_M = Meaning

_DOCUMENT: Final = {
    "$schema": _M("Where this schema lies, for your editor; it isn't read", "./flags.schema.json"),
    "schema": _M("The version of the file's form; there is one", 1, 1),
    "lenient": _M("true: a network that is none is named in a warning, and the others beside it count", True, False),
    "retired": _M("Keys of flags that are gone on purpose, and may not come back with another type", ["old-cart"], []),
    "segments": _M(
        'Conditions with a name, which others ask for by `segment("NAME")`', {"staff": {"when": 'email endswith "@example.com"'}}
    ),
    "groups": _M("Flags of which one unit is in at most one, by name of the group", {"search": {"slots": {"a": 50, "b": 50}}}),
    "holdouts": _M("Units that get `safe` of every flag that names the holdout, by name", {"q3": {"percent": 2}}),
    "context": _M("The type of each attribute that conditions ask for, so that one on the wrong type is found", {"plan": "str"}),
    "profiles": _M(
        "The profile of rollouts that name none: the first pattern that matches the flag's key, or the end of its file's path; and "
        "profiles of your own, by name",
        {"payments/*": "high", "ours": {"extends": "standard", "watch": "48h"}},
    ),
    "notify": _M("Who is told of what happens, by name of the channel", {"payments": {"slack": "env:SLACK_WEBHOOK"}}),
    "flags": _M("The flags, by key", {"new-search": {"percent": 25}}),
    "environments": _M(
        "What is otherwise in an environment, by its name: tables as the file has them, laid over those",
        {"staging": {"flags": {"new-search": {"percent": 100}}}},
    ),
}
_FLAG: Final = {
    "description": _M("What it is for", "Vector search"),
    "owner": _M("Whose it is; channels and `rollback --owner` go by it", "search"),
    "expires": _M("The day by which it should be gone; `progflags lint` says when that has passed", "2099-03-01"),
    "ticket": _M("Where the work is followed", "SRCH-12"),
    "kind": _M("What sort of flag it is, for people and for `progflags lint`", "experiment", "release"),
    "tags": _M("Words to find it by; `risk:high` chooses a rollout's profile, `rollback --tag` goes by them", ["risk:low"], []),
    "type": _M("The type of its variants' values", "json", otherwise="told from the variants; `boolean` without any"),
    "variants": _M("Its values, by name", {"small": {"k": 10}, "large": {"k": 100}}, otherwise="`on` (true) and `off` (false)"),
    "default": _M(
        "The variant where no rule matched",
        "small",
        otherwise="`off`, the variant that is false, or the only one; else it must be written",
    ),
    "safe": _M("The variant for a kill, a panic, a prerequisite that isn't met, a holdout", "small", otherwise="`default`"),
    "unit": _M(
        'What is put into a bucket: an attribute, several that are one together, or `{ first_of = ["user", "device"] }`',
        "account_id",
        otherwise="the targeting key",
    ),
    "salt": _M("What the buckets are drawn with: another salt, another draw", "checkout-2026", otherwise="the flag's key"),
    "requires": _M("Flags that must serve certain variants, or this one is `safe`", [{"flag": "new-search", "is": "on"}], []),
    "group": _M("The group that it has a slot of; `default` outside the slot", "checkout-experiments"),
    "holdout": _M("The holdout whose units get `safe`", "q3"),
    "rules": _M("Who gets what; the first that matches decides", [{"when": 'plan == "pro"', "serve": "on"}], []),
    "percent": _M(
        "The share of everybody, in percent with up to four decimals, that gets `on`, `serve` or the `split`",
        25,
        otherwise="everybody, beside `serve` or `split`; else the flag has no rule of its own",
    ),
    "split": _M("Relative weights of variants, drawn apart from the share", {"fast": 1, "faster": 1}),
    "serve": _M("The variant that is served", "fast", otherwise="`on`, or the only variant that isn't the default"),
    "ramp": _M(
        "A share that grows with the clock, instead of `percent`", {"from": "2098-01-04T09:00:00Z", "until": "2098-01-08T09:00:00Z"}
    ),
    "from": _M("The flag's own rule holds from here on; a time without a zone is UTC", "2098-12-20T00:00:00Z"),
    "until": _M("The flag's own rule holds until before here", "2099-01-03T00:00:00Z"),
    "rollout": _M("How its share climbs; the share is live state, and 0 until the rollout is started", {"profile": "standard"}),
    "enabled": _M("`false`, or a span that is not now: everybody gets `safe`, and what stands below is kept", False, True),
    "on_missing_unit": _M(
        "Who is without the unit: `error` answers the caller's default and says so, `skip` has them outside every share", "skip", "error"
    ),
    "metadata": _M("Texts, numbers, true and false for whoever asks through OpenFeature or OFREP", {"team": "search"}, {}),
    "tests": _M("What the file promises of this flag: `progflags test` checks it", [{"key": "user-42", "expect": "on"}], []),
}
_RULE: Final = {
    "name": _M("What `explain` calls it", "staff", otherwise="`rule 1`, `rule 2`, …"),
    "description": _M("What it is for", "Everybody who works here"),
    "when": _M("Who: an expression, or a tree of conditions", 'plan == "pro" and country != "PL"', otherwise="everybody"),
    "serve": _FLAG["serve"],
    "split": _FLAG["split"],
    "percent": _M("How many of them, in percent with up to four decimals; the others go on to the next rule", 50, 100),
    "ramp": _FLAG["ramp"],
    "from": _M("The rule holds from here on; a time without a zone is UTC", "2098-12-20T00:00:00Z"),
    "until": _M("The rule holds until before here", "2099-01-03T00:00:00Z"),
    "windows": _M(
        "The hours of the week in which the rule holds; one of them is enough",
        [{"days": ["mon-fri"], "from": "09:00", "to": "17:00"}],
        otherwise="always",
    ),
    "unit": _M("What this rule's share and split put into a bucket", "account_id", otherwise="the flag's"),
    "salt": _M("What this rule's buckets are drawn with", "checkout-2027", otherwise="the flag's"),
    "enabled": _M("`false`: the rule stands there and does nothing", False, True),
}
_SPAN: Final = {
    "from": _M("It is on from here on; a time without a zone is UTC", "2098-12-20T00:00:00Z"),
    "until": _M("It is on until before here", "2099-01-03T00:00:00Z"),
}
_RAMP: Final = {
    "from": _M("When the share begins to grow, in a straight line", "2098-01-04T09:00:00Z"),
    "until": _M("When it is grown", "2098-01-08T09:00:00Z"),
    "start": _M("Percent until `from`", 1, 0),
    "end": _M("Percent from `until` on", 10, 100),
}
_REQUIRE: Final = {
    "flag": _M("The other flag's key", "new-search"),
    "is": _M("The variant, or one of several, that it must serve", "on", True),
}
_TEST: Final = {
    "name": _M("What the report calls it", "pro gets it", otherwise="`test 1`, `test 2`, …"),
    "key": _M("The targeting key that asks", "user-42"),
    "attributes": _M("The attributes that it brings", {"plan": "pro"}, {}),
    "at": _M("Where the unit falls in the share, in percent, instead of its key's own bucket", 9.5),
    "share": _M("The rollout's share during this test, in percent", 10),
    "flags": _M("Other flags that are pinned during this test", {"new-search": "on"}, {}),
    "expect": _M("The variant's name, its value, or an error code", "on"),
    "reason": _M("The reason that must be given as well", "TARGETING_MATCH"),
}
_SEGMENT: Final = {
    "when": _M("Who is in it: an expression, or a tree of conditions", 'email endswith "@example.com"'),
    "description": _M("What it is for", "Everybody who works here"),
    "owner": _M("Whose it is", "search"),
}
_GROUP: Final = {
    "unit": _M("What is put into the group's buckets; its flags' units are the same", "account_id", otherwise="the targeting key"),
    "salt": _M("What the buckets are drawn with", "search-2026", otherwise="the group's name"),
    "slots": _M("How many percent of the units may be in each flag, 100 in all at most", {"checkout-flow": 50, "checkout-copy": 50}),
    "description": _M("What it is for", "One checkout experiment at a time"),
    "owner": _M("Whose it is", "search"),
}
_HOLDOUT: Final = {
    "percent": _M("How many percent of the units are held out", 2),
    "description": _M("What it is for", "Nobody new in the third quarter"),
    "owner": _M("Whose it is", "search"),
}
_NOTIFY: Final = {
    "console_url": _M("Where the console is, for the links of every channel", "https://flags.example.com"),
}
_CHANNEL: Final = {
    "slack": _M(
        "An incoming webhook's address, or a bot's token; `env:NAME` takes it from the environment, here and in all the others",
        "env:SLACK_WEBHOOK",
    ),
    "channel": _M("Where a Slack bot writes to", "#deploys"),
    "teams": _M("The address of a Teams workflow that posts when a webhook request is received", "env:TEAMS_WORKFLOW"),
    "discord": _M("A Discord webhook's address", "env:DISCORD_WEBHOOK"),
    "webhook": _M("An address that is sent CloudEvents", "https://audit.example.com/events"),
    "secret": _M("What a webhook's messages are signed with", "env:AUDIT_SECRET", otherwise="they are not signed"),
    "source": _M("The CloudEvent's source", "shop", "progflags"),
    "email": _M("One address, or several", ["team@example.com"]),
    "smtp": _M("The mail server: smtp://user:password@host:587, or smtps://", "env:SMTP_URL"),
    "from": _M("The sender of e-mails", "flags@example.com"),
    "command": _M("A program and its arguments, run without a shell; the message is JSON on its standard input", ["/usr/local/bin/page"]),
    "flags": _M("Patterns of keys: only these flags are told of", ["pay-*"], otherwise="every flag"),
    "owners": _M("Only flags of these owners", ["payments"], otherwise="every owner"),
    "tags": _M("Only flags with one of these tags", ["pay"], otherwise="every flag"),
    "severity": _M("The least that is told", "warning", "info"),
    "console_url": _M("Where the console is, for links", "https://flags.example.com", otherwise="`console_url` of `[notify]`"),
    "timeout": _M("How long the receiver may take", "5s", "5s"),
}
_ROLLOUT: Final = {
    "profile": _M(
        "Where everything comes from that isn't written: low, standard, high, emergency, or one of `[profiles]`; `low@1` asks for one "
        "version for ever",
        "high",
        otherwise="by tag, path rule or key, else `standard`",
    ),
    "variant": _M("The candidate", "fast", otherwise="`on`, or the only variant that isn't the default"),
    "stages": _M(
        "The climb, in order of rising `percent`; they replace the profile's", [{"percent": 1, "bake": "15m"}], otherwise="the profile's"
    ),
    "gates": _M("Conditions that stand at every stage, beside the stage's own", [{"metric": "error_rate", "max": 0.02}], []),
    "min_samples": _M("Calls needed on each arm before a stage may pass", 1000, 100),
    "deadline": _M("A stage without a verdict after this long is held, or rolled back", "12h", otherwise="the profile's"),
    "on_insufficient": _M("What happens at the deadline", "rollback", "hold"),
    "watch": _M("How long it is judged after 100 %", "24h", otherwise="the profile's"),
    "watch_gates": _M(
        "What it is judged by then",
        [{"metric": "error_rate", "max": 0.02}],
        otherwise="the absolute bounds of the stages' gates, all of them beside a holdback; the profile's where they have none",
    ),
    "holdback": _M(
        "Percent of the traffic that keeps the control until the watch ends, so that the watch has something to compare with",
        1,
        otherwise="0; 1 for the stages of `standard`, and for `high`",
    ),
    "keep_holdback": _M("The holdback stays when the watch has ended", True, False),
    "remember": _M("The watch is held against the control as it was during the climb, and gets absolute bounds from it", False, True),
    "alpha": _M("The chance of a false rollback that is accepted, once per rollout", 0.01, otherwise="0.05; `high`: 0.01"),
    "cool_down": _M(
        "How long a retry waits after a rollback; it doubles with each, up to 64 times as long", "1h", otherwise="the profile's"
    ),
    "brake": _M("When one process stops serving a candidate that blows up; false: never", {"calls": 20, "failures": 0.5}, True),
    "warm_up": _M("After each change of share, the arms aren't compared for this long and the bake waits", "30s", "0s"),
    "look": _M("Plans twelve looks at each bake, with four fifths of alpha; false leaves all of it to continuous watching", False, True),
    "batch": _M("The least time that one look at the evidence accounts for; a tenth of the bake at most", "10s", "10s"),
    "max_gap": _M("The most time that one look at the evidence accounts for", "60s", "60s"),
    "max_units": _M(
        'A budget of people for the whole climb: no stage of `percent = "auto"` exposes more at the traffic there is',
        5000,
        otherwise="none",
    ),
    "approval": _M(
        "Who must agree before which share; false: nobody", {"before": [10, 100]}, otherwise="nobody; `high`: before 10 and 100"
    ),
    "windows": _M(
        "When it may climb; a rollback may come at any time",
        [{"days": ["mon", "tue"], "from": "09:00"}],
        otherwise="always; `high`: office hours, UTC",
    ),
    "freeze": _M("When nothing is promoted", [{"from": "2098-12-20", "to": "2099-01-03"}], []),
    "needs": _M("Flags whose rollouts must be completed first", ["new-index"], []),
    "conflicts": _M("Flags whose rollouts must not be under way", ["new-ranking"], []),
    "dark_launch": _M(
        "How long the shadow must have been SAFE before anybody is served; true: no longer than it takes",
        "24h",
        otherwise="not asked for; `high`: 24h",
    ),
}
_OWN: Final = {
    **{key: meaning for key, meaning in _ROLLOUT.items() if key not in ("profile", "variant", "needs", "conflicts")},
    "description": _M("What it is for", "Whatever moves money"),
    "extends": _M("The profile that has everything that isn't written here; another of your own may stand there", "high", "standard"),
    "flags": _M("Whose profile it is where a rollout names none: patterns of keys, or of the ends of files' paths", ["pay-*"]),
    "owners": _M("The same by the flags' owners; with several of these, all must be met", ["payments"]),
    "tags": _M("The same by the flags' tags, of which one is enough", ["money"]),
}
_STAGE: Final = {
    "name": _M("For people", "half of the users"),
    "percent": _M('How many get the candidate, or "auto": the smallest rung that fits the traffic', "auto"),
    "at_least": _M('The smallest rung of percent = "auto"', 5, otherwise="above the stage before"),
    "bake": _M("How long it is judged before it may pass", "15m", "15m"),
    "min_samples": _M("As in the rollout, for this stage", 1000, otherwise="the rollout's"),
    "gates": _M("Conditions of this stage, beside the rollout's", [{"metric": "p99_latency", "max_increase": 0.1}], []),
    "approval": _M("A person must agree before it begins", True, False),
    "deadline": _M("As in the rollout, for this stage", "12h", otherwise="the rollout's"),
    "on_insufficient": _M("As in the rollout, for this stage", "rollback", otherwise="the rollout's"),
}
_GATE: Final = {
    "metric": _M(
        "error_rate and any …_rate, p99_latency, p50_latency, latency (p90, p95 and p99 at once), mean_…, cpu, memory, "
        'the name of a tracked event, of a source or an instrument; "*" is every metric seen',
        "error_rate",
    ),
    "max": _M("The candidate's value may not be above this: rates as fractions (0.1 % is 0.001), latencies in seconds", 0.02),
    "min": _M("The candidate's value may not be below this", 0.1),
    "max_increase": _M("How much more than the control's is tolerated, as a fraction: 0.10 is +10 %", 0.25),
    "max_decrease": _M("How much less than the control's is tolerated, as a fraction", 0.02),
    "anomaly": _M('false: no anomaly is tolerated; the one bound of metric = "*"', False),
    "kind": _M("rate, count, quantile, mean or gauge", "gauge", otherwise="from the metric's name"),
    "quantile": _M("Which quantile, where the name has no `p99_`", 0.99, otherwise="from the metric's name"),
    "direction": _M("Which way is better; a bound that contradicts it is refused", "higher_is_better", otherwise="from the bound"),
    "severity": _M("A warning may hold, and never rolls back", "warning", "critical"),
    "weight": _M("Its part of alpha among the critical gates", 2, 1),
    "policy": _M("What lets it pass", "proven", "detectable"),
    "must_detect": _M(
        "The regression that `detectable` and `proven` ask to have been visible, as a fraction: 1.0 is a doubling",
        0.5,
        otherwise="1.0 for rates and counts, 0.25 for quantiles, means and gauges, 0.1 for decreases",
    ),
    "min_absolute": _M("A difference smaller than this is none, in the metric's own unit: 0.001 is 0.1 points, 0.005 is 5 ms", 0.001, 0),
}
_BRAKE: Final = {
    "calls": _M("How many calls of the candidate there must have been in ten seconds", 20, 20),
    "failures": _M("The share of them, at least, that failed", 0.5, 0.5),
    "control": _M("The control's share of failures is below this part of the candidate's", 0.25, 0.25),
}
_APPROVAL: Final = {
    "before": _M("Percents before which a person must agree", [10, 100], []),
    "two_person": _M("Whoever started it can't be the one who agrees", True, False),
}
_HOURS: Final = {
    "days": _M("Weekdays, one by one or from one to another", ["mon-thu", "sun"], otherwise="every day"),
    "from": _M("The time of day from which it is open", "09:00", otherwise="the day's beginning"),
    "to": _M("The time of day until before which it is open; before `from`: on the next day", "16:00", otherwise="the day's end"),
    "timezone": _M("Where these are the hours", "Europe/Berlin", "UTC"),
}
_FREEZE: Final = {
    "from": _M("The first day or moment", "2098-12-20"),
    "to": _M("The last day, which is frozen to its end, or moment", "2099-01-03"),
    "reason": _M("What is said while it lasts", "holidays"),
}

#: By the name of the table, in the order in which the reference has them.
MEANING: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "document": _DOCUMENT,
    "flag": _FLAG,
    "rule": _RULE,
    "ramp": _RAMP,
    "require": _REQUIRE,
    "test": _TEST,
    "segment": _SEGMENT,
    "group": _GROUP,
    "holdout": _HOLDOUT,
    "notify": _NOTIFY,
    "channel": _CHANNEL,
    "rollout": _ROLLOUT,
    "profile": _OWN,
    "stage": _STAGE,
    "gate": _GATE,
    "brake": _BRAKE,
    "approval": _APPROVAL,
    "span": _SPAN,
    "window": _HOURS,
    "freeze": _FREEZE,
}
