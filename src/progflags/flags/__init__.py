"""What a flag is, and what it answers: synchronous, no I/O."""

from progflags.flags._bucket import bucket
from progflags.flags._change import kill, set_share, unkill
from progflags.flags._client import Client, View
from progflags.flags._default import Forced, NoDefaultError, default, force, given, set_default
from progflags.flags._evaluation import ErrorCode, Evaluation, Reason
from progflags.flags._explain import Explanation, Step
from progflags.flags._format import json_schema
from progflags.flags._live import Killed, Live
from progflags.flags._model import FlagModel, RolloutSpec, Rule, Snapshot
from progflags.flags._parse import parse
from progflags.flags._problems import Lines, Path, dotted, suggest
from progflags.flags._quiet import let_go, quiet
from progflags.flags._requires import circles
from progflags.flags._ruleset import Pin
from progflags.flags._text import decode, decode_json, decode_toml, plain_text
from progflags.flags._typed import Flag, declared, mismatches

__all__ = [
    "Client",
    "ErrorCode",
    "Evaluation",
    "Explanation",
    "Flag",
    "FlagModel",
    "Forced",
    "Killed",
    "Lines",
    "Live",
    "NoDefaultError",
    "Path",
    "Pin",
    "Reason",
    "RolloutSpec",
    "Rule",
    "Snapshot",
    "Step",
    "View",
    "bucket",
    "circles",
    "declared",
    "decode",
    "decode_json",
    "decode_toml",
    "default",
    "dotted",
    "force",
    "given",
    "json_schema",
    "kill",
    "let_go",
    "mismatches",
    "parse",
    "plain_text",
    "quiet",
    "set_default",
    "set_share",
    "suggest",
    "unkill",
]
