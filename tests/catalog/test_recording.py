from __future__ import annotations

import dataclasses
import threading

import pytest
from sqlalchemy import text

from memoryd.access.projects import ensure_project
from memoryd.catalog import recording, showing
from memoryd.catalog.facts import GenerationOrigin
from memoryd.catalog.lineage import ancestors, descendants
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import ProjectId
from memoryd.workflows.facts import ModelUse
from tests.catalog.records import digest, job_id, place, record


@pytest.fixture
def project(session: Session) -> ProjectId:
    return ensure_project(session, "fox")


def count(session: Session, table: str) -> int:
    return int(session.execute(text(f"select count(*) from {table}")).scalar_one())


def test_the_same_batch_again_changes_nothing(session: Session, project: ProjectId) -> None:
    batch = [record("one", project=project, path="one.png"), record("two", project=project, path="two.png")]
    tables = ("asset", "location", "generation", "generation_output", "generation_sampler", "asset_text", "extraction")
    first = record_assets(session, batch)
    before = {table: count(session, table) for table in tables}
    again = record_assets(session, batch)
    assert {table: count(session, table) for table in tables} == before
    assert [asset.new for asset in first] == [True, True]
    assert [dataclasses.replace(asset, new=True) for asset in again] == first


def test_equal_bytes_in_one_batch_are_one_asset_at_two_places(session: Session) -> None:
    one, two = record_assets(session, [record("same", path="a.png"), record("same", path="b.png")])
    assert one.asset_id == two.asset_id
    assert one.location_ids != two.location_ids
    assert one.generation_id == two.generation_id
    assert count(session, "generation_output") == 1


def test_a_job_that_completes_after_the_watcher_adopts_what_the_file_said(session: Session) -> None:
    [seen] = record_assets(session, [record("pic", graph="g", path="pic.png")])
    job = job_id()
    [told] = record_assets(session, [record("pic", graph="g", job=job)])
    assert told.asset_id == seen.asset_id
    assert told.generation_id != seen.generation_id
    view = showing.show_asset(session, told.asset_id, None)
    assert [(run.origin, run.job_id) for run in view.generations] == [(GenerationOrigin.JOB, job)]
    assert len(view.generations[0].samplers) == 1


def test_a_watcher_that_meets_a_jobs_file_finds_the_run_known(session: Session) -> None:
    [told] = record_assets(session, [record("pic", graph="g", job=job_id())])
    [seen] = record_assets(session, [record("pic", graph="g", path="pic.png")])
    again = record_assets(session, [record("pic", graph="g", path="pic.png")])
    assert seen.generation_id == told.generation_id == again[0].generation_id
    assert len(showing.show_asset(session, told.asset_id, None).generations) == 1


def test_watcher_and_worker_in_one_batch_tell_of_one_run(session: Session) -> None:
    seen, told = record_assets(
        session, [record("pic", graph="g", path="pic.png"), record("pic", graph="g", job=job_id())]
    )
    assert seen.generation_id == told.generation_id


def test_a_file_with_another_graph_is_not_adopted(session: Session) -> None:
    [seen] = record_assets(session, [record("pic", graph="g")])
    [told] = record_assets(session, [record("pic", graph="other", job=job_id())])
    assert seen.generation_id != told.generation_id
    assert len(showing.show_asset(session, told.asset_id, None).generations) == 2


def test_four_files_of_a_batch_are_adopted_by_their_one_job(session: Session) -> None:
    words = ["b0", "b1", "b2", "b3"]
    record_assets(session, [record(word, graph="batch", path=f"{word}.png") for word in words])
    job = job_id()
    told = record_assets(session, [record(word, graph="batch", job=job, batch_index=n) for n, word in enumerate(words)])
    assert len({asset.generation_id for asset in told}) == 1
    assert count(session, "generation_sampler") == 1
    for n, asset in enumerate(told):
        [run] = showing.show_asset(session, asset.asset_id, None).generations
        assert (run.batch_index, run.certain) == (n, True)


def test_outputs_of_one_job_may_come_in_two_batches(session: Session) -> None:
    job = job_id()
    [first] = record_assets(session, [record("o1", graph="g", job=job, node="9")])
    [second] = record_assets(session, [record("o2", graph="g", job=job, node="21")])
    assert first.generation_id == second.generation_id
    assert count(session, "generation_sampler") == 2


def test_equal_bytes_of_two_jobs_are_one_asset_of_two_runs(session: Session) -> None:
    one, two = record_assets(session, [record("pic", graph="g", job=job_id()), record("pic", graph="g", job=job_id())])
    assert one.asset_id == two.asset_id
    assert one.generation_id != two.generation_id


