"""A project's policy at submission: pass, warn, ask, refuse; recalls; what is remembered and what is not."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from memoryd.access import people, projects
from memoryd.access.facts import Caller, Role
from memoryd.access.guards import Offices
from memoryd.access.sessions import caller_for, local_caller
from memoryd.clearance import asking
from memoryd.clearance.facts import Verdict
from memoryd.clearance.policies import approvals, setting
from memoryd.clearance.policies import endpoints as policy_endpoints
from memoryd.clearance.policies.deciding import ApprovalRefused, LicenceRefused, ModelRecalled
from memoryd.clearance.policies.facts import Action
from memoryd.clearance.recalls import deciding as recalls
from memoryd.clearance.recalls.facts import RecallKind
from memoryd.dispatch import holds, jobs, pools, tending
from memoryd.dispatch.facts import Cancellation
from memoryd.dispatch.states import HeldBy, JobState
from memoryd.dispatch.wire import Pin
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import JobId
from memoryd.submission import graph_needs
from memoryd.submission.facts import Submission, Submitted
from memoryd.submission.grouping.asking import submit_group
from memoryd.submission.grouping.facts import GroupAsked
from memoryd.submission.grouping.items import Axis
from memoryd.submission.submitting import submit_alone
from memoryd.workflows.loaded_models import loaded_by
from tests.dispatch.conftest import add_worker

BAD, OTHER = "ab" * 32, "cd" * 32
GRAPH = """{"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "%s.safetensors"}},
 "2": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
 "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
 "4": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}"""


@dataclasses.dataclass
class Studio:
    """A studio whose project `default` has a policy; `ask` submits as an artist."""

    offices: Offices
    scope: TenantScope
    admin: Caller
    artist: Caller
    producer: Caller

    @property
    def database(self) -> Database:
        return self.offices.database

    def policy(self, **asked: Any) -> None:
        with self.database.tenant_work(self.scope) as session:
            setting.set_policy(session, self.admin, "default", reason="because", **asked)

    def submit(
        self, model: str = "bad", sha256: str | None = BAD, *, by: Caller | None = None, **more: Any
    ) -> Submitted:
        pins = (Pin(folder="checkpoints", name=f"{model}.safetensors", sha256=sha256),) if sha256 else None
        asked = Submission(prompt=GRAPH % model, project="default", pins=pins, **more)
        return submit_alone(self.database, asked, scope=self.scope, caller=by or self.artist, store=self.offices.store)

    def standing(self, job_id: JobId) -> Any:
        with self.database.farm_work() as session:
            return jobs.find_standing(session, job_id)

    def approve(self, request: object, by: Caller | None = None, **more: Any) -> Any:
        with self.database.tenant_work(self.scope) as session:
            return approvals.approve(session, self.scope, by or self.producer, str(request), "seen", **more)

    def refuse(self, request: object, by: Caller | None = None) -> Any:
        with self.database.tenant_work(self.scope) as session:
            return approvals.refuse(session, self.scope, by or self.producer, str(request), "not for this client")

    def recall(self, sha256: str = BAD) -> UUID:
        with self.database.tenant_work(self.scope) as session:
            return recalls.recall(session, self.admin, bytes.fromhex(sha256), RecallKind.WITHDRAWN, "taken back")


def _person(database: Database, scope: TenantScope, login: str, role: Role) -> Caller:
    with database.tenant_work(scope) as session:
        person = people.ensure_person(session, login, login)
        people.grant_role(session, person, role, projects.find_project(session, "default"))
        return caller_for(session, scope, person, login, via="session")


@pytest.fixture
def studio(offices: Offices) -> Studio:
    database = offices.database
    admin = local_caller(database, "default")
    with database.farm_work() as session:
        pools.ensure_defaults(session)
    return Studio(
        offices,
        admin.tenant,
        admin,
        _person(database, admin.tenant, "ann", Role.ARTIST),
        _person(database, admin.tenant, "pro", Role.PRODUCER),
    )


def test_without_a_policy_an_unknown_licence_is_told_and_kept_with_the_job(studio: Studio) -> None:
    done = studio.submit()
    assert "unknown: bad.safetensors" in done.notes[-1]
    assert studio.standing(done.job_id).state is JobState.READY
    with studio.database.tenant_work(studio.scope) as session:
        kept = session.execute(text("select clearance from job_detail")).scalar_one()
    assert (kept["verdict"], kept["action"], kept["policy"]) == ("unknown", "warn", 0)


def test_a_graph_without_models_passes_in_silence(studio: Studio) -> None:
    studio.policy(on_unknown=Action.REFUSE)
    graph = """{"2": {"class_type": "EmptyImage", "inputs": {}},
 "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}}"""
    asked = Submission(prompt=graph, project="default")
    done = submit_alone(studio.database, asked, scope=studio.scope, caller=studio.artist, store=studio.offices.store)
    assert done.clearance is None


def test_a_policy_refuses_with_the_clauses_and_nothing_is_written(studio: Studio) -> None:
    studio.submit()
    studio.policy(on_unknown=Action.REFUSE)
    with pytest.raises(LicenceRefused) as refused:
        studio.submit()
    assert refused.value.facts["verdict"] == "unknown"
    clauses = refused.value.facts["clauses"]
    assert isinstance(clauses, list)
    assert clauses[0]["term"] == "no-grant"
    with studio.database.tenant_work(studio.scope) as session:
        assert session.execute(text("select count(*) from job_detail")).scalar_one() == 1


def test_pins_that_name_nothing_or_that_nobody_insists_on_hide_no_model(studio: Studio) -> None:
    studio.policy(on_unknown=Action.REFUSE)
    for pins in ((), (Pin(folder="checkpoints", name="bad.safetensors", sha256=OTHER, assumed=True),)):
        asked = Submission(prompt=GRAPH % "bad", project="default", pins=pins)
        with pytest.raises(LicenceRefused) as refused:
            submit_alone(studio.database, asked, scope=studio.scope, caller=studio.artist, store=studio.offices.store)
        assert refused.value.facts["clauses"][0]["term"] == "no-hash"  # type: ignore[index]


def _asked(studio: Studio, graph: dict[str, Any], **more: Any) -> Submitted:
    asked = Submission(prompt=json.dumps(graph), project="default", **more)
    return submit_alone(studio.database, asked, scope=studio.scope, caller=studio.artist, store=studio.offices.store)


SAVED = {
    "8": {"class_type": "EmptyImage", "inputs": {}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
}
SAMPLED = {
    "7": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "latent_image": ["8", 0], "seed": 1, "steps": 2}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}},
}
HIDING: dict[str, dict[str, Any]] = {
    "a loader that nobody knows": {"1": {"class_type": "FancyLoader", "inputs": {"weights": "x.safetensors"}}, **SAVED},
    "an embedding in a text": {
        "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat, embedding:ink:1.2", "clip": ["8", 1]}},
        **SAVED,
    },
    "a LoRA in a text": {
        "1": {"class_type": "Lora Loader From Text", "inputs": {"text": "a <lora:ink:0.8>", "model": ["8", 0]}},
        **SAVED,
    },
    "rows of a node of many LoRAs": {
        "1": {"class_type": "Rows", "inputs": {"row_1": {"on": True, "lora": "ink.safetensors", "strength": 1}}},
        **SAVED,
    },
    "a name that is made while it runs": {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ["2", 0]}},
        "2": {"class_type": "StringConcatenate", "inputs": {"string_a": "x", "string_b": ["3", 0], "delimiter": ""}},
        "3": {"class_type": "RandomChoice", "inputs": {}},
        **SAVED,
    },
    "a sampler for which no model is named": {
        "1": {"class_type": "PipelineLoader", "inputs": {"repo": "somebody/something"}},
        **SAVED,
        **SAMPLED,
    },
    "a service": {"1": {"class_type": "FluxProUltraImageNode", "inputs": {"prompt": "a cat"}}, **SAVED},
}


