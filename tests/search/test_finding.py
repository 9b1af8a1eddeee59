from __future__ import annotations

import dataclasses
import datetime
import json

import pytest

from memoryd.access.facts import Caller, Scope, Sees
from memoryd.access.people import ensure_person
from memoryd.access.projects import ensure_project
from memoryd.catalog import annotations, marks, places
from memoryd.catalog.facts import AssetRecord
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import ProjectId
from memoryd.foundation.paging import BadCursor
from memoryd.search import finding
from memoryd.search.facts import Hit
from memoryd.search.query_language import parse
from memoryd.workflows.documents import keep_graphs
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.preparing import prepare_graph
from tests.catalog.records import digest, job_id, record


@pytest.fixture
def ours(session: Session) -> ProjectId:
    return ensure_project(session, "ours")


@pytest.fixture
def theirs(session: Session) -> ProjectId:
    return ensure_project(session, "theirs")


def hits(session: Session, text: str, sees: Sees = None) -> list[Hit]:
    return list(finding.find(session, parse(text), sees).rows)


def words(found: list[Hit], *known: str) -> list[str]:
    names = {digest(word): word for word in known}
    return [names[hit.face.sha256] for hit in found]


@pytest.fixture
def shelf(session: Session, ours: ProjectId) -> list[str]:
    """Four pictures, the oldest first."""
    records: list[AssetRecord] = [
        record("snow", prompt="a red fox in deep snow", seed=1, minutes=1, project=ours, path="out/2026/fox_snow.png"),
        record(
            "owl",
            prompt="a grey owl, best_quality",
            seed=2**64 - 1,
            minutes=2,
            project=ours,
            lora="style/ink-Wash_v2.safetensors",
        ),
        record(
            "zh",
            prompt="一只红色的狐狸在雪地里，水墨画风格",
            seed=3,
            minutes=3,
            project=ours,
            checkpoint="SDXL/juggernaut.safetensors",
        ),
        record("tag", prompt="<lora:foo:0.8> fox portrait", seed=4, minutes=4, project=ours),
    ]
    record_assets(session, records)
    return ["snow", "owl", "zh", "tag"]


FOUND_BY: dict[str, list[str]] = {
    "": ["tag", "zh", "owl", "snow"],
    "fox": ["tag", "snow"],
    "FOX red": ["snow"],
    "ＦＯＸ": ["tag", "snow"],
    '"fox red"': [],
    '"red fox"': ["snow"],
    "fox -snow": ["tag"],
    "snow OR owl": ["owl", "snow"],
    "-fox": ["zh", "owl"],
    "fo*": ["tag", "snow"],
    "best_quality": ["owl"],
    "quality": ["owl"],
    "狐狸": ["zh"],
    "红色的狐狸": ["zh"],
    "狐": ["zh"],
    "猫": [],
    "lora:foo": [],
    "<lora:foo:0.8>": ["tag"],
    "lora:ink": ["owl"],
    "lora:ink-wash": ["owl"],
    "lora:style/ink-wash_v2.safetensors": ["owl"],
    "lora:ink-w*": ["owl"],
    "model:juggernaut": ["zh"],
    "model:sdxl/juggernaut.safetensors": ["zh"],
    "model:tiny -lora:ink": ["tag", "snow"],
    "seed:1": ["snow"],
    "seed:18446744073709551615": ["owl"],
    "sampler:euler scheduler:normal": ["tag", "zh", "owl", "snow"],
    "negative:blurry": ["tag", "zh", "owl", "snow"],
    "blurry": [],
    "steps:>=20 cfg:<8": ["tag", "zh", "owl", "snow"],
    "steps:>20": [],
    "size:64x64 kind:image type:image/png": ["tag", "zh", "owl", "snow"],
    "width:>64": [],
    "project:ours": ["tag", "zh", "owl", "snow"],
    "project:nowhere": [],
    "person:nobody": [],
    "file:fox_snow": ["snow"],
    "file:2026/": ["snow"],
    "file:%": [],
    "node:KSampler": ["tag", "zh", "owl", "snow"],
    "node:KSampler.cfg>6": [],
    "after:2026-11-01 before:2026-11-02": ["tag", "zh", "owl", "snow"],
    "on:2026-11-01": ["tag", "zh", "owl", "snow"],
    "on:2026-11": ["tag", "zh", "owl", "snow"],
    "before:2026-11-01": [],
    "has:prompt": ["tag", "zh", "owl", "snow"],
    "has:children OR has:parents OR has:thumbnail OR has:note OR has:tag OR has:finding": [],
    "is:disclosed": [],
    "rating:0": ["tag", "zh", "owl", "snow"],
    "!!! ...": ["tag", "zh", "owl", "snow"],
    "workflow:nothing": [],
    "-(fox OR owl)": ["zh"],
    "(fox OR 狐狸) seed:3": ["zh"],
}


