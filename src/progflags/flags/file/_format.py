"""
The file format as one table of fields: what the loader checks by, and what `progflags schema` prints.

Every table of the file is here, with the kinds of its values; how the parts hang together (names that must exist, cycles,
units that must agree) is the parser's business.

One file, though long: it is the table of a file's keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from progflags.flags._problems import Wrong, shown
from progflags.flags.conditions import OPERATORS
from progflags.flags.file import _kinds as k
from progflags.flags.file._elsewhere import CHANNEL_WORDS, FLAG_WORDS, GATE_WORDS, RULE_WORDS, STAGE_WORDS
from progflags.flags.file._fields import Fields, Kind, among, is_table, listed, table

if TYPE_CHECKING:
    from progflags.flags._typed import Flag
    from progflags.flags.file._meaning import Meaning

__all__ = [
    "CHANNEL",
    "CONTEXT",
    "DOCUMENT",
    "FLAG",
    "GROUP",
    "HOLDOUT",
    "KINDS",
    "PROFILE",
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


def _or_not(fields: Fields) -> Kind:
    """A table, or true or false. What is in it is the plan's to check: a flag is served, though its rollout could never start."""
    return Kind(k.TABLE_OR_FALSE.check, {"anyOf": [fields.schema, {"type": "boolean"}]})


def _version(value: Any) -> int:
    if value != 1 or type(value) is not int:
        raise Wrong(f"this progflags reads schema 1, not {shown(value)}", "upgrade progflags, or write schema = 1")
    return 1


def _profiles(value: Any) -> Mapping[str, Any]:
    """Patterns, and tables that are checked one by one later."""
    for pattern, name in _raw_table(value).items():
        if not is_table(name) and (not isinstance(name, str) or not name):
            hint = 'write "payments/*" = "high", or [profiles.payments] for one of your own'
            raise Wrong(f"the profile of {pattern!r} is a name, not {shown(name)}", hint)
    entries: Mapping[str, Any] = value
    return entries


RAMP: Final = Fields(
    "ramp",
    {"from": _must(k.MOMENT), "until": _must(k.MOMENT), "start": k.SHARE, "end": k.SHARE},
)

SPAN: Final = Fields("span", {"from": k.MOMENT, "until": k.MOMENT})
HOURS: Final = Fields("window", {"days": listed(k.TEXT), "from": k.TEXT, "to": k.TEXT, "timezone": k.TEXT})

RULE: Final = Fields(
    "rule",
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
        "windows": Kind(k.windows, {"type": "array", "items": HOURS.schema, "minItems": 1}),
        "unit": k.UNIT,
        "salt": k.NAME,
        "enabled": k.TRUTH,
    },
    RULE_WORDS,
)

REQUIRE: Final = Fields("require", {"flag": _must(k.NAME), "is": k.VARIANTS})

TEST: Final = Fields(
    "test",
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
)

GATE: Final = Fields(
    "gate",
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
    "stage",
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

BRAKE: Final = Fields("brake", {"calls": k.WHOLE, "failures": k.NUMBER, "control": k.NUMBER})
APPROVAL: Final = Fields("approval", {"before": listed(k.PERCENT), "two_person": k.TRUTH})
FREEZE: Final = Fields("freeze", {"from": _must(k.MOMENT), "to": _must(k.MOMENT), "reason": k.PROSE})

ROLLOUT: Final = Fields(
    "rollout",
    {
        "profile": k.TEXT,
        "stages": listed(table(STAGE, keep=True)),
        "watch": k.DURATION,
        "deadline": k.DURATION,
        "on_insufficient": among("hold", "rollback"),
        "alpha": k.NUMBER,
        "approval": _or_not(APPROVAL),
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
        "brake": _or_not(BRAKE),
        "variant": k.TEXT,
        "watch_gates": listed(table(GATE, keep=True)),
        "holdback": k.PERCENT,
        "dark_launch": Kind(k.VALUE.check, {"anyOf": [k.DURATION.schema, {"type": "boolean"}]}),
        "windows": listed(table(HOURS, keep=True)),
        "freeze": listed(table(FREEZE, keep=True)),
        "needs": listed(k.NAME),
        "conflicts": listed(k.NAME),
    },
)

PROFILE: Final = Fields(
    "profile",
    {
        "description": k.PROSE,
        "extends": k.TEXT,
        "flags": k.WORDS,
        "owners": k.WORDS,
        "tags": k.WORDS,
        **{key: kind for key, kind in ROLLOUT.kinds.items() if key not in ("profile", "variant", "needs", "conflicts")},
    },
)

FLAG: Final = Fields(
    "flag",
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
        "enabled": Kind(k.enabled, {"oneOf": [k.TRUTH.schema, SPAN.schema]}),
        "on_missing_unit": among("error", "skip"),
        "metadata": k.METADATA,
    },
    FLAG_WORDS,
)

