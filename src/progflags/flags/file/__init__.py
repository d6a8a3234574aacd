"""From the text of a flag file to definitions: every problem named by file, line and key."""

from progflags.flags.file._excerpt import excerpt, within
from progflags.flags.file._format import json_schema
from progflags.flags.file._parse import alone, parse
from progflags.flags.file._requires import circles, circular
from progflags.flags.file._segments import named
from progflags.flags.file._text import decode, decode_json, decode_toml, plain_text

__all__ = [
    "alone",
    "circles",
    "circular",
    "decode",
    "decode_json",
    "decode_toml",
    "excerpt",
    "json_schema",
    "named",
    "parse",
    "plain_text",
    "within",
]
