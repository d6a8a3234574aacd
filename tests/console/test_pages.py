"""Each page: what it says of a real rollout, the same in JSON, and no more of it than fits."""

import json

import pytest

import progflags as pf
from console.conftest import DOCUMENT, TOKENS, asking
from progflags._console.pages import PAGES
from progflags.store import MemoryStore
from progflags.testing import ManualClock

OPERATOR = list(TOKENS)[1]


async def got(flags, path, **query):
    async with asking(pf.console(flags, token=TOKENS), OPERATOR) as client:
        page = await client.get(f"/{path}", params=query)
        data = await client.get(f"/api/{path or 'now'}", params=query)
    assert page.status_code == data.status_code
    return page.text, data.json()


async def test_now_has_everything_under_way_the_worst_first(fallen):
    fallen.rollouts.start("search", by="bob", reason="go")
    fallen.kill("banner", by="eve", reason="it flickers")
    page, data = await got(fallen, "")

    assert [one["kind"] for one in data["troubles"]] == ["kill"]
    assert [(one["flag"], one["level"]) for one in data["rollouts"]] == [("checkout", "trouble"), ("search", "attention")]
    assert "it flickers" in page
    assert data["rollouts"][1]["why"] == "waits for somebody to approve the next step"
    assert '<a class="do" href="/rollout?flag=search#act">Approve</a>' in page  # the one thing to do, beside it
    assert page.index("banner") < page.index("checkout") < page.index("search")


async def test_a_rollout_shows_how_it_came_there(fallen):
    page, data = await got(fallen, "rollout", flag="checkout")

    assert data["state"] == "rolled_back"
    assert data["verbs"] == ["retry", "kill"]
    assert [step["to"] for step in data["steps"]][:2] == ["rolled_back", "rolling_back"]
    assert 'class="share" points=' in page  # the line of its share
    assert 'class="st-baking"' in page
    assert "Findings" in page
    assert "Distribution of latency" in page or "Effect of each metric" in page
    assert data["reason"] in page.replace("&#39;", "'")


async def test_a_draft_can_be_started_and_no_more(fallen):
    _, data = await got(fallen, "rollout", flag="search")

    assert (data["state"], data["verbs"], data["version"]) == ("draft", ["start", "kill"], "0.0.")
    assert [stage["percent"] for stage in data["plan"]["stages"]] == [5.0]


async def test_flags_are_found_by_any_word_and_paged():
    many = {
        f"flag-{n:05}": {"percent": 1, "owner": "shop" if n % 2 else "find", "tags": ["payments"] if n % 100 == 1 else []}
        for n in range(10_000)
    }
    with pf.connect({"flags": {**many, "old": {"expires": "2020-01-01"}}}, clock=ManualClock(1_800_000_000.0)) as flags:
        flags.kill("flag-00007", reason="x")
        page, data = await got(flags, "flags")
        assert (data["found"], data["pages"], len(data["flags"])) == (10_001, 201, 50)
        assert len(page) < 60_000
        assert [one["flag"] for one in (await got(flags, "flags", page="201"))[1]["flags"]] == ["old"]
        assert (await got(flags, "flags", page="9999"))[1]["page"] == 201
        assert (await got(flags, "flags", q="PAY shop"))[1]["found"] == 100
        assert [one["flag"] for one in (await got(flags, "flags", kind="killed"))[1]["flags"]] == ["flag-00007"]
        assert [one["flag"] for one in (await got(flags, "flags", kind="stale"))[1]["flags"]] == ["old"]


async def test_who_gets_what_and_why(flags):
    async with asking(pf.console(flags, token=TOKENS), OPERATOR) as client:
        asked = {"flag": "colour", "key": "user-1", "attributes": "country=SE\nage=7\nbroken"}
        data = (await client.post("/api/flag", json=asked)).json()
        page = (await client.post("/flag", data=asked)).text

    assert (data["answer"]["variant"], data["answer"]["reason"]) == ("blue", "TARGETING_MATCH")
    assert data["answer"] == {**flags.explain("colour", pf.Context("user-1", {"country": "SE", "age": 7})).to_dict()}
    assert "nordic" in page


