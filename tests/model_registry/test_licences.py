"""Licences as somebody named them; unknown stays unknown (INV-7)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.model_registry.facts import LicenceSource, Observation
from memoryd.model_registry.licences import (
    BadLicence,
    LicenceNotStated,
    licence_of,
    list_licences,
    state_licence,
    withdraw_licence,
)
from memoryd.model_registry.recording import record_observations

See = Callable[..., Observation]
MODEL = hashlib.sha256(b"x").digest()


@pytest.fixture
def recorded(session: Session, see: See) -> Callable[[str | None], None]:
    def record(licence: str | None) -> None:
        seen = see("loras", "a.pt", b"x", licence=licence)
        record_observations(session, None, worker="w", root="/m", observations=[seen])

    return record


def test_nobody_named_one_so_it_is_unknown(session: Session, recorded: Callable[[str | None], None]) -> None:
    recorded(None)
    assert licence_of(session, [MODEL, b"?" * 32]) == {MODEL: None, b"?" * 32: None}
    assert licence_of(session, []) == {}


def test_what_the_file_states_is_shown_as_stated_by_the_file(
    session: Session, recorded: Callable[[str | None], None]
) -> None:
    recorded("CC-BY-4.0")
    recorded("CC-BY-4.0")
    [licence] = list_licences(session, MODEL)
    assert (licence.name, licence.source, licence.person_id, licence.also) == (
        "CC-BY-4.0",
        LicenceSource.FILE,
        None,
        (),
    )


def test_a_person_counts_before_the_file_and_the_contradiction_is_shown(
    session: Session, recorded: Callable[[str | None], None], caller: Caller
) -> None:
    recorded("MIT")
    state_licence(session, caller, MODEL, " FLUX.1  [dev] ", version="1.1", url="https://example.org/licence")
    state_licence(session, caller, MODEL, "FLUX.1 [dev]", version="1.1")
    licence = licence_of(session, [MODEL])[MODEL]
    assert licence is not None
    assert (licence.name, licence.version, licence.url) == ("FLUX.1 [dev]", "1.1", "https://example.org/licence")
    assert (licence.source, licence.also) == (LicenceSource.PERSON, ("MIT",))
    assert len(list_licences(session, MODEL)) == 2


def test_a_person_may_withdraw_what_people_named_and_not_what_the_file_states(
    session: Session, recorded: Callable[[str | None], None], caller: Caller
) -> None:
    recorded("MIT")
    state_licence(session, caller, MODEL, "Apache-2.0")
    person, file = list_licences(session, MODEL)
    withdraw_licence(session, caller, MODEL, person.grant_id)
    for grant in (person, file):
        with pytest.raises(LicenceNotStated):
            withdraw_licence(session, caller, MODEL, grant.grant_id)
    assert [licence.name for licence in list_licences(session, MODEL)] == ["MIT"]
    state_licence(session, caller, MODEL, "Apache-2.0")
    assert len(list_licences(session, MODEL)) == 2


@pytest.mark.parametrize(
    ("name", "url"), [("", None), (" \n", None), ("x" * 501, None), ("MIT", "javascript:alert(1)"), ("MIT", "x" * 3000)]
)
def test_nonsense_is_refused(
    session: Session, recorded: Callable[[str | None], None], caller: Caller, name: str, url: str | None
) -> None:
    recorded(None)
    with pytest.raises(BadLicence):
        state_licence(session, caller, MODEL, name, url=url)