@pytest.mark.parametrize("graph", HIDING.values(), ids=HIDING.keys())
def test_a_graph_that_hides_what_it_loads_is_unknown_and_not_allowed(studio: Studio, graph: dict[str, Any]) -> None:
    studio.policy(on_unknown=Action.REFUSE)
    with pytest.raises(LicenceRefused) as refused:
        _asked(studio, graph)
    assert refused.value.facts["verdict"] == "unknown"
    with studio.database.tenant_work(studio.scope) as session:
        answer = asking.answer(session, studio.admin, asking.Question(workflow=graph, project="default"))
    assert answer.judgement.verdict is Verdict.UNKNOWN


def test_a_name_by_a_plain_link_is_read_and_a_model_by_a_link_is_no_name(studio: Studio) -> None:
    used = loaded_by(
        graph_needs.read_prompt(
            json.dumps(
                {
                    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ["2", 0]}},
                    "2": {"class_type": "PrimitiveString", "inputs": {"value": "ink.safetensors"}},
                    "3": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "up.pth"}},
                    "4": {"class_type": "Reroute", "inputs": {"": ["3", 0]}},
                    "5": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["4", 0]}},
                }
            )
        ).graph  # type: ignore[arg-type]
    )
    assert used.models == (("checkpoints", "ink.safetensors"), ("upscale_models", "up.pth"))
    assert used.unread == ()


