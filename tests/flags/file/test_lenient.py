"""One network that is none, among good ones: refused, unless the file is lenient."""

import pytest

import progflags as pf
from progflags.flags import parse

WHEN = 'ip in cidr("10.0.0.0/8", "10.0.0.0/99", "2001:db8::/32")'
TREE = {"any": [{"attribute": "ip", "op": "cidr", "value": ["10.0.0.0/8", "nope"]}, {"not": WHEN}]}
INSIDE = f"any(addresses, {WHEN.replace('ip', 'item')})"


def flag(when):
    return {"flags": {"inside": {"rules": [{"serve": True}, {"when": when, "serve": False}]}, "other": {}}}


@pytest.mark.parametrize(("when", "bad"), [(WHEN, ["10.0.0.0/99"]), (TREE, ["nope", "10.0.0.0/99"]), (INSIDE, ["10.0.0.0/99"])])
def test_it_is_named_either_way(when, bad):
    strict = parse(flag(when), file="f.toml")
    assert [problem.message.split("'")[1] for problem in strict.rejected] == bad
    assert all(problem.key == "flags.inside.rules[1].when" and "lenient = true" in problem.hint for problem in strict.rejected)
    assert "inside" not in strict.flags
    assert "other" in strict.flags
    lenient = parse({"lenient": True, **flag(when)}, file="f.toml")
    assert lenient.rejected == ()
    assert [problem.message.split("'")[1] for problem in lenient.warnings] == bad
    assert all(problem.key == "flags.inside.rules[1].when" for problem in lenient.warnings)


def test_what_a_strict_file_refuses_is_refused_after_a_lenient_one_said_the_same():
    for _ in range(2):
        assert not parse({"lenient": True, **flag(WHEN)}).rejected
        assert parse({"lenient": False, **flag(WHEN)}).rejected


def test_the_others_count():
    document = {"lenient": True, "flags": {"inside": {"rules": [{"when": WHEN, "serve": True}]}}}
    with pf.connect(document, poll=None) as flags:
        asked = {ip: flags.is_enabled("inside", pf.Context("u", {"ip": ip})) for ip in ("10.1.2.3", "2001:db8::1", "192.0.2.1")}
        assert asked == {"10.1.2.3": True, "2001:db8::1": True, "192.0.2.1": False}
        assert "10.0.0.0/99" in "".join(map(str, flags.status().warnings))


def test_a_list_of_nothing_but_bad_ones_is_refused_in_a_lenient_file_too():
    (problem,) = parse({"lenient": True, **flag('ip in cidr("nope")')}).rejected
    assert "'nope' does not appear to be" in problem.message


def test_a_segment_is_refused_with_those_that_use_it_and_is_told_of_once():
    document = {
        "segments": {"office": {"when": WHEN}, "two": {"when": 'segment("office")'}},
        "flags": {"f": {"rules": [{"when": 'segment("two")'}]}},
    }
    strict = parse(document)
    assert [problem.key for problem in strict.rejected] == ["segments.office.when", "segments.two.when", "flags.f.rules[0].when"]
    lenient = parse({"lenient": True, **document})
    assert [problem.key for problem in lenient.warnings] == ["segments.office.when"]
    assert lenient.rejected == ()


def test_the_warning_has_its_line_in_the_file_of_a_folder_that_it_lies_in(tmp_path):
    (tmp_path / "a.toml").write_text("lenient = true\n[flags.other]\n")
    (tmp_path / "b.toml").write_text(f"[flags.inside]\n\n[[flags.inside.rules]]\nwhen = '{WHEN}'\n")
    with pf.connect(tmp_path, poll=None) as flags:
        (warning,) = flags.status().warnings
        assert (warning.file, warning.line) == (str(tmp_path / "b.toml"), 4)


def test_the_definition_from_before_stays_when_a_strict_file_gets_a_bad_network():
    before = parse({"flags": {"inside": {"percent": 100}, "other": {}}})
    assert parse(flag(WHEN), previous=before).flags["inside"] is before.flags["inside"]
