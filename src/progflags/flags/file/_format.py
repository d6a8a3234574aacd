"""
The file format as one table of fields: what the loader checks by, and what `progflags schema` prints.

Every table of the file is here, with the kinds of its values; how the parts hang together (names that must exist, cycles,
units that must agree) is the parser's business.

One file, though long: it is the table of a file's keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from progflags.flags._problems import Wrong, shown
from progflags.flags.conditions import OPERATORS
from progflags.flags.file import _kinds as k
from progflags.flags.file._elsewhere import CHANNEL_WORDS, FLAG_WORDS, GATE_WORDS, RULE_WORDS, STAGE_WORDS
from progflags.flags.file._fields import Fields, Kind, among, is_table, listed, table

__all__ = [
    "CHANNEL",
    "CONTEXT",
    "DOCUMENT",
    "FLAG",
    "GROUP",
    "HOLDOUT",
    "KINDS",
    "RAMP",
    "REQUIRE",
    "RULE",
    "SEGMENT",
    "TYPES",
    "json_schema",
]

TYPES: Final = ("boolean", "string", "number", "json")
KINDS: Final = ("release", "experiment", "ops", "permission")
ATTRIBUTE_TYPES: Final = ("str", "int", "float", "number", "bool", "semver", "ip", "date", "list")


def _must(kind: Kind) -> Kind:
    return replace(kind, required=True)


def _raw_table(value: Any) -> Any:
    """Checked one by one later, so that a mistake in one entry does not hide another."""
    if not is_table(value):
        raise Wrong(f"a table is wanted here, not {shown(value)}")
    return value


def _map_of(entry: Mapping[str, Any]) -> Kind:
    return Kind(_raw_table, {"type": "object", "additionalProperties": dict(entry)})


def _raw_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise Wrong(f"a list is wanted here, not {shown(value)}")
    return value


def _version(value: Any) -> int:
    if value != 1 or type(value) is not int:
        raise Wrong(f"this progflags reads schema 1, not {shown(value)}", "upgrade progflags, or write schema = 1")
    return 1


def _profiles(value: Any) -> Mapping[str, str]:
    for pattern, name in _raw_table(value).items():
        if not isinstance(name, str) or not name:
            raise Wrong(f"the profile of {pattern!r} is a name, not {shown(name)}", 'write "payments/*" = "high"')
    rules: Mapping[str, str] = value
    return rules


RAMP: Final = Fields(
    {"from": _must(k.MOMENT), "until": _must(k.MOMENT), "start": k.SHARE, "end": k.SHARE},
    {"start": "percent until `from`, default 0", "end": "percent from `until` on, default 100"},
)

RULE: Final = Fields(
    {
        "name": k.NAME,
        "description": k.PROSE,
        "when": k.WHEN,
        "serve": k.VARIANT,
        "split": k.WEIGHTS,
        "percent": k.SHARE,
        "ramp": table(RAMP),
        "from": k.MOMENT,
        "until": k.MOMENT,
    },
    {
        "when": "who; left out: everybody",
        "percent": "how many of them; the others go on to the next rule",
        "split": "relative weights by variant, hashed apart from the share",
        "ramp": "a share that grows with the clock, in a straight line",
    },
    RULE_WORDS,
)

REQUIRE: Final = Fields({"flag": _must(k.NAME), "is": k.VARIANTS})

TEST: Final = Fields(
    {
        "name": k.NAME,
        "key": k.TEXT,
        "attributes": k.TABLE,
        "at": k.PERCENT,
        "share": k.PERCENT,
        "flags": k.TABLE,
        "expect": _must(k.VALUE),
        "reason": k.TEXT,
    },
    {
        "at": "where the unit falls in the share, 0 to 100, instead of its key's own bucket",
        "share": "the rollout's share during this test, in percent",
        "flags": "other flags pinned during this test",
        "expect": "the variant's name, or the value",
    },
)

GATE: Final = Fields(
    {
        "metric": _must(k.TEXT),
        "max": k.NUMBER,
        "min": k.NUMBER,
        "max_increase": k.NUMBER,
        "max_decrease": k.NUMBER,
        "anomaly": k.TRUTH,
        "quantile": k.NUMBER,
        "kind": k.TEXT,
        "direction": among("higher_is_better", "lower_is_better"),
        "severity": among("critical", "warning"),
        "weight": k.NUMBER,
        "policy": among("no_alarm", "observed", "detectable", "proven"),
        "must_detect": k.NUMBER,
        "min_absolute": k.NUMBER,
    },
    elsewhere=GATE_WORDS,
)

STAGE: Final = Fields(
    {
        "name": k.NAME,
        "percent": _must(k.PERCENT_OR_AUTO),
        "at_least": k.PERCENT,
        "bake": k.DURATION,
        "min_samples": k.WHOLE,
        "gates": listed(table(GATE, keep=True)),
        "approval": k.TRUTH,
        "deadline": k.DURATION,
        "on_insufficient": among("hold", "rollback"),
    },
    elsewhere=STAGE_WORDS,
)

HOURS: Final = Fields({"days": listed(k.TEXT), "from": k.TEXT, "to": k.TEXT, "timezone": k.TEXT})
FREEZE: Final = Fields({"from": _must(k.MOMENT), "to": _must(k.MOMENT), "reason": k.PROSE})

ROLLOUT: Final = Fields(
    {
        "profile": k.TEXT,
        "stages": listed(table(STAGE, keep=True)),
        "watch": k.DURATION,
        "deadline": k.DURATION,
        "on_insufficient": among("hold", "rollback"),
        "alpha": k.NUMBER,
        "approval": k.TABLE_OR_FALSE,
        "batch": k.DURATION,
        "max_gap": k.DURATION,
        "cool_down": k.DURATION,
        "look": k.TRUTH,
        "max_units": k.WHOLE,
        "keep_holdback": k.TRUTH,
        "remember": k.TRUTH,
        "warm_up": k.DURATION,
        "min_samples": k.WHOLE,
        "gates": listed(table(GATE, keep=True)),
        "brake": k.TABLE_OR_FALSE,
        "variant": k.TEXT,
        "watch_gates": listed(table(GATE, keep=True)),
        "holdback": k.PERCENT,
        "dark_launch": k.VALUE,
        "windows": listed(table(HOURS, keep=True)),
        "freeze": listed(table(FREEZE, keep=True)),
        "needs": listed(k.NAME),
        "conflicts": listed(k.NAME),
    },
    {"variant": "the candidate; default: `on`, or the only variant that is not the default"},
)

FLAG: Final = Fields(
    {
        "description": k.PROSE,
        "owner": k.TEXT,
        "expires": k.DAY,
        "ticket": k.TEXT,
        "kind": among(*KINDS),
        "tags": listed(k.TEXT),
        "type": among(*TYPES),
        "variants": Kind(_raw_table, {"type": "object", "minProperties": 1}),
        "default": k.VARIANT,
        "safe": k.VARIANT,
        "unit": k.UNIT,
        "salt": k.NAME,
        "requires": Kind(_raw_list, {"type": "array", "items": REQUIRE.schema}),
        "group": k.NAME,
        "holdout": k.NAME,
        "rules": Kind(_raw_list, {"type": "array", "items": RULE.schema}),
        "percent": k.SHARE,
        "split": k.WEIGHTS,
        "serve": k.VARIANT,
        "ramp": table(RAMP),
        "from": k.MOMENT,
        "until": k.MOMENT,
        "rollout": table(ROLLOUT, keep=True),
        "tests": listed(table(TEST, keep=True)),
    },
    {
        "default": "the variant when no rule matched; boolean flags: off",
        "safe": "the variant for kill switch, panic, failed prerequisite, holdout, rollback; default: `default`",
        "unit": "what to bucket by; default: the targeting key",
        "salt": "default: the flag's key",
        "percent": "this share of everybody gets `on`, or `serve`, or the `split`",
        "rollout": "the share is live state, climbed by the controller; 0 until started",
    },
    FLAG_WORDS,
)

SEGMENT: Final = Fields({"when": _must(k.WHEN), "description": k.PROSE, "owner": k.TEXT})
GROUP: Final = Fields(
    {
        "unit": k.UNIT,
        "salt": k.NAME,
        "slots": _must(Kind(_raw_table, {"type": "object", "additionalProperties": dict(k.SHARE.schema)})),
        "description": k.PROSE,
        "owner": k.TEXT,
    }
)
HOLDOUT: Final = Fields({"percent": _must(k.SHARE), "description": k.PROSE, "owner": k.TEXT})
CONTEXT: Final = among(*ATTRIBUTE_TYPES)

CHANNEL: Final = Fields(
    {
        "slack": k.SECRET,
        "channel": k.TEXT,
        "teams": k.SECRET,
        "discord": k.SECRET,
        "webhook": k.SECRET,
        "secret": k.SECRET,
        "source": k.TEXT,
        "email": k.WORDS,
        "smtp": k.SECRET,
        "from": k.TEXT,
        "command": listed(k.TEXT, least=1),
        "flags": k.WORDS,
        "owners": k.WORDS,
        "tags": k.WORDS,
        "severity": among("info", "warning", "critical"),
        "console_url": k.TEXT,
        "timeout": k.DURATION,
    },
    {
        "slack": "an incoming webhook's address or a bot's token; `env:NAME` takes it from the environment, here and in all the others",
        "channel": "where a Slack bot writes to",
        "teams": "the address of a workflow that posts when a webhook request is received",
        "webhook": "an address that is sent CloudEvents",
        "secret": "signs what a webhook is sent",
        "email": "to whom",
        "smtp": "the mail server: smtp://user:password@host:587, or smtps://",
        "command": "a program and its arguments; the message is JSON on its standard input",
        "flags": "patterns of keys, as in pay-*; left out: every flag",
        "severity": "the least that is told: info, warning, critical",
        "console_url": "where the console is, for links",
    },
    CHANNEL_WORDS,
)

DOCUMENT: Final = Fields(
    {
        "$schema": k.PROSE,
        "schema": Kind(_version, {"const": 1}),
        "retired": listed(k.NAME),
        "segments": _map_of(SEGMENT.schema),
        "groups": _map_of(GROUP.schema),
        "holdouts": _map_of(HOLDOUT.schema),
        "context": _map_of(CONTEXT.schema),
        "profiles": Kind(_profiles, {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}}),
        "notify": Kind(
            _raw_table, {"type": "object", "properties": {"console_url": k.TEXT.schema}, "additionalProperties": CHANNEL.schema}
        ),
        "flags": _map_of(FLAG.schema),
    },
    {
        "retired": "keys that are gone on purpose, and may not come back with another type",
        "profiles": "which risk profile a rollout has that names none: the first pattern that matches its flag's key or file",
        "notify": "who is told of what happens, by name of the channel",
    },
)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a flag file, for editors; the loader checks more than a schema can say."""
    node: dict[str, Any] = {"$ref": "#/$defs/condition"}
    trees: list[dict[str, Any]] = [
        {"type": "string", "minLength": 1, "description": 'an expression: plan == "pro" and app >= semver("2.1.0")'},
        *(
            {
                "type": "object",
                "properties": {w: {"type": "array", "items": node, "minItems": 1}},
                "required": [w],
                "additionalProperties": False,
            }
            for w in ("all", "any")
        ),
        {"type": "object", "properties": {"not": node}, "required": ["not"], "additionalProperties": False},
        {"type": "object", "properties": {"segment": {"type": "string"}}, "required": ["segment"], "additionalProperties": False},
        {
            "type": "object",
            "properties": {"attribute": {"type": "string"}, "op": {"enum": [*OPERATORS, "not_in"]}, "value": {}},
            "required": ["attribute"],
            "additionalProperties": False,
        },
    ]
    name: dict[str, Any] = {"type": "string", "minLength": 1}
    first = {
        "type": "object",
        "properties": {"first": {"type": "array", "items": name}},
        "required": ["first"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "progflags flag file",
        **DOCUMENT.schema,
        "required": ["flags"],
        "$defs": {
            "condition": {"oneOf": trees},
            "unit": {"oneOf": [name, first, {"type": "array", "items": {"oneOf": [name, first]}, "minItems": 1}]},
        },
    }
