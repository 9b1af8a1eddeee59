"""What is kept of which weights touched what is exactly what the facts of runs say, whatever was done to them."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import text

from memoryd.clearance.recalls import keeping
from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id

RECOUNT = """
    with used as (
        select distinct m.sha256, a.root_id, a.id as asset_id
          from generation_model m join generation_output o on (o.generation_id, o.node) = (m.generation_id, m.output_node)
          join asset a on a.id = o.asset_id where m.sha256 is not null)
    select sha256, (select count(distinct generation_id) from generation_model m where m.sha256 = used.sha256),
           count(*), count(distinct root_id) from used group by sha256 order by sha256"""
KEPT = "select sha256, generations, assets, lines from touch_model where assets <> 0 order by sha256"
RETALLY = """
    with used as (
        select distinct m.sha256, o.asset_id from generation_model m
          join generation_output o on (o.generation_id, o.node) = (m.generation_id, m.output_node)
         where m.sha256 is not null)
    select sha256, project_id, first_person, count(*) from used join asset_project using (asset_id)
     group by 1, 2, 3 order by 1, 2, 3"""
TALLY = """
    select sha256, project_id, nullif(person_id, '00000000-0000-0000-0000-000000000000') as person, t.assets
      from touch_tally t join touch_model k on k.no = t.model_no where t.assets <> 0 order by 1, 2, 3"""


def act(session: Session, chance: random.Random, state: dict[str, list[Any]]) -> None:
    """Do one of the things that recording, reading again, re-attributing and removing do."""

    def run(statement: str, **values: object) -> None:
        session.execute(text(statement), values)

    what = chance.randrange(8)
    if what <= 2 or not state["runs"]:
        root, model = new_id(), chance.randbytes(32)
        line = chance.choice(state["assets"])[1] if state["assets"] and chance.random() < 0.3 else root
        run(
            "insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id)"
            " values (:id, :sha, 1, 'image', 'image/png', now(), 'file_time', :root)",
            id=root, sha=model, root=line,
        )  # fmt: skip
        run(
            "insert into generation (id, run_key, origin) values (:id, :key, 'file')", id=line_run(state), key=str(root)
        )
        state["assets"].append((root, line))
    asset, line = chance.choice(state["assets"])
    generation, node = chance.choice(state["runs"]), chance.choice("12")
    project, sha = chance.choice(state["projects"]), bytes([chance.randrange(4)]) * 32
    match what:
        case 3:
            run("delete from generation_model where generation_id = :g", g=generation)
        case 4:
            run("delete from generation_output where asset_id = :a", a=asset)
        case 5:
            run("delete from asset_project where asset_id = :a and project_id = :p", a=asset, p=project)
        case 6:
            run("update generation_model set sha256 = :s where generation_id = :g", g=generation, s=sha)
        case _:
            run(
                "insert into generation_output (generation_id, node, output, asset_id, certain)"
                " values (:g, :n, 'images', :a, true) on conflict do nothing",
                g=generation, n=node, a=asset,
            )  # fmt: skip
            run(
                "insert into generation_model (generation_id, output_node, ordinal, node, source, confidence, input,"
                " class_type, role, name, sha256, evidence) values (:g, :n, :o, '4', 'executed', 'high', 'i', 'c', 'r',"
                " 'm', :s, 'graph') on conflict do nothing",
                g=generation, n=node, o=chance.randrange(3), s=sha,
            )  # fmt: skip
            run(
                "insert into asset_project (project_id, asset_id, root_id, made_at, first_person)"
                " values (:p, :a, :r, now(), null) on conflict do nothing",
                p=project, a=asset, r=line,
            )  # fmt: skip


def line_run(state: dict[str, list[Any]]) -> Any:
    state["runs"].append(new_id())
    return state["runs"][-1]


def rows(session: Session, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.execute(text(statement))]


def test_what_is_kept_is_what_a_recount_finds(session: Session) -> None:
    chance = random.Random(20)
    projects = [new_id() for _ in range(3)]
    for number, project in enumerate(projects):
        session.execute(
            text("insert into project (id, slug, name) values (:i, :s, :s)"), {"i": project, "s": f"p{number}"}
        )
    state: dict[str, list[Any]] = {"assets": [], "runs": [], "projects": projects}
    for step in range(400):
        act(session, chance, state)
        if chance.random() < 0.15:
            assert keeping.catch_up(session)
            assert rows(session, KEPT) == rows(session, RECOUNT), f"after step {step}"
    assert keeping.catch_up(session)
    assert rows(session, TALLY) == rows(session, RETALLY)
    assert rows(session, RECOUNT)


def test_what_nobody_changed_needs_no_look(session: Session) -> None:
    assert keeping.catch_up(session)
    assert not keeping.keep(session)
