"""The page of canaries and what a worker's page says of doubts: to whom it says what."""

from __future__ import annotations

from memoryd.access.facts import Role
from tests.reproduction.canaries.cage import MINIMAL, NEW, SOLID, Cage, cage
from tests.reproduction.studio import studio

__all__ = ["cage", "studio"]

HTML = {"Accept": "text/html"}


def drifted(cage: Cage) -> str:
    """Let a shared worker drift; return its id."""
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    worker = cage.worker("gpu-shared", serves=(cage.scope, cage.studio.other_tenant))
    cage.keep(keep_out=True)
    cage.round("identical file")
    cage.starts(worker, NEW)
    cage.round("different", made=other)
    return str(worker)


def test_the_pages_say_since_when_and_after_which_change(cage: Cage) -> None:
    worker = drifted(cage)
    admin = cage.studio.key(Role.ADMIN)
    with cage.studio.speaking() as client:
        for path in ("/canaries", f"/queue/workers/{worker}"):
            shown = client.get(path, headers={**admin, **HTML})
            assert shown.status_code == 200
            for words in ("No longer makes the pixels it made", "Last good", "first bad", "torch", "2.8.0", "2.9.0"):
                assert words in shown.text, (path, words)
            assert f"/canaries/doubts/{cage.in_doubt()[0].id}/decision" in shown.text


def test_a_form_decides(cage: Cage) -> None:
    drifted(cage)
    doubt = cage.in_doubt()[0].id
    admin = cage.studio.key(Role.ADMIN)
    with cage.studio.speaking() as client:
        asked = {"decision": "clear", "note": "the driver is back"}
        answer = client.post(f"/canaries/doubts/{doubt}/decision", data=asked, headers=admin, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/canaries")
        assert "No worker is in doubt." in client.get("/canaries", headers={**admin, **HTML}).text
    assert cage.in_doubt() == []


def test_forms_set_run_and_drop(cage: Cage) -> None:
    cage.approved(SOLID)
    cage.worker()
    admin = cage.studio.key(Role.ADMIN)
    part = {**admin, "HX-Request": "true"}
    with cage.studio.speaking() as client:
        asked = {"project": "default", "every_s": "86400", "after_change": "true", "assets": "2"}
        assert client.post("/canaries/policies", data=asked, headers=part).status_code == 204
        shown = client.get("/canaries", headers={**admin, **HTML}).text
        assert "every 24 h 0 min, and after each change" in shown
        assert client.post("/canaries/policies/default/run", headers=part).status_code == 204
        assert len(cage.runs()) == 1
        assert client.post("/canaries/policies/default/off", headers=part).status_code == 204
        assert "No project keeps canaries." in client.get("/canaries", headers={**admin, **HTML}).text


def test_another_tenants_pages_name_the_worker_alone(cage: Cage) -> None:
    worker = drifted(cage)
    foreign = cage.studio.key(Role.ADMIN, tenant=cage.studio.other_tenant)
    doubt = cage.in_doubt()[0]
    told = {str(run.asset_id) for run in cage.runs()} | {str(doubt.id), str(doubt.project_id)}
    with cage.studio.speaking() as client:
        assert client.get("/canaries").status_code in (401, 303)
        for path in ("/canaries", f"/queue/workers/{worker}"):
            shown = client.get(path, headers={**foreign, **HTML})
            assert "somebody else's canaries found" in shown.text
            assert not [word for word in told if word in shown.text]
        asked = {"decision": "clear"}
        answer = client.post(f"/canaries/doubts/{doubt.id}/decision", data=asked, headers=foreign)
        assert answer.status_code == 404
    assert cage.in_doubt()


def test_only_administrators_are_offered_a_decision(cage: Cage) -> None:
    drifted(cage)
    viewer = cage.studio.key(Role.VIEWER, project="default")
    with cage.studio.speaking() as client:
        shown = client.get("/canaries", headers={**viewer, **HTML}).text
        assert "No longer makes the pixels it made" in shown
        assert '/decision"' not in shown
        asked = {"decision": "clear"}
        path = f"/canaries/doubts/{cage.in_doubt()[0].id}/decision"
        assert client.post(path, data=asked, headers=viewer).status_code == 403
