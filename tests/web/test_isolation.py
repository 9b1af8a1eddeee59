"""Every page: a stranger, another tenant's person, another project's person, then the right one. And forged forms."""

from __future__ import annotations

import dataclasses
import datetime

import httpx
import pytest
from sqlalchemy import text

from memoryd.access import sessions
from memoryd.access.facts import Role
from memoryd.access.projects import ensure_project
from memoryd.catalog.proposals import list_proposals, propose
from memoryd.dispatch import doubts, pools
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import AssetId, DoubtId, JobId, ProjectId, TenantId, WorkerId
from memoryd.ingest import quarantine
from memoryd.reproduction import making
from memoryd.submission.facts import Submission
from memoryd.submission.grouping.asking import submit_group
from memoryd.submission.grouping.facts import GroupAsked
from memoryd.submission.grouping.items import Axis
from memoryd.submission.submitting import submit
from tests.dispatch.conftest import add_worker
from tests.web.conftest import Known, Studio
from tests.web.test_other_pages import GRAPH

PAGES = (
    "/",
    "/queue",
    "/queue/new",
    "/queue/dead",
    "/queue/jobs/{job}",
    "/queue/groups/{group}",
    "/queue/workers/{worker}",
    "/canaries",
    "/models",
    "/models/drift",
    "/usage",
    "/verify",
    "/identify",
    "/intake",
    "/decisions",
    "/removed",
    "/assets/{asset}",
    "/assets/{asset}/reproductions",
    "/reproductions/{attempt}",
    "/reproductions/{attempt}/made",
)
CHANGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/assets/{asset}/tags", {"tag": "t", "project": "secret"}),
    ("/assets/{asset}/tags/remove", {"tag": "t", "project": "secret"}),
    ("/assets/{asset}/rating", {"stars": "3", "project": "secret"}),
    ("/assets/{asset}/notes", {"text": "n", "project": "secret"}),
    ("/assets/{asset}/approval", {"state": "approved", "project": "secret"}),
    ("/assets/{asset}/attestations", {"made_by": "midjourney", "project": "secret"}),
    ("/assets/{asset}/parents", {"parent": "{lone}", "how": "retouched", "project": "secret"}),
    ("/assets/{asset}/removal", {"kind": "hidden", "project": "secret"}),
    ("/assets/{asset}/restoration", {"project": "secret"}),
    ("/decisions/{proposal}/refuse", {}),
    ("/assets/{asset}/reproductions", {}),
    ("/assets/{asset}/reproductions", {"pool": "default", "identical": "true", "untested": "true"}),
    ("/assets/{asset}/disclosures", {}),
    ("/assets/{asset}/report", {}),
    ("/assets/{asset}/bom", {}),
    ("/projects/secret/bom", {}),
    ("/assets/{asset}/variations", {"count": "1"}),
    ("/assets/{asset}/enlargements", {"to": "2x"}),
    ("/queue/jobs/{job}/first", {}),
    ("/queue/jobs/{job}/cancel", {}),
    ("/queue/jobs/{job}/retry", {}),
    ("/queue/jobs/{dead}/discard", {}),
    ("/queue/groups/{group}/pause", {}),
    ("/queue/groups/{group}/resume", {}),
    ("/queue/groups/{group}/cancel", {}),
    ("/queue/groups/{group}/retry-missing", {}),
    ("/intake/quarantine/{file}/retry", {}),
)
FARM_CHANGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/canaries/policies", {"project": "secret", "after_change": "true", "assets": "1"}),
    ("/canaries/policies/secret/off", {}),
    ("/canaries/doubts/{doubt}/decision", {"decision": "keep-out"}),
    ("/queue/pools/secret-pool/pause", {}),
    ("/queue/pools/secret-pool/resume", {}),
    ("/queue/workers/{worker}/drain", {}),
    ("/queue/workers/{worker}/undrain", {}),
    ("/queue/workers/{worker}/remove", {}),
)
"""What administrators do to pools and workers, which belong to no project."""

SUBMISSIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/queue/new", {"graph": GRAPH, "project": "secret"}),
    ("/queue/dead", {"do": "replay", "project": "secret"}),
    ("/canaries/policies/secret/run", {}),
)
READS = (
    "/queue/jobs/{job}",
    "/queue/groups/{group}",
    "/assets/{asset}",
    "/assets/{asset}/reproductions",
    "/reproductions/{attempt}",
    "/assets/{asset}/variations",
    "/assets/{asset}/enlargements",
    "/assets/{asset}/verification",
    "/assets/{asset}/report",
)


