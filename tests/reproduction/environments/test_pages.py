"""The pages of environments: what they show, to whom, and that nothing in a document is markup."""

from __future__ import annotations

import pytest

from memoryd.access.facts import Role
from memoryd.catalog.environments import keep_environment
from memoryd.foundation.canonical_json import Json
from tests.reproduction.studio import Studio, studio

__all__ = ["studio"]

HOSTILE = "<script>alert(1)</script>"
THEN: dict[str, Json] = {
    "comfyui": HOSTILE,
    "torch": "2.13.0+cpu",
    "devices": [{"name": HOSTILE, "type": "cpu"}],
    "packages": {HOSTILE: HOSTILE, "numpy": "2.3"},
    "variables": {"OMP_NUM_THREADS": HOSTILE},
    "node_packs": [{"name": HOSTILE, "remote": HOSTILE, "commit": "a" * 40, "changed": True, "tree": "b" * 64}],
}
NOW: dict[str, Json] = {**THEN, "torch": "2.12.0+cpu", "odd": [None, {"x": HOSTILE}]}


@pytest.fixture
def known(studio: Studio) -> tuple[str, str]:
    """Two environments of the studio."""
    with studio.offices.database.tenant_work(studio.tenant) as session:
        return keep_environment(session, THEN).hex(), keep_environment(session, NOW).hex()


def test_the_pages_show_what_is_known_and_what_is_not(studio: Studio, known: tuple[str, str]) -> None:
    then, now = known
    with studio.speaking() as client:
        own = studio.key(Role.VIEWER)
        listed = client.get("/environments", headers=own)
        one = client.get(f"/environments/{then[:12]}", headers=own)
        two = client.get(f"/environments/{then}/diff/{now}", headers=own)
        form = client.get("/environments/compare", params={"then": then, "now": now[:9]}, headers=own)
        same = client.get(f"/environments/{then}/diff/{then}", headers=own)
    for answer in (listed, one, two, form, same):
        assert answer.status_code == 200, answer.text
        assert HOSTILE not in answer.text
        assert "&lt;script&gt;" in answer.text or answer in (two, form, same)
    assert all(sha256[:12] in listed.text for sha256 in known)
    assert "the SIMD level of torch" in one.text
    assert "changed after it" in one.text
    assert two.text.index("2.12.0+cpu") < two.text.index("odd")
    assert "other pixels" in form.text
    assert "Nothing." in same.text


@pytest.mark.parametrize("path", ["/environments", "/environments/{then}", "/environments/{then}/diff/{now}"])
def test_a_stranger_and_another_tenant_see_none_of_it(studio: Studio, known: tuple[str, str], path: str) -> None:
    address = path.format(then=known[0], now=known[1])
    with studio.speaking() as client:
        stranger = client.get(address, follow_redirects=False)
        other = client.get(address, headers=studio.key(Role.VIEWER, tenant=studio.other_tenant))
    assert stranger.status_code in (303, 401)
    assert other.status_code == (200 if path == "/environments" else 404)
    assert known[0][:12] not in other.text.replace(address, "") or other.status_code == 404
