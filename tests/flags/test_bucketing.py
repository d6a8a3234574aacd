"""pf1: frozen, uniform, independent between flags and purposes, monotone. The same tests fail CRC-32 and FNV-1a."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from progflags.flags import bucket
from progflags.flags._bucket import PPM, cuts, digest, seed, threshold

GOLDEN = Path(__file__).parents[1] / "golden" / "pf1.json"
Hash = Callable[[str, bytes], int]
"""(salt, unit) → bucket, 0 … 999_999."""


def pf1(salt: str, unit: bytes) -> int:
    return (digest(unit, _seed(salt)) * PPM) >> 64


def _seed(salt: str, known: dict[str, int] = {}) -> int:
    if salt not in known:
        known[salt] = seed("r", salt)
    return known[salt]


def crc32(salt: str, unit: bytes) -> int:
    """As some systems bucket: CRC-32 of unit and flag, modulo the range."""
    return zlib.crc32(unit + salt.encode()) % PPM


def fnv1a(salt: str, unit: bytes) -> int:
    """As some systems bucket: FNV-1a 32 of unit and flag, modulo the range."""
    h = 0x811C9DC5
    for byte in unit + salt.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % PPM


def populations(size: int) -> Iterator[tuple[str, list[bytes]]]:
    """Ids as applications have them; fixed, so that no test here can be lucky or unlucky."""
    draw = random.Random(7)
    yield "numbers", [str(i).encode() for i in range(1, size + 1)]
    yield "padded", [f"{i:08d}".encode() for i in range(size)]
    yield "mail", [f"user{i}@example.com".encode() for i in range(size)]
    yield "uuid4", [str(uuid.UUID(int=draw.getrandbits(128), version=4)).encode() for _ in range(size)]
    yield "ordered uuid", [str(uuid.UUID(int=(1_700_000_000_000 + i) << 80 | draw.getrandbits(80))).encode() for i in range(size)]
    yield "prefixed", [f"account:eu-west-1:{i}".encode() for i in range(size)]
    yield "non-ascii", [f"Łukasz-ż{i}-名".encode() for i in range(size)]
    yield "hex", [f"{i * 2654435761 % 2**32:08x}".encode() for i in range(size)]


FLAGS = [f"new-search-{i}" for i in range(20)]  # neighbours in one character, the worst case for weak hashes


def uniformity(hashed: Hash, size: int) -> list[float]:
    """p values of a 100-bin chi-square test, per population and flag."""
    found = []
    for _, units in populations(size):
        for flag in FLAGS:
            counts = np.bincount([hashed(flag, unit) * 100 // PPM for unit in units], minlength=100)
            found.append(float(stats.chisquare(counts).pvalue))
    return found


def independence(hashed: Hash, size: int, flags: list[str]) -> list[float]:
    """p values of a 10 × 10 contingency test, per population and pair of flags."""
    found = []
    for _, units in populations(size):
        bins = {flag: np.array([hashed(flag, unit) * 10 // PPM for unit in units]) for flag in flags}
        for one, other in combinations(flags, 2):
            table = np.bincount(bins[one] * 10 + bins[other], minlength=100).reshape(10, 10)
            expected = np.outer(table.sum(1), table.sum(0)) / size
            if (expected == 0).any():
                found.append(0.0)
                continue
            found.append(float(stats.chi2.sf(((table - expected) ** 2 / expected).sum(), 81)))
    return found


def looks_random(p: list[float]) -> bool:
    """The p values of a sound hash are themselves uniform: none absurdly small, and no drift."""
    return min(p) > 0.05 / len(p) / 10 and stats.kstest(p, "uniform").pvalue > 0.001


def test_every_population_spreads_evenly() -> None:
    """160 uniformity tests, and the p values themselves are uniform."""
    assert looks_random(uniformity(pf1, 10_000))


def test_two_flags_are_independent() -> None:
    """Whether somebody is in one flag's share says nothing about another's: 1,520 pairs over 8 populations."""
    assert looks_random(independence(pf1, 4_000, FLAGS))


@pytest.mark.parametrize("weak", [crc32, fnv1a])
def test_the_same_tests_catch_weak_hashes(weak: Hash) -> None:
    """CRC-32 and FNV-1a fail them, so passing means something."""
    assert not looks_random(independence(weak, 4_000, FLAGS[:6]))


def test_share_and_variant_are_independent() -> None:
    """Purposes are hashes of their own: being in the share does not choose the variant."""
    found = []
    for _, units in populations(10_000):
        r, v = seed("r", "checkout"), seed("v", "checkout")
        one = np.array([(digest(unit, r) * 10) >> 64 for unit in units])
        other = np.array([(digest(unit, v) * 10) >> 64 for unit in units])
        table = np.bincount(one * 10 + other, minlength=100).reshape(10, 10)
        found.append(float(stats.chi2_contingency(table).pvalue))
    assert min(found) > 0.0005


def test_shares_are_as_large_as_written() -> None:
    """No sample-ratio mismatch: |z| below 4 at 0.1, 1, 10 and 50 %, for every population and flag."""
    for _, units in populations(10_000):
        for flag in FLAGS[:5]:
            buckets = np.array([pf1(flag, unit) for unit in units])
            for share in (0.001, 0.01, 0.1, 0.5):
                inside = int((buckets < share * PPM).sum())
                assert abs(inside - share * 10_000) / (10_000 * share * (1 - share)) ** 0.5 < 4


# ── frozen ─────────────────────────────────────────────────────────────────


def test_golden_vectors_never_change() -> None:
    """Ten thousand stored buckets, seeds and hashes: a change would move every user of every flag."""
    golden = json.loads(GOLDEN.read_text())
    checked = 0
    for row in golden["rows"]:
        assert f"{seed(row['purpose'], row['salt']):016x}" == row["seed"]
        assert f"{digest(golden['units'][0].encode(), int(row['seed'], 16)):016x}" == row["first_hash"]
        for unit, expected in zip(golden["units"], row["buckets"], strict=True):
            assert bucket(row["purpose"], row["salt"], unit) == expected
            checked += 1
    assert checked >= 9_000


def test_golden_vectors_hold_in_other_processes() -> None:
    """Whatever PYTHONHASHSEED is."""
    program = "from progflags.flags import bucket; print([bucket('r', 'new-search', f'u{i}') for i in range(50)])"
    answers = set()
    for hash_seed in ("0", "1", "4242"):
        answers.add(
            subprocess.run(
                [sys.executable, "-c", program], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
            ).stdout
        )
    assert answers == {f"{[bucket('r', 'new-search', f'u{i}') for i in range(50)]}\n"}


def test_golden_vectors_hold_under_the_older_major_of_xxhash() -> None:
    """The one that is installed is tested above; `make test` puts the older one beside it, in a folder of its own."""
    if xxhash.VERSION.startswith("3."):
        pytest.skip("the older major is the one that is installed, and tested above")
    older = Path(sys.prefix) / "xxhash3"
    if not older.is_dir():
        missing = f"no {older}: make test installs it, as does pip install --target {older} 'xxhash<4'"
        pytest.fail(missing) if os.environ.get("CI", "").lower() == "true" else pytest.skip(missing)
    program = f"""
        import sys, pytest, xxhash
        assert xxhash.VERSION.startswith("3."), xxhash.VERSION
        sys.exit(pytest.main([{__file__!r}, "-k", "never_change"]))
    """
    child = subprocess.run(
        [sys.executable, "-c", dedent(program)], env={**os.environ, "PYTHONPATH": str(older)}, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stdout + child.stderr


@pytest.mark.parametrize(
    ("unit", "same"),
    [(123, "123"), (uuid.UUID("12345678-1234-5678-1234-567812345678"), "12345678-1234-5678-1234-567812345678"), (b"raw", "raw")],
)
def test_a_unit_counts_by_its_canonical_text(unit: object, same: str) -> None:
    """An id read from JSON as a number and from a URL as text is one unit."""
    assert bucket("r", "flag", unit) == bucket("r", "flag", same)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["", True, None, 1.5, [], "\ud800"])
def test_what_can_not_be_bucketed_is_refused(unit: object) -> None:
    """Nobody falls into a bucket by accident: no key is an error, not bucket 0."""
    with pytest.raises(ValueError, match="bucketed"):
        bucket("r", "flag", unit)  # type: ignore[arg-type]


# ── arithmetic ─────────────────────────────────────────────────────────────

hashes = st.integers(0, 2**64 - 1)


@given(hashes, st.integers(0, PPM))
def test_a_threshold_says_what_the_bucket_says(h: int, ppm: int) -> None:
    """h < threshold(ppm) exactly when bucket < ppm; 0 admits nobody, a million everybody."""
    assert (h < threshold(ppm)) == ((h * PPM) >> 64 < ppm)
    assert not h < threshold(0)
    assert h < threshold(PPM)


@given(st.integers(1, PPM - 1))
def test_a_threshold_is_exact_at_its_edge(ppm: int) -> None:
    """The last hash inside is in the last bucket inside, the first outside in the first outside."""
    edge = threshold(ppm)
    assert ((edge - 1) * PPM) >> 64 == ppm - 1
    assert (edge * PPM) >> 64 == ppm


@given(hashes, st.integers(0, PPM), st.integers(0, PPM))
def test_raising_a_share_moves_nobody_out(h: int, a: int, b: int) -> None:
    """Who is in at the lower share is in at the higher."""
    low, high = sorted((a, b))
    assert not (h < threshold(low)) or h < threshold(high)


weights = st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any)


@given(hashes, weights)
def test_a_split_gives_each_variant_its_written_range(h: int, w: list[int]) -> None:
    """Variant i where bucket · W < 1,000,000 · (w1 + … + wi)."""
    total, reached, at = sum(w), 0, (h * PPM) >> 64
    expected = None
    for i, weight in enumerate(w):
        reached += weight
        if at * total < PPM * reached:
            expected = i
            break
    assert expected == next(i for i, cut in enumerate(cuts(w)) if h < cut)


@given(weights, st.integers(1, 50))
def test_scaling_all_weights_changes_nothing(w: list[int], factor: int) -> None:
    """1:1 is 50:50."""
    assert cuts(w) == cuts([weight * factor for weight in w])


def test_decimal_weights_mean_what_is_written() -> None:
    """0.1 is a tenth, not the nearest double; and a zero weight takes nobody."""
    assert cuts([0.1, 0.2, 0.7]) == cuts([1, 2, 7])
    assert cuts([0, 1])[0] == 0