@pytest.fixture(scope="session")
def secrets(studio: Studio) -> dict[str, str]:
    """A picture, a job and a quarantined file of project `secret`."""
    folder = studio.folder.parent / "secret"
    folder.mkdir()
    whole = (studio.folder / "txt2img_lora.png").read_bytes()
    # Another content than the studio's: equal bytes would rightly be seen in both projects.
    (folder / "hidden-picture.png").write_bytes(whole + b"\0")
    (folder / "hidden-lone.png").write_bytes((studio.folder / "txt2img_basic.png").read_bytes() + b"\0")
    (folder / "hidden-broken.png").write_bytes(whole[:300])
    studio.take_in(folder, project="secret")
    caller = sessions.local_caller(studio.database, "default")
    with studio.database.tenant_work(studio.tenant) as session:
        project = ensure_project(session, "secret")
        wish = Submission(prompt=GRAPH, name="hidden-job", project_id=project, pool=DEFAULT_POOL)
        job: JobId = submit(session, wish, scope=studio.tenant, caller=caller, store=studio.store).job_id
        dead: JobId = submit(session, wish, scope=studio.tenant, caller=caller, store=studio.store).job_id
        [file] = quarantine.list_quarantine(session, sees=frozenset({project})).rows
    axis = Axis(input="1.color", values=(1, 2))
    template = dataclasses.replace(wish, name="hidden-group")
    group = submit_group(
        studio.database,
        GroupAsked(template=template, axes=(axis,)),
        scope=studio.tenant,
        caller=caller,
        store=studio.store,
    ).group_id
    with studio.database.farm_work() as session:
        give_up(session, dead)
        pools.add_pool(session, "secret-pool", tenant_id=studio.tenant.id)
        worker = add_worker(session, studio.tenant.id, "hidden-gpu", "secret-pool").worker_id
        doubt = raise_doubt(session, worker, studio.tenant.id, project)
    asset: AssetId = studio.asset(folder / "hidden-picture.png")
    lone: AssetId = studio.asset(folder / "hidden-lone.png")
    attempt = making.make_again(studio.database, studio.store, caller, asset, pool=DEFAULT_POOL)
    with studio.database.tenant_work(studio.tenant) as session:
        propose(session, asset, lone, "copied", {"distance": 1})
        [proposal] = [one.id for one in list_proposals(session, caller).rows if AssetId(one.child.id) == asset]
    return {
        "asset": str(asset),
        "lone": str(lone),
        "attempt": str(attempt),
        "job": str(job),
        "dead": str(dead),
        "group": str(group),
        "worker": str(worker),
        "doubt": str(doubt),
        "file": str(file.id),
        "proposal": str(proposal),
    }


def raise_doubt(session: Session, worker: WorkerId, tenant: TenantId, project: ProjectId) -> DoubtId:
    """Let a worker have drifted, as a project's canaries found."""
    now = datetime.datetime.now(datetime.UTC)
    found = doubts.Found(
        worker_id=worker,
        tenant_id=tenant,
        project_id=project,
        reason=doubts.Drift.PIXELS,
        last_good_at=now,
        bad_at=now,
        change=[{"name": "hidden-name", "then": "1", "now": "2", "bearing": "pixels", "weight": 1}],
        changed=True,
        keeps_out=False,
    )
    return doubts.raise_doubt(session, found)[0]


def give_up(session: Session, job_id: JobId) -> None:
    """Let a waiting job be one that was given up."""
    session.execute(text("delete from ready where job_id = :id"), {"id": job_id})
    session.execute(text("update job set state = 'dead' where id = :id"), {"id": job_id})
    session.execute(
        text(
            "insert into dead (job_id, tenant_id, reason) select id, tenant_id, 'hidden-reason' from job where id = :id"
        ),
        {"id": job_id},
    )


