"""Twenty valid flag files of all three forms, for tests that tear, rewrite or replace them."""

from __future__ import annotations

import json

_TOML = {
    "one-flag": "[flags.a]\npercent = 25\n",
    "three-flags": "schema = 1\n[flags.a]\npercent = 10\n[flags.b]\npercent = 20.5\n[flags.c]\ndefault = 'on'\n",
    "comments": "# ours\n\n[flags.a] # first\npercent = 1 # one\n\n# the end\n[flags.b]\npercent = 2\n# really\n",
    "inline": 'flags = { a = { percent = 5 }, b = { variants = { x = "1", y = "2" }, default = "x" } }\n',
    "crlf": "[flags.a]\r\npercent = 10\r\n[flags.b]\r\npercent = 20\r\n",
    "rules": (
        '[segments.staff]\nwhen = \'email endswith "@example.com"\'\n\n[flags.checkout]\nvariants = { classic = "c", fast = "f" }\n'
        'default = "classic"\n[[flags.checkout.rules]]\nwhen = \'segment("staff")\'\nserve = "fast"\n[[flags.checkout.rules]]\n'
        'when = \'plan in ["pro"] and app >= semver("2.1.0")\'\npercent = 50\nserve = "fast"\n'
    ),
    "rollout": (
        '[flags.new]\nowner = "web"\nexpires = 2027-03-01\n[flags.new.rollout]\nwatch = "1h"\n[[flags.new.rollout.stages]]\npercent = 1\n'
        'bake = "10m"\ngates = [{ metric = "error_rate", max = 0.01 }]\n[[flags.new.rollout.stages]]\npercent = 50\nbake = "1h"\n'
    ),
    "retired": 'retired = ["old", "older"]\n[flags.kept]\npercent = 3\n[flags.other]\npercent = 4\n[flags.third]\n',
    "multiline": "[flags.a]\ndescription = '''\nlong\n[flags.not]\n'''\npercent = 7\n[flags.b]\npercent = 8\n",
    "requires": '[flags.base]\npercent = 100\n[flags.top]\npercent = 50\nrequires = [{ flag = "base", is = "on" }]\n',
}

_DATA = [
    {"flags": {"a": {"percent": 25}}},
    {"schema": 1, "flags": {"a": {"percent": 1}, "b": {"percent": 99.5}, "ü": {"default": "on"}}},
    {"flags": {"limits": {"variants": {"small": {"k": 10, "t": 0.2}, "large": {"k": 100, "t": [1, 2]}}, "default": "small"}}},
    {
        "segments": {"eu": {"when": 'country in ["PL", "NO"]'}},
        "flags": {"a": {"rules": [{"when": 'segment("eu")', "percent": 10}]}, "b": {}},
    },
    {
        "holdouts": {"q": {"percent": 2}},
        "flags": {"a": {"holdout": "q", "percent": 10, "owner": "x", "tags": ["on", "1.10"]}, "b": {"percent": 0}},
    },
]


def documents() -> dict[str, str]:
    """File name → text."""
    found = {f"{name}.toml": text for name, text in _TOML.items()}
    for at, document in enumerate(_DATA):
        found[f"data-{at}.json"] = json.dumps(document, indent=[None, 1, 2, 4, None][at], ensure_ascii=at % 2 == 0)
        found[f"data-{at}.yaml"] = _yaml(document)
    return found


def _yaml(value: object, indent: int = 0) -> str:
    """Block style, as people write it; strings double-quoted, keys bare where they can be."""
    pad = "  " * indent
    lines = []
    for key, part in value.items():  # type: ignore[attr-defined]
        name = key if key.isascii() and key.isalpha() else json.dumps(key, ensure_ascii=False)
        if isinstance(part, dict) and part:
            lines.append(f"{pad}{name}:\n{_yaml(part, indent + 1)}")
        else:
            lines.append(f"{pad}{name}: {json.dumps(part, ensure_ascii=False)}\n")
    return "".join(lines)