def test_a_newer_reading_replaces_what_a_file_said(session: Session) -> None:
    [old] = record_assets(session, [record("pic", prompt="a red fox")])
    [new] = record_assets(session, [record("pic", prompt="a blue heron", plugin_version="2")])
    assert new.generation_id == old.generation_id
    view = showing.show_asset(session, new.asset_id, None)
    assert [prompt.text for prompt in view.generations[0].prompts] == ["a blue heron", "blurry"]
    assert [(reading.version, reading.current) for reading in view.extractions] == [("2", True), ("1", False)]
    words = session.execute(text("select words::text from asset_text")).scalar_one()
    assert "heron" in words
    assert "'fox'" not in words


def test_a_newer_reading_does_not_touch_what_a_job_said(session: Session) -> None:
    record_assets(session, [record("pic", graph="g", prompt="as the job said", job=job_id())])
    [seen] = record_assets(session, [record("pic", graph="g", prompt="as the file says", plugin_version="2")])
    [run] = showing.show_asset(session, seen.asset_id, None).generations
    assert run.prompts[0].text == "as the job said"


def test_a_rewrite_in_place_is_a_new_asset_of_the_same_line_and_the_old_name_keeps_its_past(session: Session) -> None:
    [old] = record_assets(session, [record("v1", path="pic.png")])
    [new] = record_assets(session, [record("v2", path="pic.png", rewrites="v1")])
    assert new.asset_id != old.asset_id
    assert new.root_id == old.root_id
    assert new.location_ids == old.location_ids
    view = showing.show_asset(session, old.asset_id, None)
    assert (view.head, view.present, view.places) == (False, False, ())
    assert [(place.shown_path, place.reason) for place in view.past_places] == [("pic.png", "overwritten")]
    assert [member.head for member in view.line] == [False, True]


def test_a_rewrite_back_makes_the_first_the_head_again(session: Session) -> None:
    [first] = record_assets(session, [record("v1", path="pic.png")])
    record_assets(session, [record("v2", path="pic.png", rewrites="v1")])
    [back] = record_assets(session, [record("v1", path="pic.png", rewrites="v2")])
    assert back.asset_id == first.asset_id
    assert [member.head for member in showing.show_asset(session, first.asset_id, None).line] == [True, False]


def test_an_original_that_still_lies_elsewhere_stays_a_head(session: Session) -> None:
    [first, _] = record_assets(session, [record("v1", path="pic.png"), record("v1", path="copy.png")])
    record_assets(session, [record("v2", path="pic.png", rewrites="v1")])
    assert [member.head for member in showing.show_asset(session, first.asset_id, None).line] == [True, True]


def test_a_chain_of_rewrites_in_one_batch_in_any_order_is_one_line(session: Session) -> None:
    c, b, a = record_assets(session, [record("c", rewrites="b"), record("b", rewrites="a"), record("a")])
    assert c.root_id == b.root_id == a.root_id == a.asset_id
    assert [member.head for member in showing.show_asset(session, a.asset_id, None).line].count(True) == 1


def test_records_that_follow_each_other_in_a_circle_are_recorded_with_a_finding(session: Session) -> None:
    a, b = record_assets(session, [record("a", rewrites="b"), record("b", rewrites="a")])
    assert a.root_id == b.root_id
    codes = [f.code for asset in (a, b) for f in showing.show_asset(session, asset.asset_id, None).findings]
    assert codes == ["predecessor-unknown"]


def test_an_unknown_predecessor_is_a_finding(session: Session) -> None:
    [asset] = record_assets(session, [record("v2", rewrites="never-seen")])
    assert asset.root_id == asset.asset_id
    view = showing.show_asset(session, asset.asset_id, None)
    assert [finding.code for finding in view.findings] == ["predecessor-unknown"]
    assert view.flags == ("finding",)


def test_a_signed_copy_that_the_watcher_meets_is_no_run_of_its_own(session: Session) -> None:
    [original] = record_assets(session, [record("pic", graph="g")])
    record_assets(session, [record("signed", discloses="pic", generation=False)])
    [met] = record_assets(session, [record("signed", graph="g", path="signed.png")])
    assert met.generation_id == original.generation_id
    assert met.root_id == original.root_id
    assert [member.head for member in showing.show_asset(session, met.asset_id, None).line] == [True, False]


def test_a_copy_inherits_the_projects_of_its_original(session: Session, project: ProjectId) -> None:
    record_assets(session, [record("pic", project=project)])
    [copy] = record_assets(session, [record("signed", discloses="pic", generation=False)])
    assert showing.show_asset(session, copy.asset_id, frozenset({project})).id == copy.asset_id


def test_a_rewrite_in_one_project_does_not_show_in_another_that_had_equal_bytes(session: Session) -> None:
    ours, theirs = ensure_project(session, "ours"), ensure_project(session, "theirs")
    record_assets(
        session, [record("v1", project=ours, path="ours.png"), record("v1", project=theirs, path="theirs.png")]
    )
    [new] = record_assets(session, [record("v2", project=ours, path="ours.png", rewrites="v1")])
    with pytest.raises(showing.AssetNotFound):
        showing.show_asset(session, new.asset_id, frozenset({theirs}))
    first = showing.show_asset(session, new.root_id, frozenset({theirs}))
    assert [member.face.name for member in first.line] == ["theirs.png"]
    assert [place.shown_path for place in first.places] == ["theirs.png"]