def filled(form: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
    return {name: secrets.get(value.strip("{}"), value) for name, value in form.items()}


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_is_asked_to_sign_in(page: str, stranger: httpx.Client, secrets: dict[str, str]) -> None:
    answer = stranger.get(page.format(**secrets))
    assert answer.status_code == 401
    assert "one-time link" in answer.text


@pytest.mark.parametrize(("path", "form"), [*CHANGES, *FARM_CHANGES, *SUBMISSIONS])
def test_a_stranger_changes_nothing(
    path: str, form: dict[str, str], stranger: httpx.Client, secrets: dict[str, str]
) -> None:
    assert stranger.post(path.format(**secrets), data=filled(form, secrets)).status_code == 401


@pytest.mark.parametrize("who", ["other tenant", "other project"])
def test_others_find_nothing(
    who: str,
    stranger: httpx.Client,
    secrets: dict[str, str],
    key_of: Known,
    tenant: TenantScope,
    other_tenant: TenantScope,
) -> None:
    headers = (
        key_of(other_tenant, Role.ADMIN, None) if who == "other tenant" else key_of(tenant, Role.PRODUCER, "elsewhere")
    )
    officer = headers if who == "other tenant" else key_of(tenant, Role.OFFICER, "elsewhere")
    for path in READS:
        answer = stranger.get(path.format(**secrets), headers=officer)
        assert answer.status_code == 404, path
        assert "hidden-" not in answer.text
    for path, form in CHANGES:
        deciding = officer if path.endswith(("disclosures", "report", "bom")) else headers
        answer = stranger.post(path.format(**secrets), data=filled(form, secrets), headers=deciding)
        assert answer.status_code in ((404,) if "quarantine" not in path else (403, 404)), path
    for path, form in SUBMISSIONS:
        answer = stranger.post(path, data=form, headers=headers)
        assert answer.status_code == 404, path
    for path in (
        "/",
        "/?q=is:all",
        "/queue",
        "/canaries",
        "/queue/dead",
        "/queue/new",
        "/intake",
        "/decisions",
        "/removed",
    ):
        answer = stranger.get(path, headers=headers)
        assert answer.status_code == 200
        # Whoever reads anything of the tenant sees its workers.
        shown = answer.text.replace("hidden-gpu", "") if who == "other project" else answer.text
        assert "hidden-" not in shown


def test_pools_and_workers_are_their_tenants_and_its_administrators(
    stranger: httpx.Client, secrets: dict[str, str], key_of: Known, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    rival, producer = key_of(other_tenant, Role.ADMIN, None), key_of(tenant, Role.PRODUCER, "elsewhere")
    admin = key_of(tenant, Role.ADMIN, None)
    place = f"/queue/workers/{secrets['worker']}"
    assert stranger.get(place, headers=rival).status_code == 404
    page = stranger.get(place, headers=producer)
    assert page.status_code == 200
    assert "hidden-gpu" in page.text
    assert "<form" not in page.text
    assert "secret-pool" not in stranger.get("/queue", headers=rival).text
    for path, form in FARM_CHANGES:
        assert stranger.post(path.format(**secrets), data=form, headers=rival).status_code == 404, path
        assert stranger.post(path.format(**secrets), data=form, headers=producer).status_code == 403, path
    for path, form in FARM_CHANGES:
        assert stranger.post(path.format(**secrets), data=form, headers=admin).status_code == 303, path
    assert stranger.get(place, headers=admin).status_code == 404, "it was removed"


def test_the_right_people_read_and_change(
    stranger: httpx.Client, secrets: dict[str, str], key_of: Known, tenant: TenantScope
) -> None:
    admin = key_of(tenant, Role.ADMIN, None)
    for path in READS:
        answer = stranger.get(path.format(**secrets), headers=admin, follow_redirects=True)
        assert answer.status_code == 200, path
    for path, form in CHANGES:
        answer = stranger.post(path.format(**secrets), data=filled(form, secrets), headers=admin)
        # Only who asked for a job moves it among their own.
        assert answer.status_code in ((409,) if path.endswith("/first") else (200, 303)), (path, answer.text)
    assert "hidden-picture.png" in stranger.get(f"/assets/{secrets['asset']}", headers=admin).text
    assert "hidden-job" in stranger.get("/queue", headers=admin).text
    assert "hidden-broken.png" in stranger.get("/intake", headers=admin).text


def test_a_viewer_is_offered_nothing_that_is_refused(
    stranger: httpx.Client, secrets: dict[str, str], key_of: Known, tenant: TenantScope
) -> None:
    viewer = key_of(tenant, Role.VIEWER, "secret")
    page = stranger.get(f"/assets/{secrets['asset']}", headers=viewer)
    assert page.status_code == 200
    assert "<form" not in page.text
    refused = stranger.post(f"/assets/{secrets['asset']}/rating", data=CHANGES[2][1], headers=viewer)
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("path", "form"),
    [*CHANGES, *FARM_CHANGES, *SUBMISSIONS, ("/sign-out", {}), ("/sign-in", {"token": "default.x"})],
)
def test_a_form_of_another_origin_is_refused(
    path: str, form: dict[str, str], http: httpx.Client, secrets: dict[str, str]
) -> None:
    forged = http.post(path.format(**secrets), data=filled(form, secrets), headers={"Origin": "https://evil.example"})
    assert forged.status_code == 403
    embedded = http.post(
        path.format(**secrets),
        data=filled(form, secrets),
        headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    )
    assert embedded.status_code == 403


@pytest.mark.parametrize("path", ["/verify", "/identify"])
def test_a_file_to_look_at_from_another_origin_is_refused(path: str, http: httpx.Client) -> None:
    answer = http.post(path, files={"file": ("a.txt", b"x")}, headers={"Origin": "null"})
    assert answer.status_code == 403


def test_a_file_tells_nothing_of_pictures_that_one_may_not_see(
    stranger: httpx.Client,
    secrets: dict[str, str],
    studio: Studio,
    key_of: Known,
    tenant: TenantScope,
    other_tenant: TenantScope,
) -> None:
    sent = {"file": ("x.png", (studio.folder.parent / "secret" / "hidden-picture.png").read_bytes())}
    assert stranger.post("/identify", files=sent).status_code == 401
    elsewhere = (key_of(other_tenant, Role.ADMIN, None), key_of(tenant, Role.PRODUCER, "elsewhere"))
    for headers in elsewhere:
        answer = stranger.post("/identify", files=sent, headers=headers)
        assert answer.status_code == 200
        assert "hidden-" not in answer.text
        assert secrets["asset"] not in answer.text
    own = stranger.post("/identify", files=sent, headers=key_of(tenant, Role.VIEWER, "secret"))
    assert secrets["asset"] in own.text
    assert "the original itself" in own.text
    assert 'action="/assets' not in own.text, "a viewer is not offered to make it again"


def test_a_name_that_leads_here_is_no_local_person(http: httpx.Client) -> None:
    assert http.get("/", headers={"Host": "rebound.example"}).status_code == 401