async def test_who_got_what_at_a_past_moment(flags, clock):
    """From the history: the kill of then, though it was taken back; and what is as of then and what as of now is said."""
    flags.kill("banner", by="eve", reason="it flickers")
    clock.advance("1h")
    flags.unkill("banner", by="eve", reason="mended")
    async with asking(pf.console(flags, token=TOKENS), OPERATOR) as client:

        async def told(at):
            asked = {"flag": "banner", "key": "user-1", "at": at}
            return (await client.post("/api/flag", json=asked)).json(), (await client.post("/flag", data=asked)).text

        then, page = await told("2027-01-15T08:30")
        now, _ = await told("")
        wrong, said = await told("<b>soon")

    assert (then["answer"]["reason"], now["answer"]["reason"]) == ("DISABLED", "SPLIT")
    assert "killed by eve: it flickers" in page
    assert 'name="at" value="2027-01-15T08:30"' in page
    assert [note.partition(":")[0] for note in then["answer"]["notes"]] == ["as of 2027-01-15 08", "as of now"]
    assert all(note in page for note in then["answer"]["notes"])
    assert now["answer"]["notes"] == []
    assert wrong["answer"] is None
    assert "is no time" in said
    assert "<b>soon" not in said


async def test_the_age_of_a_flag_is_told_as_far_as_history_reaches(clock, tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text("[flags.old]\n")
    store = MemoryStore(clock=clock)
    with pf.connect(path, store=store, clock=clock) as flags:
        flags.refresh()
        clock.advance("3d")
        path.write_text("[flags.old]\n[flags.new]\n")
        flags.refresh()
        clock.advance("1h")
        page, data = await got(flags, "flags")
        one, _ = await got(flags, "flag", flag="new")
        store.close()
        lost, without = await got(flags, "flags")

    assert {row["flag"]: (row["age"], row["added"]) for row in data["flags"]} == {"old": (262_800, False), "new": (3_600, True)}
    assert "3.0 d or more" in page
    assert "added 2027-01-18 08:00:00Z" in one
    assert [row["age"] for row in without["flags"]] == [None, None]
    assert "unknown" in lost


async def test_changes_are_filtered_by_flag_person_and_time(flags, clock):
    clock.advance("2d")
    flags.kill("banner", by="eve", reason="it flickers")
    _, every = await got(flags, "changes")
    _, hers = await got(flags, "changes", person="EVE")
    _, late = await got(flags, "changes", since="2027-01-16")
    _, banner = await got(flags, "changes", flag="banner", since="nonsense")

    assert every["found"] > 2
    assert [one["actor"] for one in hers["changes"]] == ["eve"]
    assert [one["kind"] for one in late["changes"]] == ["kill"]
    assert [one["kind"] for one in banner["changes"] if one["kind"] != "definition"] == ["kill"]


async def test_a_dark_launch_shows_where_it_differs(clock):
    with pf.connect({"flags": {"prices": {"percent": 100}}}, clock=clock) as flags:

        @pf.dark_launch("prices", candidate=lambda n: {"total": n + (n % 3 == 0), "n": n}, flags=flags, executor="inline")
        def total(n):
            return {"total": n, "n": n}

        for n in range(30):
            assert total(n)["total"] == n
        flags.rollouts.publish(at_once=True)
        page, data = await got(flags, "dark-launch", flag="prices")
        _, every = await got(flags, "dark-launches")

    (launch,) = data["launches"]
    assert launch["mismatches"] == {"$.total": 10}
    assert [(row["path"], [cell["count"] for cell in row["cells"]]) for row in data["heat"]["rows"]] == [("$.total", [10])]
    assert len(data["causes"][0]["samples"]) == 5
    assert "heat-4" in page
    assert [one["flag"] for one in every["launches"]] == ["prices"]


async def test_the_fleet_says_how_well_this_process_is_supplied(flags):
    _, data = await got(flags, "fleet")

    assert data["here"]["state"] == "READY"
    assert data["here"]["revision"] == flags.status().revision


async def test_the_fleet_is_everybody_who_shares_the_store(flags):
    """And says where they do not serve the same."""
    flags.rollouts.tick()
    page, data = await got(flags, "fleet")
    assert [one["name"] for one in data["processes"]] == [data["here"]["process"]]
    assert data["apart"] == []
    assert "(this one)" in page

    other = {**data["processes"][0], "v": 1, "name": "elsewhere:7", "version": "9.9", "judges": False}
    flags._store.board.publish("processes", "other", 1, json.dumps(other).encode())
    page, data = await got(flags, "fleet")
    assert [one["name"] for one in data["processes"] if not one["judges"]] == ["elsewhere:7"]
    assert data["apart"] == ["versions of progflags"]
    assert "do not all serve the same versions of progflags" in page


async def test_the_fleet_is_looked_at_most_when_the_store_is_away(clock):
    """Of the process that answers everything is told, and why nobody knows of the others."""
    store = MemoryStore(clock=clock)
    with pf.connect(DOCUMENT, store=store, clock=clock) as flags:
        store.close()
        flags.refresh()
        page, data = await got(flags, "fleet")

    assert data["here"]["version"] == pf.__version__
    assert data["processes"] == []
    assert data["away"]
    assert "out of reach" in page


async def test_now_with_many_rollouts_is_small():
    rolled = {f"release-{n}": {"owner": "shop", "rollout": {"profile": "standard"}} for n in range(200)}
    with pf.connect({"flags": rolled}, clock=ManualClock(1_800_000_000.0)) as flags:
        for key in rolled:
            flags.rollouts.start(key, by="ann", reason="it is ready")
        page, data = await got(flags, "")

    assert len(data["rollouts"]) == 200
    assert len(page.encode()) < 100_000


@pytest.mark.parametrize("name", PAGES)
async def test_a_mounted_console_links_to_itself(flags, name):
    """Below another application's path, links and forms lead below it."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/ops/flags", pf.console(flags, token=TOKENS))])
    query = {"flag": "checkout"} if name in ("rollout", "flag") else {}
    async with asking(app, OPERATOR) as client, asking(app) as nobody:
        page = await client.get(f"/ops/flags/{name}", params=query)
        assert (await nobody.get(f"/ops/flags/{name}")).headers["location"] == "/ops/flags/login"
    addresses = {one.split('"')[0] for one in page.text.replace('action="', 'href="').replace('src="', 'href="').split('href="')[1:]}

    assert page.status_code == (404 if name == "dark-launch" else 200)
    assert len(addresses) > 5
    assert [one for one in addresses if not one.startswith(("/ops/flags", "#"))] == []


async def test_a_change_of_definition_is_said_wherever_its_flag_is_shown(flags):
    """Beside what the file says, which is no longer all that serves; in the list, and on the rollout's page with what is to be done."""
    plan = {"stages": [{"percent": 1, "bake": "1m"}], "watch": "0s"}
    flags.rollouts.change("banner", {"rules": [{"percent": 80, "serve": "on"}], "rollout": plan}, by="ann", reason="more of it")
    name = flags.rollouts.status("banner").change
    page, data = await got(flags, "flag", flag="banner")
    assert data["change"] == {"change": name, "changePercent": 1.0}
    assert "Its definition is being changed" in page
    assert f"The new definition, {name}" in page
    assert [rule["percent"] for rule in (*data["table"], *data["new"]["table"])] == [50.0, 80.0]
    page, data = await got(flags, "flags", q="banner")
    assert "new definition 1 %" in page
    assert data["flags"][0]["rollout"] is True
    page, data = await got(flags, "rollout", flag="banner")
    assert data["change"] == name
    assert f"<b>Delivers another definition:</b> {name}" in page
    flags.rollouts.promote("banner", full=True, by="ann")
    page, _ = await got(flags, "rollout", flag="banner")
    assert "put it into the file" in page
    page, data = await got(flags, "")
    assert "serves everybody from the store alone" in page
