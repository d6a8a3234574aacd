"""
Other libraries with the same five flags: each in process, from a document or a file, without a network. In the group `bench`.

"everybody" is on; "half" on for a share of 50 %, "tenth" of 10 %; "ruled" has two conditions and a share of 25 %, "layout" four variants
by weight.
"""

from __future__ import annotations

import json
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

BOOLEANS = ("everybody", "half", "ruled", "tenth")
VARIANTS = {"a": "a", "b": "b", "c": "c", "d": "d"}
OURS: dict[str, Any] = {
    "everybody": {"percent": 100},
    "half": {"percent": 50},
    "ruled": {"rules": [{"when": 'plan in ["pro", "team"] and app >= semver("2.1.0")', "percent": 25}]},
    "layout": {"variants": VARIANTS, "default": "a", "split": {"a": 4, "b": 3, "c": 2, "d": 1}},
    "tenth": {"percent": 10},
}


_folders: list[tempfile.TemporaryDirectory[str]] = []  # gone with the process


def growthbook_features() -> dict[str, Any]:
    def share(coverage: float, **more: Any) -> dict[str, Any]:
        return {"defaultValue": False, "rules": [{"force": True, "coverage": coverage, "hashAttribute": "id", **more}]}

    layout = {"variations": list(VARIANTS), "weights": [0.4, 0.3, 0.2, 0.1], "hashAttribute": "id"}
    return {
        "everybody": {"defaultValue": True},
        "half": share(0.5),
        "tenth": share(0.1),
        "ruled": share(0.25, condition={"plan": {"$in": ["pro", "team"]}, "app": {"$vgte": "2.1.0"}}),
        "layout": {"defaultValue": "a", "rules": [layout]},
    }


async def growthbook_client() -> Any:
    """Its asynchronous client, which a whole application shares, told of the features as its repository would tell it."""
    from growthbook import GrowthBookClient, Options

    client = GrowthBookClient(Options(api_host="http://127.0.0.1:9", client_key="none"))
    await client._feature_update_callback({"features": growthbook_features(), "savedGroups": {}})
    return client


@cache
def eppo_client() -> Any:
    import eppo_client
    from eppo_client.config import Config

    def flag(key: str, kind: str, variations: dict[str, Any], allocations: list[dict[str, Any]]) -> dict[str, Any]:
        named = {name: {"key": name, "value": value} for name, value in variations.items()}
        return {"key": key, "enabled": True, "variationType": kind, "variations": named, "allocations": allocations, "totalShards": 10_000}

    def allocation(splits: list[tuple[str, int, int]], rules: list[Any] | None = None) -> dict[str, Any]:
        made = [{"variationKey": v, "shards": [{"salt": "s", "ranges": [{"start": start, "end": end}]}]} for v, start, end in splits]
        return {"key": "all", "rules": rules or [], "doLog": False, "splits": made}

    def share(key: str, of: int, rules: list[Any] | None = None) -> dict[str, Any]:
        return flag(key, "BOOLEAN", {"on": True, "off": False}, [allocation([("on", 0, of), ("off", of, 10_000)], rules)])

    plan = {"attribute": "plan", "operator": "ONE_OF", "value": ["pro", "team"]}
    app = {"attribute": "app", "operator": "GTE", "value": "2.1.0"}
    everybody = [{"key": "all", "rules": [], "doLog": False, "splits": [{"variationKey": "on", "shards": []}]}]
    weights = [allocation([("a", 0, 4000), ("b", 4000, 7000), ("c", 7000, 9000), ("d", 9000, 10_000)])]
    flags = {
        "everybody": flag("everybody", "BOOLEAN", {"on": True, "off": False}, everybody),
        "half": share("half", 5000),
        "tenth": share("tenth", 1000),
        "ruled": share("ruled", 2500, [{"conditions": [plan, app]}]),
        "layout": flag("layout", "STRING", VARIANTS, weights),
    }
    document = {"createdAt": "2026-01-01T00:00:00Z", "format": "SERVER", "environment": {"name": "bench"}, "flags": flags}
    configuration = eppo_client.Configuration(flags_configuration=json.dumps(document).encode())
    logger = eppo_client.AssignmentLogger()
    return eppo_client.init(
        Config(api_key="none", assignment_logger=logger, initial_configuration=configuration, poll_interval_seconds=None)
    )


@cache
def in_memory_client() -> Any:
    """OpenFeature's own provider, which has values and no rules."""
    from openfeature import api
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    api.set_provider(InMemoryProvider({"everybody": InMemoryFlag("on", {"on": True, "off": False})}), "memory")
    return api.get_client("memory")


@cache
def flagd_client() -> Any:
    """OpenFeature with flagd's provider, evaluating in process from a file."""
    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType
    from openfeature.provider import ProviderStatus

    def flag(targeting: Any = None, default: str = "off") -> dict[str, Any]:
        made = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": default}
        return made if targeting is None else {**made, "targeting": targeting}

    def share(of: int) -> dict[str, Any]:
        return {"fractional": [["on", of], ["off", 100 - of]]}

    met = {"and": [{"in": [{"var": "plan"}, ["pro", "team"]]}, {"sem_ver": [{"var": "app"}, ">=", "2.1.0"]}]}
    weights = {"fractional": [["a", 40], ["b", 30], ["c", 20], ["d", 10]]}
    flags = {
        "everybody": flag(default="on"),
        "half": flag(share(50)),
        "tenth": flag(share(10)),
        "ruled": flag({"if": [met, share(25), "off"]}),
        "layout": {"state": "ENABLED", "variants": VARIANTS, "defaultVariant": "a", "targeting": weights},
    }
    path = _file({"flags": flags})
    api.set_provider(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path)), "flagd")
    client = api.get_client("flagd")
    until = time.monotonic() + 10
    while client.get_provider_status() is not ProviderStatus.READY and time.monotonic() < until:
        time.sleep(0.02)
    return client


@cache
def launchdarkly_client() -> Any:
    import ldclient
    from ldclient.config import Config
    from ldclient.integrations import Files

    def flag(key: str, variations: list[Any], **serve: Any) -> dict[str, Any]:
        return {"key": key, "on": True, "version": 1, "salt": "s", "variations": variations, "offVariation": len(variations) - 1, **serve}

    def weighted(*weights: int) -> dict[str, Any]:
        return {"rollout": {"variations": [{"variation": n, "weight": weight * 1000} for n, weight in enumerate(weights)]}}

    truth = [True, False]
    plan = {"attribute": "plan", "op": "in", "values": ["pro", "team"]}
    app = {"attribute": "app", "op": "semVerLessThan", "values": ["2.1.0"], "negate": True}
    flags = {
        "everybody": flag("everybody", truth, fallthrough={"variation": 0}),
        "half": flag("half", truth, fallthrough=weighted(50, 50)),
        "tenth": flag("tenth", truth, fallthrough=weighted(10, 90)),
        "ruled": flag("ruled", truth, fallthrough={"variation": 1}, rules=[{"id": "r", "clauses": [plan, app], **weighted(25, 75)}]),
        "layout": flag("layout", list(VARIANTS), fallthrough=weighted(40, 30, 20, 10)),
    }
    source = Files.new_data_source(paths=[str(_file({"flags": flags}))])
    return ldclient.LDClient(Config("none", update_processor_class=source, send_events=False), start_wait=10)


def _file(document: dict[str, Any]) -> Path:
    folder = tempfile.TemporaryDirectory(prefix="bench-")
    _folders.append(folder)
    path = Path(folder.name) / "flags.json"
    path.write_text(json.dumps(document))
    return path