SEGMENT: Final = Fields("segment", {"when": _must(k.WHEN), "description": k.PROSE, "owner": k.TEXT})
GROUP: Final = Fields(
    "group",
    {
        "unit": k.UNIT,
        "salt": k.NAME,
        "slots": _must(Kind(_raw_table, {"type": "object", "additionalProperties": dict(k.SHARE.schema)})),
        "description": k.PROSE,
        "owner": k.TEXT,
    },
)
HOLDOUT: Final = Fields("holdout", {"percent": _must(k.SHARE), "description": k.PROSE, "owner": k.TEXT})
CONTEXT: Final = among(*ATTRIBUTE_TYPES)

CHANNEL: Final = Fields(
    "channel",
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
    CHANNEL_WORDS,
)

_SECTIONS: Final[Mapping[str, Kind]] = {
    "segments": _map_of(SEGMENT.schema),
    "groups": _map_of(GROUP.schema),
    "holdouts": _map_of(HOLDOUT.schema),
    "context": _map_of(CONTEXT.schema),
    "profiles": Kind(_profiles, {"type": "object", "additionalProperties": {"anyOf": [k.TEXT.schema, PROFILE.schema]}}),
    "notify": Kind(
        _raw_table,
        {"type": "object", "title": "notify", "properties": {"console_url": k.TEXT.schema}, "additionalProperties": CHANNEL.schema},
    ),
    "flags": _map_of(FLAG.schema),
}
"""The tables of a document that hold entries by name, which is what an environment may say otherwise."""


def _overlay_schema() -> dict[str, Any]:
    """
    A document's tables once more, by reference, and nothing in them is required: it is there already.

    An environment is laid over the document before that is checked, so there is nothing else to check it by.
    """
    properties: dict[str, Any] = {name: {"$ref": f"#/properties/{name}"} for name in _SECTIONS}
    for name, fields in (("segments", SEGMENT), ("groups", GROUP), ("holdouts", HOLDOUT)):
        parts = {key: {"$ref": f"#/properties/{name}/additionalProperties/properties/{key}"} for key in fields.kinds}
        entry = {"type": "object", "properties": parts, "patternProperties": {"^x-": {}}, "additionalProperties": False}
        properties[name] = {"type": "object", "additionalProperties": entry}
    properties["retired"] = {"$ref": "#/properties/retired"}
    return {"type": "object", "properties": properties, "patternProperties": {"^x-": {}}, "additionalProperties": False}


DOCUMENT: Final = Fields(
    "document",
    {
        "$schema": k.PROSE,
        "schema": Kind(_version, {"const": 1}),
        "lenient": k.TRUTH,
        "retired": listed(k.NAME),
        **_SECTIONS,
        "environments": _map_of(_overlay_schema()),
    },
)


def _explained(schema: Any, meaning: Mapping[str, Mapping[str, Meaning]]) -> Any:
    """`schema` with what each key of each table means, found by the table's name."""
    if isinstance(schema, list):
        return [_explained(item, meaning) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _explained(item, meaning) for key, item in schema.items()}
    for key, (says, example, default, otherwise) in meaning.get(found.get("title", ""), {}).items():
        said = f"{says}. Left out: {otherwise}." if otherwise else f"{says}."
        known = {} if default is None else {"default": default}
        found["properties"][key] = {"description": said, **found["properties"][key], **known, "examples": [example]}
    return found


def json_schema(flags: Iterable[Flag[Any]] = ()) -> dict[str, Any]:
    """
    The JSON Schema (draft 2020-12) of a flag file, for editors; the loader checks more than a schema can say.

    Every key has its `description`, an entry of `examples`, and its `default` where that is one value. The values of `flags`, which the
    code declares with a type, have the schema of that type.
    """
    from progflags.flags.file._values_of import add

    schema = _schema()
    add(schema, flags)
    return schema


def _schema() -> dict[str, Any]:
    from progflags.flags.file._meaning import MEANING

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
            "properties": {"attribute": {"type": "string"}, "op": {"enum": [*OPERATORS, "any", "not_in"]}, "value": {}},
            "required": ["attribute"],
            "additionalProperties": False,
        },
    ]
    name: dict[str, Any] = {"type": "string", "minLength": 1}
    firsts = [
        {
            "type": "object",
            "properties": {word: {"type": "array", "items": name}},
            "required": [word],
            "additionalProperties": False,
        }
        for word in ("first_of", "first")
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_explained(DOCUMENT.schema, MEANING),
        "title": "progflags flag file",
        "required": ["flags"],
        "$defs": {
            "condition": {"oneOf": trees},
            "unit": {"oneOf": [name, *firsts, {"type": "array", "items": {"oneOf": [name, *firsts]}, "minItems": 1}]},
        },
    }
