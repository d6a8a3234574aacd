"""
A search engine is rewritten, and judged by how much of the first page stays the same.

The old engine scores every document for every query. Two rewrites look words up in an index and rank by BM25. Nobody asks them for
the same answers, only for much the same first ten, so each compared query gets a score: how many of the old first ten it found.
One of the rewrites forgets that its index is in small letters. Both run in the shadow of the old engine; readers get the old answers.

Run it: `python examples/search_rewrite.py`. It takes about ten seconds and ends with 0 when the story went as told.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable

import progflags as pf

FLAG = "search-rewrite"
TOPICS = ["kernel", "garden", "violin", "harbour", "recipe", "comet", "ledger", "saddle", "tunnel", "orchid", "glacier", "compass"]
FILLER = ["old", "new", "small", "large", "quiet", "early", "late", "common", "rare", "simple", "full", "short"]


def library(chance: random.Random, size: int = 400) -> list[dict]:
    """Made-up documents: each about one topic, with a few words of the others."""
    documents = []
    for number in range(size):
        about = chance.choice(TOPICS)
        times = chance.randint(1, 9)
        words = [about] * times + chance.choices(TOPICS, k=4) + chance.choices(FILLER, k=16 - times)
        documents.append({"id": number, "words": words})
    return documents


DOCUMENTS = library(random.Random(4))


def search(query: str) -> list[int]:
    """The old engine: the share of a document's words that were asked for, over all documents."""
    asked = query.lower().split()
    scores = ((sum(document["words"].count(word) for word in asked) / len(document["words"]), document["id"]) for document in DOCUMENTS)
    return [number for score, number in sorted(scores, key=lambda found: (-found[0], found[1]))[:10] if score > 0]


class Index:
    """The rewrite: an inverted index, ranked by BM25. `folds` is what was forgotten in one of the two."""

    def __init__(self, *, folds: bool) -> None:
        self.folds = folds
        self.average = sum(len(document["words"]) for document in DOCUMENTS) / len(DOCUMENTS)
        self.found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for document in DOCUMENTS:
            for word, times in Counter(document["words"]).items():
                length = 0.25 + 0.75 * len(document["words"]) / self.average
                self.found[word].append((document["id"], times * 2.2 / (times + 1.2 * length)))

    def search(self, query: str) -> list[int]:
        scores: Counter[int] = Counter()
        for word in (query.lower() if self.folds else query).split():
            entries = self.found.get(word, ())
            weight = math.log(1 + (len(DOCUMENTS) - len(entries) + 0.5) / (len(entries) + 0.5))
            for number, part in entries:
                scores[number] += weight * part
        return [number for number, _ in sorted(scores.items(), key=lambda found: (-found[1], found[0]))[:10]]


def readers(chance: random.Random) -> str:
    """What people type: a topic, sometimes two, and a capital at the beginning where a telephone writes it."""
    query = " ".join(chance.sample(TOPICS, k=1 if chance.random() < 0.8 else 2))
    return query.capitalize() if chance.random() < 0.55 else query


def main() -> int:
    chance = random.Random(11)
    with pf.connect({"flags": {FLAG: {"percent": 100}}}, poll=None) as flags:
        shadowed = pf.dark_launch(
            FLAG,
            candidates={"index": Index(folds=False).search, "index-folded": Index(folds=True).search},
            score=pf.score.overlap(10),
            reveal=["$[*]"],  # document numbers are nobody's secret: samples may show them
            flags=flags,
        )(search)
        print(f"{len(DOCUMENTS)} documents; each query is answered by the old engine, and one of two rewrites is asked as well.\n")
        asked, changed, verdicts = 0, 0, {}
        until = time.monotonic() + 120
        while time.monotonic() < until and not (verdicts and all(verdict.state != "UNDECIDED" for verdict in verdicts.values())):
            asked, changed = asked + 50, changed + a_second_of(shadowed, chance)
            # Seven of the old first ten on average, and fewer than 5 in 100 that fail: what the team agreed on before it looked.
            verdicts = {
                name: shadowed.dark_launch.verdict(min_score=0.7, max_mismatch=0.05, candidate=name) for name in ("index", "index-folded")
            }
            print(
                f"  {asked:5,} queries   " + "   ".join(f"{name}: {it.score or 0:.2f} {it.state}" for name, it in verdicts.items()),
                flush=True,
            )
        print(*(f"\n{name} is {verdict}" for name, verdict in verdicts.items()), sep="")
        scored = shadowed.dark_launch.report()["candidates"]["index"]["scores"]
        empty = sum(example["candidate"]["length"] == 0 for example in scored["worst"])
        print(f"\nOf the {len(scored['worst'])} worst answers of `index`, {empty} are empty: what was typed begins with a capital letter.")
    outcome = {
        "states": {name: str(verdict.state) for name, verdict in verdicts.items()},
        "scores": {name: round(verdict.score, 2) for name, verdict in verdicts.items()},
        "queries": asked,
        "answers_changed": changed,
        "worst_empty": empty,
    }
    ok = outcome["states"] == {"index": "UNSAFE", "index-folded": "SAFE"} and changed == 0
    print(json.dumps({"ok": ok, **outcome}))
    return 0 if ok else 1


def a_second_of(shadowed: Callable[[str], list[int]], chance: random.Random) -> int:
    """Fifty queries, evenly; how many were answered otherwise than the old engine does, which is never."""
    changed = 0
    began = time.monotonic()
    for number in range(50):
        query = readers(chance)
        changed += shadowed(query) != search(query)
        time.sleep(max(0.0, began + (number + 1) / 50 - time.monotonic()))
    return changed


if __name__ == "__main__":
    sys.exit(main())
