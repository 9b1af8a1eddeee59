"""Civitai's flags: every way of writing them, and what each says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.model_registry.licensing.civitai import (
    USES,
    permissions_id,
    permissions_of,
    read_permissions,
    read_uses,
    terms_of_permissions,
)
from memoryd.model_registry.licensing.terms import Answer, AttributionWhen
from memoryd.weights.sidecars import Permissions

FLAG = st.sampled_from([None, True, False])
PERMISSIONS = st.builds(
    Permissions,
    allow_no_credit=FLAG,
    allow_commercial_use=st.none()
    | st.sets(st.sampled_from(USES)).map(lambda uses: tuple(u for u in USES if u in uses)),
    allow_derivatives=FLAG,
    allow_different_license=FLAG,
)


@pytest.mark.parametrize(
    ("written", "uses"),
    [
        (["Image", "RentCivit"], ("Image", "RentCivit")),
        (["Sell"], ("Sell",)),
        ([], ()),
        (["None"], ()),
        ("None", ()),
        ("Image", ("Image",)),
        ("Rent", ("Image", "RentCivit", "Rent")),
        ("Sell", USES),
        ("sell", USES),
        ("{Image,RentCivit}", ("Image", "RentCivit")),
        ("{}", ()),
        (0, ()),
        (1, ("Image",)),
        (15, USES),
        (False, ()),
        (None, None),
        (True, None),
        ("", None),
        ("Anything", None),
        (["Image", "Lease"], None),
        (16, None),
        (-1, None),
        (1.5, None),
        ({"Image": True}, None),
        (["\0"], None),
    ],
)
def test_commercial_uses_are_read_however_a_page_writes_them(written: Any, uses: tuple[str, ...] | None) -> None:
    assert read_uses(written) == uses


def test_flags_are_read_under_the_pages_names_and_our_own() -> None:
    page = {
        "allowNoCredit": False,
        "allowCommercialUse": ["Image"],
        "allowDerivatives": True,
        "allowDifferentLicense": "no",
    }
    assert read_permissions(page) == Permissions(
        allow_no_credit=False, allow_commercial_use=("Image",), allow_derivatives=True
    )
    assert read_permissions({"allow_no_credit": True}) == Permissions(allow_no_credit=True)
    assert read_permissions({}) == Permissions()


@given(PERMISSIONS)
@settings(max_examples=100, deadline=None)
def test_an_id_spells_its_permissions(permissions: Permissions) -> None:
    assert permissions_of(permissions_id(permissions)) == permissions
    assert terms_of_permissions(permissions).id == permissions_id(permissions)


def test_what_is_no_such_id_is_none() -> None:
    for id_ in ("civitai", "apache-2.0", "civitai-credit-ix-merge-same", "civitai-credit-ii-merge-same2", ""):
        assert permissions_of(id_) is None


@pytest.mark.parametrize(
    ("permissions", "said"),
    [
        (Permissions(), {"outputs_commercial": Answer.UNCLEAR, "model_commercial": Answer.UNCLEAR}),
        (Permissions(allow_commercial_use=("Image",)), {"outputs_commercial": Answer.YES, "hosting_restricted": True}),
        (Permissions(allow_commercial_use=()), {"outputs_commercial": Answer.NO, "model_commercial": Answer.NO}),
        (Permissions(allow_commercial_use=("Sell",)), {"outputs_commercial": Answer.NO}),
        (Permissions(allow_commercial_use=USES), {"outputs_commercial": Answer.YES, "hosting_restricted": False}),
        (Permissions(allow_no_credit=True), {"attribution": None}),
        (Permissions(allow_derivatives=False), {"derivatives_allowed": False}),
        (Permissions(allow_derivatives=True), {"derivatives_allowed": True}),
        (Permissions(allow_different_license=False), {"share_alike": True}),
        (Permissions(allow_different_license=True), {"share_alike": False}),
    ],
)
def test_each_flag_becomes_its_term(permissions: Permissions, said: dict[str, Any]) -> None:
    terms = terms_of_permissions(permissions)
    assert {name: getattr(terms, name) for name in said} == said


def test_credit_is_owed_on_what_was_made_and_asked_about_where_the_page_does_not_say() -> None:
    for flag in (False, None):
        owed = terms_of_permissions(Permissions(allow_no_credit=flag)).attribution
        assert owed is not None
        assert owed.when is AttributionWhen.OUTPUTS
