"""Files that are alike are made rows at once: they are the rows that reading them as any other gives."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memoryd.foundation.ids import PersonId, ProjectId, WatchRootId, new_id
from memoryd.ingest import understanding
from memoryd.ingest.facts import Folder, Knowledge, PreparedFile, ReadyFile
from memoryd.ingest.preparing import prepare_file
from memoryd.ingest.ready import made_ready
from memoryd.plugin_api.png import read_png
from memoryd.workflows import alike
from memoryd.workflows.editor.lessons import Lessons
from memoryd.workflows.templates import token_of
from tests.ingest.pictures import png
from tests.thoroughness import tries
from tests.workflows.test_alike import filled, sampled, some_graph

TEXT = "a red fox in the snow at night, number"
_numbers = itertools.count(1)
Texts = dict[str, str | bytes]


def drawn(document: dict[str, Any], layout: int = 0) -> bytes:
    """An editor's graph with the same literals in it."""
    nodes = [
        {
            "id": number,
            "pos": [layout, 20],
            "widgets_values": [v for v in node["inputs"].values() if type(v) is not list],
        }
        for number, node in enumerate(document.values())
    ]
    return json.dumps({"nodes": nodes, "links": [], "version": 0.4}).encode()


def written(folder: Path, document: dict[str, Any], name: str = "", *, layout: int | None = 0) -> Path:
    texts: Texts = {"prompt": json.dumps(document).encode()}
    if layout is not None:
        texts["workflow"] = drawn(document, layout)
    return put(folder, texts, name)


def put(folder: Path, texts: Mapping[str, str | bytes], name: str = "") -> Path:
    number = next(_numbers)
    path = folder / (name or f"ComfyUI_{number:05}_.png")
    path.write_bytes(png(texts, colour=number))
    return path