def test_a_search_finds_the_newest_first(session: Session, shelf: list[str]) -> None:
    assert {text: words(hits(session, text), *shelf) for text in FOUND_BY} == FOUND_BY


def test_every_class_that_took_part_finds_a_picture(session: Session, ours: ProjectId) -> None:
    drawn = {"class_type": "Draws", "inputs": {"size": 8}}
    saved = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
    graph, _ = parse_graph(json.dumps({"1": drawn, "2": saved}).encode())
    assert graph is not None
    prepared = prepare_graph(graph)
    keep_graphs(session, [prepared])
    plain = record("drawn", prompt="a square", seed=1, minutes=1, project=ours)
    assert plain.generation is not None
    run = dataclasses.replace(plain.generation, exact=prepared.identities.exact)
    record_assets(session, [dataclasses.replace(plain, generation=run)])
    for asked in ("node:Draws", "node:SaveImage", "node:Dra*", "node:Draws.size<9"):
        assert words(hits(session, asked), "drawn") == ["drawn"], asked
    assert hits(session, "node:Save") == []


def test_a_hit_says_what_a_list_shows(session: Session, shelf: list[str], ours: ProjectId) -> None:
    [hit] = hits(session, "owl")
    assert (hit.prompt, hit.seed, hit.projects) == ("a grey owl, best_quality", 2**64 - 1, ("ours",))
    assert hit.models == ("tiny-sd15-random.safetensors", "style/ink-Wash_v2.safetensors")
    assert (hit.face.width, hit.face.name, hit.tags, hit.rating, hit.disclosed) == (64, None, (), None, False)


