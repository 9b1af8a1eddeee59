"""The table that ships: every row by its schema, and every clause of every row of the reference as it was read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memoryd.model_registry.licensing import shipped_table
from memoryd.model_registry.licensing.bases import find_base
from memoryd.model_registry.licensing.documents import (
    BadTerms,
    changed_document,
    check_document,
    clause_terms,
    read_terms,
)
from memoryd.model_registry.licensing.names import base_name, known_names, plain_name
from memoryd.model_registry.licensing.terms import Terms

IDS = sorted(shipped_table.documents())

ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    # model: (licence, confidence of the pair, what its terms say)
    "sd 1.5": ("creativeml-openrail-m", "H", {"outputs": "yes", "model": "yes", "use_restrictions": True}),
    "sd 2.1": ("creativeml-openrail-plus-plus-m", "H", {"outputs": "yes", "model": "yes", "use_restrictions": True}),
    "SDXL 1.0": ("creativeml-openrail-plus-plus-m", "H", {"outputs": "yes", "model": "yes", "use_restrictions": True}),
    "SD 3.5": (
        "stability-ai-community",
        "H",
        {
            "cap": (1_000_000, "USD", "paid-licence"),
            "registration": True,
            "attribution": ("Powered by Stability AI", "distribution"),
            "training_ban": True,
            "model": "conditional",
        },
    ),
    "SVD": ("stability-ai-community", "M", {"registration": True}),
    "SDXL Turbo": ("stability-ai-community", "M", {"registration": True}),
    "FLUX.1-schnell": ("apache-2.0", "H", {"outputs": "yes", "model": "yes"}),
    "Flux.1 D": ("flux-1-dev-non-commercial", "H", {"model": "no", "training_ban": True, "disputed": True}),
    "FLUX.1-Kontext-dev": ("flux-1-dev-non-commercial", "H", {"model": "no", "disputed": True}),
    "FLUX.2-dev": ("flux-2-non-commercial", "M", {"model": "no", "disputed": True, "disclosure": True}),
    "Flux.2 Klein 9B": ("flux-2-non-commercial", "M", {"disclosure": True}),
    "Flux.2 Klein 4B": ("apache-2.0", "M", {"model": "yes"}),
    "Qwen-Image-Edit": ("apache-2.0", "H", {"model": "yes"}),
    "Wan Video 2.2 I2V-A14B": ("apache-2.0", "H", {"model": "yes"}),
    "Hunyuan Video": (
        "tencent-hunyuan-video-community",
        "H",
        {
            "users_cap": 100_000_000,
            "excluded": ("EU", "GB", "KR"),
            "bound": True,
            "training_ban": True,
            "attribution": ("Powered by Tencent Hunyuan", "encouraged"),
            "aup": True,
        },
    ),
    "HunyuanImage-2.1": (
        "tencent-hunyuan-image-2.1-community",
        "H",
        {"users_cap": 100_000_000, "excluded": ("EU", "GB", "KR"), "bound": True},
    ),
    "Hunyuan3D-2": (
        "tencent-hunyuan-3d-2.0-community",
        "H",
        {"users_cap": 1_000_000, "excluded": ("EU", "GB", "KR"), "bound": True},
    ),
    "LTXV": ("ltxv-open-weights", "H", {"cap": (10_000_000, "USD", "paid-licence"), "use_restrictions": True}),
    "LTX-2.3": ("ltx-2-community", "M", {"cap": (10_000_000, "USD", "paid-licence")}),
    "HiDream-I1": ("mit", "M", {"outputs": "yes", "model": "yes"}),
    "llama_3.1_8b_instruct": (
        "llama-3.1-community",
        "M",
        {"users_cap": 700_000_000, "attribution": ("Built with Llama", "distribution")},
    ),
    "Z-Image-Turbo": ("apache-2.0", "M", {"model": "yes"}),
    "AuraFlow": ("apache-2.0", "M", {"model": "yes"}),
    "Chroma1-HD": ("apache-2.0", "M", {"model": "yes"}),
    "Mochi": ("apache-2.0", "M", {"model": "yes"}),
    "CogVideoX-2B": ("apache-2.0", "M", {"model": "yes"}),
    "CogVideoX-5B": ("cogvideox", "L", {"registration": True, "users_cap": 1_000_000}),
    "PixArt-Sigma": ("creativeml-openrail-plus-plus-m", "M", {"use_restrictions": True}),
    "Kolors": ("kolors", "L", {"outputs": "unclear", "registration": True}),
    "Illustrious": ("fair-ai-public-1.0-sd", "M", {"share_alike": True, "hosting": True}),
    "NoobAI": ("noobai-xl", "L", {"share_alike": True}),
    "Pony": ("pony-v6", "L", {"share_alike": True, "hosting": True, "model": "conditional"}),
    "Pony V7": ("pony-v7", "L", {"outputs": "unclear", "model": "unclear"}),
    "Playground v2": ("playground-v2.5-community", "L", {"outputs": "unclear", "model": "unclear"}),
    "Cosmos": ("nvidia-open-model", "L", {}),
    "Sana": ("nvidia-sana", "L", {"outputs": "unclear", "model": "unclear"}),
}


def terms(id_: str) -> Terms:
    return read_terms(shipped_table.documents()[id_])


def facts(one: Terms) -> dict[str, Any]:
    cap, owed = one.revenue_cap, one.attribution
    return {
        "outputs": one.outputs_commercial.value,
        "model": one.model_commercial.value,
        "cap": None if cap is None else (cap.amount, cap.currency, cap.above.value),
        "users_cap": one.users_cap,
        "registration": one.registration,
        "excluded": one.territory_excluded,
        "bound": one.outputs_bound_to_territory,
        "attribution": None if owed is None else (owed.text, owed.when.value),
        "training_ban": one.training_ban,
        "use_restrictions": one.use_restrictions,
        "share_alike": one.share_alike,
        "hosting": one.hosting_restricted,
        "disclosure": one.disclosure_duty is not None,
        "disputed": one.disputed is not None,
        "aup": one.use_restrictions,
    }


@pytest.mark.parametrize("id_", IDS)
def test_every_row_is_what_the_schema_says(id_: str) -> None:
    document = json.loads((shipped_table.FOLDER / f"{id_}.json").read_text(encoding="utf-8"))
    read = read_terms(check_document(document))
    assert read.id == id_
    assert read.url is not None
    assert read.verified_by
    assert read.clauses
    for term in read.clauses:
        shown = getattr(read, term)
        assert shown not in (None, False, ()) or (term, shown) == ("derivatives_allowed", False), term


@pytest.mark.parametrize("model", ROWS)
def test_every_row_of_the_reference_says_what_was_read(model: str) -> None:
    licence, confidence, said = ROWS[model]
    base = find_base(model)
    assert base is not None
    assert (base.licence, base.confidence) == (licence, confidence)
    shown = facts(terms(licence))
    assert {name: shown[name] for name in said} == said


@pytest.mark.parametrize("id_", IDS)
def test_every_alias_leads_to_its_licence_and_to_no_other(id_: str) -> None:
    document = shipped_table.documents()[id_]
    for name in (id_, document["title"], document["spdx"], document["url"], *document["aliases"]):
        for written in (name, f"  {name.upper()} ", name if name.startswith("http") else f"{name} License"):
            assert shipped_table.names().get(plain_name(written)) == id_, written


def test_names_that_files_really_state_are_known() -> None:
    stated = {
        "openrail++": "creativeml-openrail-plus-plus-m",
        "CreativeML Open RAIL++-M License": "creativeml-openrail-plus-plus-m",
        "creativeml-openrail-m": "creativeml-openrail-m",
        "apache-2.0": "apache-2.0",
        "Apache License, Version 2.0": "apache-2.0",
        "MIT License": "mit",
        "flux-1-dev-non-commercial-license": "flux-1-dev-non-commercial",
        "stabilityai-ai-community": "stability-ai-community",
        "tencent-hunyuan-community": "tencent-hunyuan-video-community",
        "LicenseRef-scancode-flux-1-nc": "flux-1-dev-non-commercial",
        "https://huggingface.co/black-forest-labs/FLUX.1-dev/resolve/main/LICENSE.md": "flux-1-dev-non-commercial",
        "faipl-1.0-sd": "fair-ai-public-1.0-sd",
        "openrail": "openrail",
    }
    assert {name: shipped_table.names().get(plain_name(name)) for name in stated} == stated
    for unknown in ("other", "unknown", "", "   ", "custom", "see readme", "none", "\0", "x" * 5_000):
        assert plain_name(unknown) not in shipped_table.names()


def test_no_two_licences_share_a_name() -> None:
    for one in shipped_table.documents().values():
        for other in shipped_table.documents().values():
            if one["id"] != other["id"]:
                assert not known_names([one]).keys() & known_names([other]).keys(), (one["id"], other["id"])


def test_no_two_models_share_a_base_name() -> None:
    named: dict[str, str] = {}
    for document in shipped_table.documents().values():
        for model in document.get("models", ()):
            for name in {base_name(name) for name in model.get("base_names", ())}:
                assert named.setdefault(name, model["title"]) == model["title"], name


def test_known_files_name_licences_that_are_known_and_say_where_their_hash_was_published() -> None:
    assert len(shipped_table.known_files()) >= 50
    for sha256, files in shipped_table.known_files().items():
        assert len(sha256) == 32
        for file in files:
            assert file.licence in shipped_table.documents()
            assert file.source.startswith("https://github.com/")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"id": "Not A Slug"},
        {"outputs_commercial": "maybe"},
        {"verified_at": "2026-02-31"},
        {"url": "javascript:alert(1)"},
        {"title": "a\0b"},
        {"title": "\ud800"},
        {"title": ""},
        {"text": {"sha256": "xyz", "source": "x"}},
        {"users_cap": 0},
        {"users_cap": True},
        {"revenue_cap": {"amount": 1.5, "currency": "USD", "above": "register"}},
        {"territory_excluded": ["Europe"]},
        {"clauses": {"made_up": {"section": "", "says": "x"}}},
        {"unheard_of": 1},
        {"notes": "x" * 5_000},
        {"aliases": ["x" * 400 for _ in range(3)]},
        {"verified_by": "x" * 501},
    ],
)
def test_what_the_schema_does_not_accept_is_refused_with_its_place(spoilt: dict[str, Any]) -> None:
    with pytest.raises(BadTerms) as refused:
        check_document({**shipped_table.documents()["mit"], **spoilt})
    assert refused.value.hint


@pytest.mark.parametrize("document", [None, [], "apache-2.0", 1, {}, {"schema": "licence.v2"}])
def test_what_is_no_licence_at_all_is_refused(document: Any) -> None:
    with pytest.raises(BadTerms):
        check_document(document)


def test_a_document_beyond_the_limit_and_one_nested_too_deep_are_refused() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    for document in ({"schema": "x" * 100_000}, {"schema": deep}):
        with pytest.raises(BadTerms):
            check_document(document)


def test_the_united_kingdom_is_great_britain() -> None:
    document = check_document({**shipped_table.documents()["mit"], "territory_excluded": ["UK", "GB", "FR"]})
    assert read_terms(document).territory_excluded == ("GB", "FR")


def test_a_changed_term_says_who_changed_it_and_what_names_the_licence_stays() -> None:
    document = changed_document(shipped_table.documents()["mit"], {"training_ban": True}, "our counsel says so")
    read = read_terms(document)
    assert read.training_ban
    assert (read.clauses["training_ban"].section, read.clauses["training_ban"].says) == (
        "override",
        "our counsel says so",
    )
    for name in ("id", "aliases", "models", "schema"):
        with pytest.raises(BadTerms):
            changed_document(shipped_table.documents()["mit"], {name: "x"}, "why")
    assert "training_ban" in clause_terms()