def _pins(studio: Studio, job_id: JobId) -> list[tuple[str, str | None, bool]]:
    with studio.database.tenant_work(studio.scope) as session:
        pins = session.execute(text("select pins from job_detail where job_id = :i"), {"i": job_id}).scalar_one()
    return [(pin["name"], pin["sha256"], pin["assumed"]) for pin in pins]


def _worker_has(studio: Studio, name: str, sha256: str) -> None:
    with studio.database.farm_work() as session:
        pool = session.execute(text("select id from pool where name = 'default'")).scalar_one()
        worker = session.execute(text("select id from worker limit 1")).scalar()
        if worker is None:
            worker = add_worker(session, studio.scope.id).worker_id
        values = {"w": worker, "p": pool, "n": name, "s": bytes.fromhex(sha256)}
        session.execute(
            text("insert into worker_pool (worker_id, pool_id) values (:w, :p) on conflict do nothing"), values
        )
        session.execute(
            text("""insert into worker_model (worker_id, folder, path, size, sha256) values (:w, 'checkpoints', :n, 1, :s)
                    on conflict (worker_id, folder, path) do update set sha256 = excluded.sha256"""),
            values,
        )


def test_what_a_job_keeps_of_its_models_is_what_the_pool_has_whatever_pins_say(studio: Studio) -> None:
    _worker_has(studio, "bad.safetensors", BAD)
    said = Pin(folder="checkpoints", name="bad.safetensors", sha256=OTHER, assumed=True)
    for pins in (None, (), (said,), (Pin(folder="checkpoints", name="bad.safetensors"),)):
        job = _asked(studio, json.loads(GRAPH % "bad"), pins=pins)
        assert _pins(studio, job.job_id) == [("bad.safetensors", BAD, True)], pins
    studio.recall()
    for pins in ((), (said,)):
        with pytest.raises(ModelRecalled):
            _asked(studio, json.loads(GRAPH % "bad"), pins=pins)


def test_an_approval_insists_on_what_was_judged_and_not_on_what_a_pin_told(studio: Studio) -> None:
    _worker_has(studio, "bad.safetensors", BAD)
    studio.policy(on_unknown=Action.ASK)
    said = Pin(folder="checkpoints", name="bad.safetensors", sha256=OTHER, assumed=True)
    for pins in ((), (said,)):
        job = _asked(studio, json.loads(GRAPH % "bad"), pins=pins)
        assert _pins(studio, job.job_id) == [("bad.safetensors", BAD, False)], pins


def test_two_pins_of_one_name_are_two_models(studio: Studio) -> None:
    studio.recall()
    pins = tuple(Pin(folder="checkpoints", name="bad.safetensors", sha256=one) for one in (BAD, OTHER))
    for some in (pins, pins[::-1]):
        with pytest.raises(ModelRecalled):
            _asked(studio, json.loads(GRAPH % "bad"), pins=some)


def test_a_policy_that_may_refuse_lets_run_only_the_bytes_that_it_let_pass(studio: Studio) -> None:
    _worker_has(studio, "bad.safetensors", BAD)
    studio.policy(on_block=Action.REFUSE)
    assert _pins(studio, _asked(studio, json.loads(GRAPH % "bad")).job_id) == [("bad.safetensors", BAD, False)]
    trial = _asked(studio, json.loads(GRAPH % "bad"), trial=True)
    assert _pins(studio, trial.job_id) == [("bad.safetensors", BAD, True)], "a trial finds out what is there"


def test_what_was_accepted_stays_accepted_under_its_key(studio: Studio) -> None:
    first = studio.submit(key="k")
    studio.policy(on_unknown=Action.REFUSE)
    again = studio.submit(key="k")
    assert (again.known, again.job_id) == (True, first.job_id)