def read_as_any_other(folder: Folder, path: Path) -> PreparedFile:
    """What is made of a file where nothing is remembered of others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(understanding, "find_alike", lambda raw: None)
        return made_ready(prepare_file(folder, path)[0])


def both(folder: Folder, path: Path) -> tuple[PreparedFile, bool]:
    """A file as read with what is remembered, proven to be what it is without; and whether it was made rows at once."""
    file, _ = prepare_file(folder, path, ready=True)
    at_once = file.ready is not None
    file, other = made_ready(file), read_as_any_other(folder, path)
    assert (file.state, file.place, file.shown, file.root_id) == (other.state, other.place, other.shown, other.root_id)
    assert (file.ready is None) == (other.ready is None)
    if file.ready is not None and other.ready is not None:
        assert plain(file.ready) == plain(other.ready)
    return file, at_once


def plain(ready: ReadyFile) -> list[object]:
    """All that rows say, but for which ids were taken."""
    asset, documents, graph = ready
    ids = [asset.asset_id, asset.run_id, *asset.location_ids]
    rows = list(asset.rows)
    for number, id_ in enumerate(ids):
        rows = [row if id_ is None else row.replace(id_.hex().encode(), b"id %d" % number) for row in rows]
    told = asset._replace(asset_id=b"", run_id=b"" if asset.run_id else None, location_ids=(), rows=())
    return [told, rows, len({*ids}), documents, graph]


def test_files_of_many_shapes_are_made_the_rows_that_reading_anew_gives(folder: Path) -> None:
    chance = random.Random(11)
    found = count = 0
    for shape in range(40):
        document = some_graph(chance)
        whose = some_folder(folder, chance)
        for number in range(5):
            own = filled(document, chance.getrandbits(chance.choice((30, 50, 64))) + 10**7, f"{TEXT} {chance.random()}")
            path = written(folder, own, layout=None if shape % 5 == 0 else (0, 0, 0, 7, 7)[number])
            found += both(whose, path)[1]
            count += 1
    assert found > count / 3


def some_folder(folder: Path, chance: random.Random) -> Folder:
    ids = [new_id() if chance.random() < 0.5 else None for _ in range(3)]
    return Folder(
        path=folder,
        root_id=None if ids[0] is None else WatchRootId(ids[0]),
        project_id=None if ids[1] is None else ProjectId(ids[1]),
        person_id=None if ids[2] is None else PersonId(ids[2]),
        knowledge=chance.choice((None, Knowledge(), Knowledge(lessons=Lessons()))),
    )


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("'\"\\\n\r\t\x00\x7f\x1f<>:,{}[]%$|\ufeff\ud800\udfff\u2028\U0001f98a\u4e2d\uff1cabc \xa0_-"),
        st.characters(),
    ),
    max_size=60,
)


@settings(max_examples=tries(20, long=500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(), st.integers(10**6, 2**64), st.booleans(), st.none(), st.floats(), HOSTILE),
            st.one_of(HOSTILE, HOSTILE.map(lambda text: f"{text} a red fox in the snow at night"), st.integers()),
            HOSTILE.map(lambda text: f"a painting of {text} in the {text}"),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_hostile_values_are_read_as_in_any_other_file(folder: Path, values: list[tuple[Any, Any, Any]]) -> None:
    first = [(10**9 + number, f"{TEXT} {number}", f"a painting of no. {number} in the snow") for number in range(3)]
    for number, (seed, text, other) in enumerate([*first, *values]):
        document = sampled(seed, text, other)
        document["900"] = {"class_type": "Note", "inputs": {"number": 1}}
        _, at_once = both(Folder(path=folder), written(folder, document))
        assert at_once or number != 2


def test_what_only_looks_alike_is_read_as_any_other(folder: Path) -> None:
    template = sampled("SEED", "TEXT")

    def document(number: int) -> dict[str, Any]:
        return filled(template, 10**9 + number, f"{TEXT} {number}")

    place = Folder(path=folder)
    assert [both(place, written(folder, document(number)))[1] for number in range(4)] == [False, True, True, True]
    raw = json.dumps(document(5)).encode()
    workflow = drawn(document(5))
    beside: dict[str, Texts] = {
        "another text": {"prompt": raw, "workflow": workflow, "parameters": "a blue fox\nSteps: 20, Seed: 5"},
        "a claim": {"prompt": raw, "workflow": workflow, "memoryd": '{"job": "0192a0c2-0000-7000-8000-000000000000"}'},
        "a key twice": {"prompt": raw, "Prompt": raw, "workflow": workflow},
        "a key in capitals": {"Prompt": raw, "workflow": workflow},
        "no graph in the second": {"prompt": raw, "workflow": b"[]"},
        "spaces around": {"prompt": b" " + raw, "workflow": workflow},
        "a NUL after": {"prompt": raw + b"\0", "workflow": workflow},
        "a string of it": {"prompt": json.dumps(raw.decode()), "workflow": workflow},
    }
    for texts in beside.values():
        assert not both(place, put(folder, texts))[1]
    assert both(place, put(folder, {"workflow": workflow, "prompt": raw}))[1]
    assert both(place, put(folder, {"prompt": raw, "workflow": b'{"nodes": "\xff\xfe"}'}))[1]
    job = "somebody_a_red_fox_0192a0c2-0000-4000-8000-000000000000_1.png"
    assert not both(place, written(folder, document(6), job))[1]
    assert both(place, written(folder, document(7), "\t'quoted'\\ \udcff.png"))[1]
    assert both(place, written(folder, document(8), "ComfyUI_temp_abcde_00001_.png"))[1]
    future = written(folder, document(9))
    file, _ = prepare_file(place, future, now=1.0, ready=True)
    assert file.ready is None
    assert [finding.code for finding in file.findings] == ["time-in-future"]


def test_a_graph_whose_text_says_something_of_the_workflow_is_read_as_any_other(folder: Path) -> None:
    template = sampled("SEED", "TEXT")
    template["30"] = {"class_type": "SomebodysNode", "inputs": {"value": "TEXT", "images": ["6", 0]}}
    template["7"]["inputs"]["images"] = ["30", 0]
    for number in range(4):
        document = filled(template, 10**9 + number, f"{TEXT} {number}")
        assert not both(Folder(path=folder), written(folder, document))[1]


def test_a_file_that_teaches_is_read_whole(folder: Path) -> None:
    place = Folder(path=folder, knowledge=Knowledge(lessons=Lessons()))
    template = sampled("SEED", "TEXT")
    template["31"] = {"class_type": f"Unheard{next(_numbers)}", "inputs": {"some": 1, "images": ["6", 0]}}
    template["7"]["inputs"]["images"] = ["31", 0]
    at_once = [
        both(place, written(folder, filled(template, 10**9 + number, f"{TEXT} {number}")))[1] for number in range(6)
    ]
    assert at_once[:2] == [False, False]
    assert at_once[-1]


def test_real_files_with_other_values_are_read_as_any_other(corpus: Path, folder: Path) -> None:
    at_once, count = real_files(sorted(corpus.rglob("*.png"))[::4], folder)
    assert at_once > count / 4


def real_files(paths: list[Path], folder: Path) -> tuple[int, int]:
    """Read each file's graphs thrice, with seeds and texts of ours in all places; tell how many were made rows at once."""
    chance = random.Random(3)
    at_once = count = 0
    for path in paths:
        with path.open("rb") as stream:
            texts = {text.key: text.raw for text in read_png(stream).texts if text.key in ("prompt", "workflow")}
        pieces = alike._PLACE.split(texts.get("prompt", b""))
        if len(pieces) < 4:
            continue
        for _ in range(4):
            other = list(pieces)
            other[2::3] = [another(token, chance) for token in pieces[2::3]]
            own = dict(zip(pieces[2::3], other[2::3], strict=True))
            workflow = texts.get("workflow", b"")
            for was, token in own.items():
                workflow = workflow.replace(was, token)
            made = {"prompt": b"".join(other)} | ({"workflow": workflow} if workflow else {})
            at_once += both(Folder(path=folder), put(folder, {**made}))[1]
            count += 1
    return at_once, count


def another(token: bytes, chance: random.Random) -> bytes:
    if token[:1] != b'"':
        return str(chance.getrandbits(chance.choice((25, 40, 64))) + 10**7).encode()
    words = "fox snow (night:1.3) \u96ea\u306e\u4e2d \U0001f98a 'it's' back\\slash new\nline 1girl, <x> \uff1clora:a:1\uff1e"
    chosen = chance.choices(words.split(" "), [8, 8, 5, 1, 1, 2, 1, 1, 4, 0.02, 0.5], k=chance.choice((8, 20, 300)))
    return token_of(" ".join(chosen))
