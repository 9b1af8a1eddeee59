"""Who grants a licence to a model; what is inherited only restricts, and unknown stays unknown (INV-7)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from memoryd.access.facts import Caller
from memoryd.dispatch import chores
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.reasons import ReasonMissing
from memoryd.model_registry import licence_changes, origins
from memoryd.model_registry.facts import Observation, Via
from memoryd.model_registry.licences import list_licences, state_licence, withdraw_licence
from memoryd.model_registry.licensing import granting, shipped_table
from memoryd.model_registry.licensing.effective import TermsTable
from memoryd.model_registry.licensing.overriding import override
from memoryd.model_registry.licensing.terms import Confidence, Grant, GrantSource, licence_key, unknown_key
from memoryd.model_registry.recording import record_observations
from memoryd.weights.kinds import ModelKind
from memoryd.weights.sidecars import Permissions, Sidecar, SidecarSource

See = Callable[..., Observation]
Record = Callable[..., bytes]


@pytest.fixture
def record(session: Session, see: See) -> Record:
    """Record one file with what it and its neighbours say; return its hash."""

    def make(content: bytes, **facts: Any) -> bytes:
        seen = see("loras", f"{content.hex()}.safetensors", content, licence=facts.pop("licence", None))
        seen = dataclasses.replace(seen, facts=dataclasses.replace(seen.facts, **facts))
        record_observations(session, None, worker="w", root="/m", observations=[seen])
        return hashlib.sha256(content).digest()

    return make


def grants(session: Session, sha256: bytes) -> tuple[Grant, ...]:
    return granting.grants_of(session, [sha256])[sha256]


def shown(session: Session, sha256: bytes) -> list[tuple[str, str, bool]]:
    return [
        (grant.source.value, grant.terms.id if grant.terms else f"? {grant.name}", grant.inherited)
        for grant in grants(session, sha256)
    ]


def asked(session: Session, tenant: TenantScope) -> list[tuple[str, tuple[Any, ...]]]:
    """Take every chore that was written; as (recipe, subjects)."""
    take_farm(session)
    found = []
    while (chore := chores.claim(session, [licence_changes.CHORE_KIND])) is not None:
        found.append((chore.recipe, chore.subjects))
        chores.finish(session, chore)
    take_tenant(session, tenant)
    return found


def test_nobody_granted_anything_so_there_is_nothing(session: Session, record: Record) -> None:
    assert grants(session, b"?" * 32) == ()
    assert grants(session, record(b"a")) == ()
    assert granting.grants_of(session, []) == {}


def test_a_header_grants_what_it_states_and_an_unknown_name_stays_unknown(session: Session, record: Record) -> None:
    [known] = grants(session, record(b"a", licence="creativeml-openrail-m"))
    assert known.terms is not None
    assert (known.source, known.terms.id, known.inherited) == (GrantSource.HEADER, "creativeml-openrail-m", False)
    assert known.licence_id == licence_key("creativeml-openrail-m")
    assert known.text_sha256 == known.terms.text_sha256
    [unknown] = grants(session, record(b"b", licence="see my page; <script>alert(1)</script>"))
    assert (unknown.terms, unknown.licence_id) == (None, unknown_key(unknown.name))
    [other] = grants(session, record(b"c", licence="other"))
    assert other.terms is None


def test_a_sidecar_grants_its_licence_and_a_pages_permissions(session: Session, record: Record) -> None:
    card = Sidecar(source=SidecarSource.HUGGINGFACE, licence="apache-2.0")
    assert shown(session, record(b"a", sidecars=card)) == [("sidecar", "apache-2.0", False)]
    page = Sidecar(
        source=SidecarSource.CIVITAI,
        base_model="SDXL 1.0",
        permissions=Permissions(allow_no_credit=False, allow_commercial_use=("Image",), allow_derivatives=True),
    )
    assert shown(session, record(b"b", sidecars=page)) == [
        ("sidecar", "civitai-credit-i-merge-asklicence", False),
        ("known-base", "creativeml-openrail-plus-plus-m", True),
    ]
    assert shown(session, record(b"c", sidecars=Sidecar(permissions=Permissions()))) == []
    other = Sidecar(
        licence="other", licence_url="https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md"
    )
    assert shown(session, record(b"d", sidecars=other)) == [("sidecar", "flux-1-dev-non-commercial", False)]


def test_a_published_hash_grants_what_was_published_and_says_where(session: Session) -> None:
    schnell = bytes.fromhex("9403429e0052277ac2a87ad800adece5481eecefd9ed334e1f348723621d2a0a")
    [grant] = grants(session, schnell)
    assert grant.terms is not None
    assert (grant.source, grant.terms.id) == (GrantSource.KNOWN_FILE, "apache-2.0")
    assert grant.reason is not None
    assert grant.reason.startswith("https://github.com/black-forest-labs/flux/blob/")
    assert grants(session, bytes([schnell[0] ^ 1]) + schnell[1:]) == ()


@pytest.mark.parametrize("sha256", sorted(shipped_table.known_files()))
def test_every_known_file_is_as_sure_as_its_entry_at_most(session: Session, sha256: bytes) -> None:
    order = list(Confidence)
    for grant, file in zip(grants(session, sha256), shipped_table.known_files()[sha256], strict=True):
        assert grant.terms is not None
        assert order.index(grant.terms.confidence) >= order.index(file.confidence)


def test_a_base_restricts_and_grants_nothing_of_its_own(session: Session, record: Record) -> None:
    assert shown(session, record(b"a", base="wan")) == [("known-base", "apache-2.0", True)]
    named = record(b"b", base="sdxl", base_name="Pony")
    assert shown(session, named) == [("known-base", "pony-v6", True)]
    by_file = record(b"c", base_name="sd_xl_base_1.0.safetensors")
    assert shown(session, by_file) == [("known-base", "creativeml-openrail-plus-plus-m", True)]
    assert shown(session, record(b"d", base_name="somebody's merge v3")) == []
    assert shown(session, record(b"e", base="sdxl", kind=ModelKind.VAE)) == []


def test_a_family_that_may_be_either_says_so_until_the_file_says_which(session: Session, record: Record) -> None:
    either = grants(session, record(b"a", base="flux"))
    assert {grant.terms.id for grant in either if grant.terms} == {"apache-2.0", "flux-1-dev-non-commercial"}
    assert all(
        grant.terms and grant.terms.disputed and "nothing says which" in grant.terms.disputed for grant in either
    )
    assert shown(session, record(b"b", base="flux", licence="apache-2.0")) == [("header", "apache-2.0", False)]


def test_what_is_derived_inherits_what_its_parent_has_and_a_gap_stays_one(
    session: Session, record: Record, caller: Caller
) -> None:
    parent, child = record(b"p", licence="flux-1-dev-non-commercial-license"), record(b"c", licence="mit")
    gap, lost = record(b"g"), record(b"l", licence="mit")
    origins.derive(session, caller, child, parent, Via.MERGE)
    origins.derive(session, caller, lost, gap, Via.FINETUNE)
    assert shown(session, child) == [
        ("header", "mit", False),
        ("derived", "flux-1-dev-non-commercial", True),
    ]
    [own, inherited] = grants(session, lost)
    assert own.terms is not None
    assert (inherited.terms, inherited.inherited, inherited.source) == (None, True, GrantSource.DERIVED)
    assert gap.hex()[:12] in inherited.name


def test_a_person_with_a_reason_replaces_the_file_and_never_what_is_inherited(
    session: Session, record: Record, caller: Caller
) -> None:
    sha256 = record(b"a", licence="mit", base="hunyuan-video", sidecars=Sidecar(licence="openrail"))
    state_licence(session, caller, sha256, "apache-2.0")
    assert [source for source, *_ in shown(session, sha256)] == ["person", "header", "sidecar", "known-base"]
    state_licence(session, caller, sha256, "apache-2.0", reason="asked the author")
    assert shown(session, sha256) == [
        ("person", "apache-2.0", False),
        ("known-base", "tencent-hunyuan-video-community", True),
    ]
    assert grants(session, sha256)[0].reason == "asked the author"
    stated = next(one for one in list_licences(session, sha256) if one.source == "person")
    withdraw_licence(session, caller, sha256, stated.grant_id)
    assert [source for source, *_ in shown(session, sha256)] == ["header", "sidecar", "known-base"]


def test_hostile_reasons_are_refused_or_made_storable(session: Session, record: Record, caller: Caller) -> None:
    sha256 = record(b"a")
    with pytest.raises(ReasonMissing):
        state_licence(session, caller, sha256, "mit", reason="x" * 2_001)
    state_licence(session, caller, sha256, "mit", reason="a\0b\ud800 <b>")
    [grant] = grants(session, sha256)
    assert grant.reason == "a\ufffdb\ufffd <b>"


def test_an_override_counts_for_every_grant_of_the_licence(session: Session, record: Record, caller: Caller) -> None:
    sha256 = record(b"a", licence="mit")
    override(session, caller, "mit", {"training_ban": True}, "our counsel")
    [grant] = grants(session, sha256)
    assert grant.terms is not None
    assert grant.terms.training_ban
    assert grant.terms.version.endswith("+local.1")
    assert grant.terms.clauses["training_ban"].says == "our counsel"


def test_every_change_of_a_grant_is_told_with_all_that_was_made_from_the_model(
    session: Session, tenant: TenantScope, record: Record, caller: Caller
) -> None:
    parent, child = record(b"p"), record(b"c")
    origins.derive(session, caller, child, parent, Via.MERGE)
    asked(session, tenant)
    state_licence(session, caller, parent, "mit", reason="x")
    [(recipe, keys)] = asked(session, tenant)
    assert recipe == licence_changes.MODELS_RECIPE
    assert set(licence_changes.models_of(session, keys)) == {parent, child}
    state_licence(session, caller, parent, "mit", reason="x")
    assert asked(session, tenant) == []
    [stated] = list_licences(session, parent)
    withdraw_licence(session, caller, parent, stated.grant_id)
    assert len(asked(session, tenant)) == 1
    record(b"p", licence="mit")
    record(b"p", licence="mit")
    assert len(asked(session, tenant)) == 1


def test_what_is_learned_of_a_model_later_is_told_once(session: Session, tenant: TenantScope, record: Record) -> None:
    record(b"a")
    assert asked(session, tenant) == []
    record(b"a", sidecars=Sidecar(licence="mit"))
    assert len(asked(session, tenant)) == 1
    record(b"a", sidecars=Sidecar(licence="mit"))
    assert asked(session, tenant) == []
    record(b"b", base="sdxl")
    assert len(asked(session, tenant)) == 1


HOSTILE = (
    "not MIT",
    "MIT-style",
    "non-MIT",
    "MIT?",
    "~MIT",
    "\u2260MIT",
    "\u00acMIT",
    "MIT*",
    "MIT (not for commercial use)",
    "MI\u0422",  # a Cyrillic letter
    "MIT\u0336",  # struck through
    "\u202etim",  # shown backwards
    "MIT\u200b",
    "\uff2d\uff29\uff34",
    "MIT" + "." * 600 + " for research only",
    "MIT" + " " * 3_000 + "for research only",
    "mit or cc-by-nc-4.0",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_only_looks_like_a_licence_is_no_licence(session: Session, record: Record, name: str) -> None:
    [header] = grants(session, record(b"a", licence=name))
    assert header.terms is None
    assert TermsTable(session).match(name) is None


def test_a_name_and_an_address_that_mean_two_licences_are_neither(session: Session, record: Record) -> None:
    flux = "https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md"
    [grant] = grants(session, record(b"a", sidecars=Sidecar(licence="apache-2.0", licence_url=flux)))
    assert grant.terms is None


def test_how_an_adapter_is_licensed_does_not_say_which_model_it_was_made_from(session: Session, record: Record) -> None:
    found = grants(session, record(b"a", kind=ModelKind.LORA, base="flux", licence="apache-2.0"))
    assert [(one.source, one.inherited) for one in found] == [
        (GrantSource.HEADER, False),
        (GrantSource.KNOWN_BASE, True),
    ]
    assert found[1].terms is not None
    assert (found[1].terms.id, bool(found[1].terms.disputed)) == ("flux-1-dev-non-commercial", True)


def test_a_base_of_another_family_than_the_weights_hides_no_restriction(session: Session, record: Record) -> None:
    found = shown(session, record(b"a", kind=ModelKind.LORA, base="flux", base_name="Z-Image", licence="mit"))
    assert ("known-base", "flux-1-dev-non-commercial", True) in found
    assert shown(
        session, record(b"b", kind=ModelKind.LORA, base="flux", base_name="FLUX.1 schnell", licence="mit")
    ) == [
        ("header", "mit", False),
        ("known-base", "apache-2.0", True),
    ]