# --- approvals


def test_what_must_be_approved_waits_and_serves_later_jobs_once_it_is(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    first, second = studio.submit(), studio.submit()
    assert first.clearance is not None
    assert second.clearance is not None
    request = first.clearance["request"]
    assert second.clearance["request"] == request, "one request for one set of models"
    now = studio.standing(first.job_id)
    assert (now.state, now.held_by, str(now.waits_for)) == (JobState.HELD, HeldBy.APPROVAL, request)
    assert "it waits for a producer to approve" in first.notes[-1]

    done = studio.approve(request)
    assert (done.state.value, done.waiting) == ("approved", 0)
    assert {studio.standing(one.job_id).state for one in (first, second)} == {JobState.READY}
    assert studio.standing(studio.submit().job_id).state is JobState.READY
    assert studio.standing(studio.submit(sha256=OTHER).job_id).state is JobState.HELD, "other bytes are another set"
    assert studio.approve(request).decided_at == done.decided_at, "given twice, it was given once"


def test_an_approval_ends_with_the_policy_it_was_given_under(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    first = studio.submit()
    studio.approve(first.clearance["request"])  # type: ignore[index]
    studio.policy(on_review=Action.ASK)
    later = studio.submit()
    assert studio.standing(later.job_id).state is JobState.HELD
    assert later.clearance["request"] != first.clearance["request"]  # type: ignore[index]


def test_what_is_approved_are_these_very_bytes(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    job = studio.submit()
    with studio.database.tenant_work(studio.scope) as session:
        [pin] = session.execute(text("select pins from job_detail where job_id = :i"), {"i": job.job_id}).scalar_one()
    assert (pin["sha256"], pin["assumed"]) == (BAD, False)


def test_a_refused_request_cancels_its_jobs_and_tells_why(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    job = studio.submit()
    follower = studio.submit(after=job.job_id)
    studio.refuse(job.clearance["request"])  # type: ignore[index]
    for one in (job, follower):
        assert studio.standing(one.job_id).state is JobState.CANCELLED
    assert "not for this client" in studio.standing(job.job_id).failures[0]["error"]["message"]
    with pytest.raises(ApprovalRefused) as refused:
        studio.submit()
    assert refused.value.detail == "not for this client"
    studio.approve(job.clearance["request"])  # type: ignore[index]
    assert studio.standing(studio.submit().job_id).state is JobState.READY, "somebody changed their mind"


def test_nobody_approves_what_they_asked_for_but_an_administrator(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    own = studio.submit(by=studio.producer)
    request = own.clearance["request"]  # type: ignore[index]
    with pytest.raises(approvals.NotYoursToDecide):
        studio.approve(request)
    with pytest.raises(approvals.NotYoursToDecide):
        studio.approve(request, by=studio.artist)
    admins = studio.submit(sha256=OTHER, by=studio.admin)
    assert studio.approve(admins.clearance["request"], by=studio.admin).state.value == "approved"  # type: ignore[index]


def test_cancelled_and_expired_jobs_stay_so_when_the_approval_comes(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    cancelled, expired = studio.submit(), studio.submit()
    with studio.database.farm_work() as session:
        assert jobs.cancel(session, cancelled.job_id, tenant_id=studio.scope.id) is Cancellation.CANCELLED
    with studio.database.farm_work() as session:
        for table, key in (("job", "id"), ("held", "job_id")):
            late = f"update {table} set expires_at = clock_timestamp() - interval '1 s' where {key} = :i"
            session.execute(text(late), {"i": expired.job_id})
        assert tending.expire(session) == 1
    studio.approve(cancelled.clearance["request"])  # type: ignore[index]
    assert studio.standing(cancelled.job_id).state is JobState.CANCELLED
    assert studio.standing(expired.job_id).state is JobState.EXPIRED


def test_an_approval_that_races_an_expiry_leaves_no_job_behind(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    job = studio.submit()
    with studio.database.farm_work() as session:
        for table, key in (("job", "id"), ("held", "job_id")):
            late = f"update {table} set expires_at = clock_timestamp() - interval '1 s' where {key} = :i"
            session.execute(text(late), {"i": job.job_id})
    with studio.database.farm_work() as expiring:
        assert tending.expire(expiring) == 1
        # Its row is in the other's hands: the approval passes over it, and does not wait.
        studio.approve(job.clearance["request"])  # type: ignore[index]
    assert studio.standing(job.job_id).state is JobState.EXPIRED


def test_a_row_that_a_cancel_had_in_hand_and_gave_back_is_let_go_by_the_next_step(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    job = studio.submit()
    holding = studio.database.engine.connect()
    holding.execute(text("set search_path to farm"))
    holding.execute(text("set role memoryd_farm"))
    holding.execute(text("select * from held for update"))
    studio.approve(job.clearance["request"])  # type: ignore[index]
    holding.rollback()
    holding.close()
    assert studio.standing(job.job_id).state is JobState.HELD
    with studio.database.farm_work() as session:
        assert holds.step(session) == 1
    assert studio.standing(job.job_id).state is JobState.READY


def test_a_job_that_is_being_written_while_its_request_is_approved_is_let_go_with_it(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    first = studio.submit()
    request = first.clearance["request"]  # type: ignore[index]
    made: list[Submitted] = []
    with studio.database.tenant_work(studio.scope) as session:
        approvals.approve(session, studio.scope, studio.producer, str(request), "seen")
        late = threading.Thread(target=lambda: made.append(studio.submit()))
        late.start()
        _wait_for_lock(studio.database)
    late.join(20)
    assert studio.standing(made[0].job_id).state is JobState.READY


def test_a_changed_judgement_is_not_approved_unseen(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    job = studio.submit()
    request = job.clearance["request"]  # type: ignore[index]
    studio.policy(on_block=Action.ASK)
    with pytest.raises(approvals.RequestChanged) as changed:
        studio.approve(request)
    seen = changed.value.facts["judged"]
    studio.approve(request, judged=seen)
    assert studio.standing(job.job_id).state is JobState.READY
    assert studio.standing(studio.submit().job_id).state is JobState.READY


def test_who_may_decide_is_whom_the_policy_names_today(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    request = studio.submit().clearance["request"]  # type: ignore[index]
    studio.policy(ask_role=Role.OFFICER)
    with pytest.raises(approvals.RequestChanged) as changed:
        studio.approve(request)
    seen = changed.value.facts["judged"]
    with pytest.raises(approvals.NotYoursToDecide):
        studio.approve(request, judged=seen)
    later = studio.submit()
    with pytest.raises(approvals.NotYoursToDecide):
        studio.approve(request, judged=seen)
    studio.approve(request, by=studio.admin, judged=seen)
    assert studio.standing(later.job_id).state is JobState.READY, "what waits for the present judgement goes with it"


def test_a_group_waits_as_a_whole_and_a_refusal_names_the_item(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    names = tuple(f"{name}.safetensors" for name in ("bad", "worse"))
    asked = GroupAsked(
        template=Submission(prompt=GRAPH % "bad", project="default"),
        axes=(Axis(input="1.ckpt_name", values=names), Axis(input="2.color", values=(1, 2, 3))),
    )
    made = submit_group(studio.database, asked, scope=studio.scope, caller=studio.artist, store=studio.offices.store)
    with studio.database.farm_work() as session:
        rows = session.execute(text("select reason, count(*), count(distinct waits_for) from held group by 1")).all()
    assert [tuple(row) for row in rows] == [("approval", 6, 2)]
    assert made.total == 6
    studio.policy(on_unknown=Action.REFUSE)
    with pytest.raises(LicenceRefused, match="item 1"):
        submit_group(studio.database, asked, scope=studio.scope, caller=studio.artist, store=studio.offices.store)


def test_a_trial_is_told_and_not_held(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    done = studio.submit(trial=True)
    assert studio.standing(done.job_id).state is JobState.READY
    studio.recall()
    with pytest.raises(ModelRecalled):
        studio.submit(trial=True)


# --- what is remembered


def test_a_change_in_another_process_is_seen_at_once(studio: Studio, cluster: Any, database_name: str) -> None:
    studio.submit()
    studio.submit()
    other = Database(cluster.server_url(database_name))
    try:
        with other.tenant_work(studio.scope) as session:
            recalls.recall(session, studio.admin, bytes.fromhex(BAD), RecallKind.MALICIOUS, "it runs code")
    finally:
        other.close()
    with pytest.raises(ModelRecalled, match="it runs code"):
        studio.submit()


def test_no_job_of_a_recalled_model_is_written_after_its_recall(studio: Studio) -> None:
    """A submission that has begun, and waits while the recall is written, sees it; one before it is waited for."""
    studio.submit()
    outcome: list[object] = []

    def submit() -> None:
        try:
            outcome.append(studio.submit())
        except ModelRecalled as error:
            outcome.append(error)

    with studio.database.tenant_work(studio.scope) as session:
        recalls.recall(session, studio.admin, bytes.fromhex(BAD), RecallKind.WITHDRAWN, "taken back")
        late = threading.Thread(target=submit)
        late.start()
        _wait_for_lock(studio.database)
        assert outcome == []
    late.join(20)
    assert isinstance(outcome[0], ModelRecalled)


def test_what_nothing_has_changed_is_not_judged_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.submit()
    monkeypatch.setattr("memoryd.clearance.policies.deciding.decide", None)
    assert studio.submit().notes


def _wait_for_lock(database: Database) -> None:
    """Return once somebody waits for a lock."""
    for _ in range(200):
        with database.engine.connect() as connection:
            if connection.execute(text("select 1 from pg_locks where not granted")).first():
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


# --- over HTTP


@pytest.fixture
def clearing_app(app: FastAPI) -> FastAPI:
    app.include_router(policy_endpoints.router, prefix="/v1")
    return app


def test_policies_and_requests_are_one_s_own(
    clearing_app: FastAPI, studio: Studio, stranger: TestClient, person: TestClient, other_person: TestClient
) -> None:
    policy = {"on_unknown": "ask", "ask_role": "officer", "territories": ["DE", "EU"], "reason": "the client asks"}
    assert stranger.get("/v1/projects/default/policy").status_code == 401
    assert stranger.put("/v1/projects/default/policy", json=policy).status_code == 401
    assert person.put("/v1/projects/none/policy", json=policy).status_code == 404
    made = person.put("/v1/projects/default/policy", json=policy)
    assert made.status_code == 200, made.text
    assert (made.json()["version"], made.json()["ask_role"]) == (1, "officer")
    assert other_person.get("/v1/projects/default/policy").json()["version"] == 0
    versions = person.get("/v1/projects/default/policy/versions").json()["items"]
    assert [(one["version"], one["reason"]) for one in versions] == [(1, "the client asks")]

    job = studio.submit()
    path = f"/v1/clearance/requests/{job.clearance['request']}"  # type: ignore[index]
    answer = {"reason": "seen"}
    for verb in ("approve", "refuse"):
        assert stranger.post(f"{path}/{verb}", json=answer).status_code == 401
        assert other_person.post(f"{path}/{verb}", json=answer).status_code == 404
    assert stranger.get("/v1/clearance/requests").status_code == 401
    assert other_person.get(path).status_code == 404
    assert other_person.get("/v1/clearance/requests").json()["items"] == []
    [listed] = person.get("/v1/clearance/requests", params={"state": "asked"}).json()["items"]
    assert (listed["waiting"], listed["asked_by"], listed["may_decide"]) == (1, ["ann"], True)
    shown = person.get(f"/v1/jobs/{job.job_id}").json()
    assert (shown["held_by"], shown["waits_for"]) == ("approval", listed["id"])
    assert person.post(f"{path}/approve", json={"reason": " "}).status_code == 422
    assert person.post(f"{path}/approve", json=answer).json()["state"] == "approved"


def test_a_project_that_one_does_not_see_has_no_policy_and_no_requests(studio: Studio) -> None:
    studio.policy(on_unknown=Action.ASK)
    request = studio.submit().clearance["request"]  # type: ignore[index]
    with studio.database.tenant_work(studio.scope) as session:
        film = projects.ensure_project(session, "film")
        person = people.ensure_person(session, "eve", "eve")
        people.grant_role(session, person, Role.PRODUCER, film)
        eve = caller_for(session, studio.scope, person, "eve", via="session")
        assert approvals.list_requests(session, studio.scope, eve.sees).rows == []
        with pytest.raises(approvals.RequestNotFound):
            approvals.approve(session, studio.scope, eve, str(request), "mine")
        with pytest.raises(projects.ProjectNotFound):
            setting.show_policy(session, eve, "default")
        with pytest.raises(projects.ProjectNotFound):
            setting.set_policy(session, eve, "default", reason="mine", on_unknown=Action.PASS)
        with pytest.raises(setting.PolicyNotYours):
            setting.set_policy(session, eve, "film", reason="mine", on_unknown=Action.PASS)
