"""Which assets a file may be: nothing near is missed, and nobody is told of what they may not see."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from memoryd.access.projects import ensure_project
from memoryd.foundation.database import Session, TenantScope, take_tenant
from memoryd.imaging.pixels import PixelDigest
from memoryd.recognition import keeping
from memoryd.recognition.facts import By, Shown
from memoryd.recognition.identifying import FAR, identify
from tests.recognition.test_candidates import CODE, OTHER, asset, flipped, taken


def shown(*, mirrored: bytes | None = None, pixels: bytes | None = None, telling: bool = True) -> Shown:
    digest = None
    if pixels is not None:
        digest = PixelDigest(recipe="v1", digest=pixels, width=1, height=1, mode="RGB", frames=1)
    turned = () if mirrored is None else (taken(mirrored, mirrored=True),)
    return Shown(sha256=b"\x01" * 32, pixels=digest, fingerprints=(taken(CODE, telling=telling), *turned))


@pytest.mark.parametrize("bits", [0, 1, 15, 16, 24, 31, 32, 64, FAR])
def test_nothing_within_the_bound_is_missed(session: Session, bits: int) -> None:
    known = [asset(session) for _ in range(20)]
    keeping.store(session, {one: [taken(flipped(CODE, bits, seed))] for seed, one in enumerate(known)})
    found = identify(session, shown())
    assert {one.asset_id for one in found} == set(known)
    assert {one.distance for one in found} == {bits}
    assert identify(session, shown(), within=bits - 1) == ()


def test_the_strongest_evidence_counts_and_comes_first(session: Session) -> None:
    near, twin, mirror = asset(session), asset(session, b"\x05" * 32), asset(session)
    keeping.store(
        session, {near: [taken(flipped(CODE, 2))], twin: [taken(flipped(CODE, 9))], mirror: [taken(flipped(OTHER, 3))]}
    )
    found = identify(session, shown(mirrored=OTHER, pixels=b"\x05" * 32))
    assert [(one.asset_id, one.by, one.distance, one.mirrored) for one in found] == [
        (twin, By.PIXELS, 0, False),
        (near, By.FINGERPRINT, 2, False),
        (mirror, By.FINGERPRINT, 3, True),
    ]
    assert not any(one.exact for one in found)


def test_equal_bytes_are_the_asset_itself(session: Session) -> None:
    known = asset(session, b"\x05" * 32)
    sha256 = session.execute(text("select sha256 from asset where id = :id"), {"id": known}).scalar_one()
    [found] = identify(session, Shown(sha256=sha256))
    assert (found.asset_id, found.by, found.exact) == (known, By.FILE, True)


def test_what_shows_too_little_is_found_by_pixels_alone(session: Session) -> None:
    flat = asset(session, b"\x05" * 32)
    keeping.store(session, {flat: [taken(CODE, telling=False)]})
    assert identify(session, shown()) == ()
    keeping.store(session, {flat: [taken(CODE)]})
    assert identify(session, shown(telling=False)) == ()
    assert [one.by for one in identify(session, shown(telling=False, pixels=b"\x05" * 32))] == [By.PIXELS]


def test_what_the_caller_may_not_see_is_no_candidate(
    session: Session, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    own, secret = ensure_project(session, "own"), ensure_project(session, "secret")
    hidden = asset(session, b"\x05" * 32)
    session.execute(
        text("insert into asset_project (project_id, asset_id, root_id, made_at) values (:p, :a, :a, now())"),
        {"p": secret, "a": hidden},
    )
    keeping.store(session, {hidden: [taken(CODE)]})
    sha256 = session.execute(text("select sha256 from asset where id = :id"), {"id": hidden}).scalar_one()
    for one in (shown(pixels=b"\x05" * 32), Shown(sha256=sha256)):
        assert identify(session, one, sees=frozenset({own})) == ()
        assert identify(session, one, sees=frozenset()) == ()
        assert len(identify(session, one, sees=frozenset({secret}))) == 1
        assert len(identify(session, one)) == 1
    take_tenant(session, other_tenant)
    assert identify(session, shown(pixels=b"\x05" * 32)) == ()
    take_tenant(session, tenant)