def test_a_parent_is_linked_by_its_content_also_when_it_is_recorded_later(session: Session) -> None:
    [child] = record_assets(session, [record("child", inputs=(digest("parent"),))])
    assert ancestors(session, child.asset_id, None) == []
    [parent] = record_assets(session, [record("parent")])
    assert [found.face.id for found in ancestors(session, child.asset_id, None)] == [parent.asset_id]
    assert [found.face.id for found in descendants(session, parent.asset_id, None)] == [child.asset_id]


def test_an_input_that_is_a_signed_copy_leads_to_its_line(session: Session) -> None:
    [original] = record_assets(session, [record("pic")])
    record_assets(session, [record("signed", discloses="pic", generation=False)])
    [child] = record_assets(session, [record("child", inputs=(digest("signed"),))])
    assert [found.face.id for found in ancestors(session, child.asset_id, None)] == [original.asset_id]


def test_an_edge_that_would_close_a_circle_is_a_finding_and_no_edge(session: Session) -> None:
    a, b = record_assets(session, [record("a", inputs=(digest("b"),)), record("b", inputs=(digest("a"),))])
    assert count(session, "lineage") == 1
    found = [f.code for x in (a, b) for f in showing.show_asset(session, x.asset_id, None).findings]
    assert found == ["lineage-would-cycle"]


def test_a_circle_over_three_batches_is_refused(session: Session) -> None:
    for word, given in (("a", "c"), ("b", "a"), ("c", "b")):
        record_assets(session, [record(word, inputs=(digest(given),))])
    assert count(session, "lineage") == 2


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_seeds_are_kept_exactly(session: Session, seed: int) -> None:
    [asset] = record_assets(session, [record("pic", seed=seed)])
    assert showing.show_asset(session, asset.asset_id, None).generations[0].samplers[0].seed == seed


def test_a_seed_that_is_none_is_unknown_and_a_finding(session: Session) -> None:
    [asset] = record_assets(session, [record("pic", seed=2**64)])
    view = showing.show_asset(session, asset.asset_id, None)
    assert view.generations[0].samplers[0].seed is None
    assert [finding.code for finding in view.findings] == ["seed-out-of-range"]


def test_hostile_numbers_and_names_do_not_fail_the_batch(session: Session) -> None:
    bad = record("bad", prompt="nul \0 and lone \ud800 surrogate", seed=-(10**300), lora="x" * 9000 + "\0'\\")
    assert bad.generation is not None
    [sampler] = bad.generation.parameters.samplers
    worse = dataclasses.replace(
        bad.generation.parameters,
        samplers=(dataclasses.replace(sampler, steps=10**30, cfg=float("nan"), denoise=10**400),),
        models=(ModelUse(node="\0", input="'", class_type="\\", role="vae", name="'\\\ud800"),),
        width=10**12,
    )
    hostile = dataclasses.replace(bad, generation=dataclasses.replace(bad.generation, parameters=worse), width=10**12)
    far = dataclasses.replace(record("far"), locations=(place("d/" * 2_000 + "x.png"),))
    recorded = record_assets(session, [hostile, far, record("good")])
    view = showing.show_asset(session, recorded[0].asset_id, None)
    assert (view.width, view.generations[0].samplers[0].steps, view.generations[0].samplers[0].cfg) == (
        None,
        None,
        None,
    )
    assert view.generations[0].prompts[0].text == "nul \ufffd and lone \ufffd surrogate"


def test_more_than_the_limit_is_refused(session: Session) -> None:
    with pytest.raises(recording.BatchTooLarge):
        record_assets(session, [record("x")] * (recording.RECORD_LIMIT + 1))


def test_nothing_is_recorded_of_nothing(session: Session) -> None:
    assert record_assets(session, []) == []


def test_two_recorders_of_the_same_files_neither_deadlock_nor_double(database: Database, tenant: TenantScope) -> None:
    words = [f"w{n}" for n in range(40)]
    job = job_id()
    failures: list[BaseException] = []

    def run(order: list[str], *, as_job: bool) -> None:
        try:
            for start in range(0, len(order), 10):
                part = order[start : start + 10]
                with database.tenant_work(tenant) as session:
                    record_assets(
                        session,
                        [
                            record(w, graph="g", job=job if as_job else None, path=None if as_job else f"{w}.png")
                            for w in part
                        ],
                    )
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=(words,), kwargs={"as_job": True}),
        threading.Thread(target=run, args=(words[::-1],), kwargs={"as_job": False}),
        threading.Thread(target=run, args=(words[5:] + words[:5],), kwargs={"as_job": False}),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.tenant_work(tenant) as session:
        assert count(session, "asset") == 40
        assert count(session, "generation where adopted_by is null") == 1
        assert count(session, "generation_output") == 40