def test_pages_continue_where_the_last_one_ended_also_when_times_are_equal(session: Session, ours: ProjectId) -> None:
    record_assets(session, [record(f"p{n}", minutes=n // 3, project=ours) for n in range(10)])
    seen: list[bytes] = []
    cursor: str | None = None
    while True:
        page = finding.find(session, parse("fox"), None, cursor, 4)
        seen += [hit.face.sha256 for hit in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == 10
    assert set(seen) == {digest(f"p{n}") for n in range(10)}


@pytest.mark.parametrize("window", [1, 2, 3])
def test_walking_and_asking_the_indexes_give_the_same(
    session: Session, shelf: list[str], window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "WINDOW", window)
    monkeypatch.setattr(finding, "WALK_LIMIT", 2)
    assert words(hits(session, "fox"), *shelf) == ["tag", "snow"]
    assert words(hits(session, "红色"), *shelf) == ["zh"]
    first = finding.find(session, parse("fox"), None, None, 1)
    second = finding.find(session, parse("fox"), None, first.next_cursor, 1)
    assert words([*first.rows, *second.rows], *shelf) == ["tag", "snow"]


def test_nobody_finds_what_is_in_projects_they_do_not_see(
    session: Session, shelf: list[str], ours: ProjectId, theirs: ProjectId
) -> None:
    record_assets(session, [record("homeless", prompt="a fox of no project")])
    for text in ("fox", "", "seed:1", "project:ours", "file:fox_snow", "is:all", "-owl"):
        assert hits(session, text, frozenset({theirs})) == []
        assert hits(session, text, frozenset()) == []
        assert "homeless" not in words(hits(session, text, frozenset({ours})), *shelf, "homeless")


def test_equal_bytes_in_two_projects_are_found_by_neither_ones_tags_names_or_ratings(
    session: Session, tenant: TenantScope, ours: ProjectId, theirs: ProjectId
) -> None:
    asset, _ = record_assets(
        session, [record("pic", project=ours, path="ours-secret.png"), record("pic", project=theirs, path="theirs.png")]
    )
    anna = Caller(tenant=tenant, name="anna", scopes=frozenset(Scope), sees=frozenset({ours}), via="key")
    annotations.tag(session, anna, asset.asset_id, ["secret"])
    annotations.rate(session, anna, asset.asset_id, 5)
    annotations.approve(session, anna, asset.asset_id)
    annotations.note(session, anna, asset.asset_id, "for the client")
    annotations.collect(session, anna, asset.asset_id, "delivery")
    mine, other = frozenset({ours}), frozenset({theirs})
    for text in (
        "tag:secret",
        "rating:5",
        "rating:>3",
        "is:approved",
        "has:note",
        "has:tag",
        "collection:delivery",
        "file:secret",
    ):
        assert len(hits(session, text, mine)) == 1, text
        assert len(hits(session, text, None)) == 1, text
        assert hits(session, text, other) == [], text
    assert len(hits(session, "rating:0 -tag:secret", other)) == 1
    [hit] = hits(session, "fox", other)
    assert (hit.tags, hit.rating, hit.approval, hit.projects, hit.face.name) == (
        (),
        None,
        None,
        ("theirs",),
        "theirs.png",
    )


def test_what_was_overwritten_and_copies_are_found_only_when_asked_for(session: Session, ours: ProjectId) -> None:
    record_assets(session, [record("v1", project=ours, path="a.png", minutes=1)])
    record_assets(session, [record("v2", project=ours, path="a.png", rewrites="v1", minutes=2)])
    record_assets(session, [record("signed", project=ours, discloses="v2", minutes=3)])
    assert words(hits(session, "fox"), "v1", "v2", "signed") == ["v2"]
    assert words(hits(session, "fox is:all"), "v1", "v2", "signed") == ["signed", "v2", "v1"]


def test_flags_of_other_rooms_missing_files_and_family_are_found(session: Session, ours: ProjectId) -> None:
    parent, _ = record_assets(
        session,
        [record("parent", project=ours, path="p.png"), record("child", project=ours, inputs=(digest("parent"),))],
    )
    marks.set_marks(session, [parent.root_id], add={"disclosed", "reproduced"})
    marks.set_marks(session, [parent.root_id], remove={"reproduced"})
    places.mark_missing(session, parent.location_ids)
    for text in ("is:disclosed", "is:missing", "has:children"):
        assert words(hits(session, text), "parent", "child") == ["parent"], text
    assert words(hits(session, "has:parents"), "parent", "child") == ["child"]
    assert hits(session, "is:reproduced") == []
    assert hits(session, "is:disclosed")[0].disclosed


def test_a_job_and_a_person_are_found(session: Session, ours: ProjectId) -> None:
    anna, job = ensure_person(session, "anna", "Anna"), job_id()
    record_assets(session, [record("a", project=ours, job=job, person=anna), record("b", project=ours)])
    assert words(hits(session, "person:anna"), "a", "b") == ["a"]
    assert words(hits(session, f"job:{job}"), "a", "b") == ["a"]


def test_a_relative_date_counts_back_from_now(session: Session, ours: ProjectId) -> None:
    now = datetime.datetime.now(datetime.UTC)
    fresh = dataclasses.replace(record("fresh", project=ours), made_at=now)
    old = dataclasses.replace(record("old", project=ours), made_at=now - datetime.timedelta(days=9))
    record_assets(session, [fresh, old])
    assert words(hits(session, "after:7d"), "fresh", "old") == ["fresh"]
    assert words(hits(session, "before:7d"), "fresh", "old") == ["old"]
    assert words(hits(session, "on:today"), "fresh", "old") == ["fresh"]


@pytest.mark.parametrize("cursor", ["x", "WzEsMl0", "WyIyMDI2LTExLTAxVDAwOjAwOjAwIiwieCJd"])
def test_a_cursor_that_is_none_of_ours_is_refused(session: Session, cursor: str) -> None:
    with pytest.raises(BadCursor):
        finding.find(session, parse(""), None, cursor)
