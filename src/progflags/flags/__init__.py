"""What a flag is, and what it answers: synchronous, no I/O."""

from progflags.flags._bucket import PPM, bucket, digest, seed, threshold
from progflags.flags._client import Client, View
from progflags.flags._default import Forced, NoDefaultError, default, force, given, set_default
from progflags.flags._evaluation import ErrorCode, Evaluation, Reason
from progflags.flags._explanation import Explanation, Step
from progflags.flags._freeze import thaw
from progflags.flags._hours import Hours, known_keys
from progflags.flags._imprint import imprint
from progflags.flags._model import ChannelSpec, FlagModel, ProfileSpec, RolloutSpec, Rule, Snapshot
from progflags.flags._moment import at_moment, needed
from progflags.flags._problems import Lines, Path, dotted, meant, suggest
from progflags.flags._quiet import let_go, quiet
from progflags.flags._reader import Who
from progflags.flags._typed import Flag, declared, mismatches
from progflags.flags._words import EVERYTHING
from progflags.flags.file import (
    alone,
    circles,
    circular,
    decode,
    decode_json,
    decode_toml,
    excerpt,
    json_schema,
    parse,
    plain_text,
    within,
)
from progflags.flags.serving import NO_LIVE, Edit, Killed, Live, Pin, kill, set_share, unkill

__all__ = [
    "EVERYTHING",
    "NO_LIVE",
    "PPM",
    "ChannelSpec",
    "Client",
    "Edit",
    "ErrorCode",
    "Evaluation",
    "Explanation",
    "Flag",
    "FlagModel",
    "Forced",
    "Hours",
    "Killed",
    "Lines",
    "Live",
    "NoDefaultError",
    "Path",
    "Pin",
    "ProfileSpec",
    "Reason",
    "RolloutSpec",
    "Rule",
    "Snapshot",
    "Step",
    "View",
    "Who",
    "alone",
    "at_moment",
    "bucket",
    "circles",
    "circular",
    "declared",
    "decode",
    "decode_json",
    "decode_toml",
    "default",
    "digest",
    "dotted",
    "excerpt",
    "force",
    "given",
    "imprint",
    "json_schema",
    "kill",
    "known_keys",
    "let_go",
    "meant",
    "mismatches",
    "needed",
    "parse",
    "plain_text",
    "quiet",
    "seed",
    "set_default",
    "set_share",
    "suggest",
    "thaw",
    "threshold",
    "unkill",
    "within",
]
