from __future__ import annotations

import dataclasses
import datetime
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.reports.bom.checking import problems_of
from memoryd.reports.bom.composing import compose
from memoryd.reports.bom.facts import (
    BomContent,
    BomFile,
    BomLicence,
    BomModel,
    BomProgram,
    BomSubject,
    BomVersion,
)

MOMENT = datetime.datetime(2026, 11, 21, 10, 0, tzinfo=datetime.UTC)
HOSTILE = '<script>alert(1)</script>&"\u72d0\n/../x.safetensors'
LICENCE = BomLicence(
    name="CreativeML Open RAIL++-M",
    spdx="LicenseRef-scancode-openrail",
    url="https://huggingface.co/x y/LICENSE.md",
    declared=True,
    inherited=False,
    text_sha256=b"\x09" * 32,
)
KNOWN = BomModel(
    role="checkpoints",
    name="sdxl.safetensors",
    sha256=b"\x01" * 32,
    identified="pin",
    size=6_938_078_334,
    kind="checkpoint",
    base="sdxl",
    format="safetensors",
    aliases={"blake3": "ab" * 32, "autov2": "0101010101"},
    licences=(LICENCE, dataclasses.replace(LICENCE, name="MIT", spdx="MIT", declared=False)),
    parents=(b"\x02" * 32, "sd_xl_refiner"),
    card={"title": HOSTILE},
)
UNKNOWN = BomModel(role="loras", name=HOSTILE, sha256=None, identified=None)
FILE = BomFile(
    name="fox.png",
    sha256=b"\x03" * 32,
    media_type="image/png",
    asset_id="1",
    models=(KNOWN.ref, UNKNOWN.ref),
    inputs=("file-name:pose.png",),
    programs=("program:ComfyUI@0.29.0",),
)
CONTENT = BomContent(
    subject=BomSubject.ASSET,
    root=FILE.ref,
    name="fox.png",
    made_at=MOMENT,
    models=(KNOWN, UNKNOWN),
    files=(FILE, BomFile(name="pose.png", sha256=None, making_known=False)),
    programs=(BomProgram(name="ComfyUI", version="0.29.0", kind="application", url="git@github.com:x/y"),),
    unknowns=("which file loras/x was is not known",),
)


@pytest.mark.parametrize("version", list(BomVersion))
def test_it_validates_and_says_what_is_known_and_what_is_not(version: BomVersion) -> None:
    made = compose(CONTENT, version)
    assert problems_of(made.content, version) == []
    document = json.loads(made.content)
    assert document["specVersion"] == version.value
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "03" * 32}]
    components = {each["bom-ref"]: each for each in document["components"]}
    known, unknown = components[KNOWN.ref], components[UNKNOWN.ref]
    assert known["type"] == unknown["type"] == "machine-learning-model"
    assert {each["alg"] for each in known["hashes"]} == {"SHA-256", "BLAKE3"}
    licences = [each["license"] for each in known["licenses"]]
    assert {each.get("id") or each["name"] for each in licences} == {"MIT", "LicenseRef-scancode-openrail"}
    assert {each["acknowledgement"] for each in licences} == {"declared", "concluded"}
    assert known["modelCard"]["modelParameters"]["architectureFamily"] == "sdxl"
    assert known["pedigree"]["ancestors"][0]["hashes"][0]["content"] == "02" * 32
    assert "licenses" not in unknown
    assert {"name": "memoryd:licence", "value": "unknown"} in unknown["properties"]
    (needs,) = (each["dependsOn"] for each in document["dependencies"] if each["ref"] == FILE.ref)
    assert set(needs) == {KNOWN.ref, UNKNOWN.ref, "file-name:pose.png", "program:ComfyUI@0.29.0"}
    incomplete = next(each for each in document["compositions"] if each["aggregate"] == "incomplete")
    assert {FILE.ref, UNKNOWN.ref, "file-name:pose.png"} <= set(incomplete["assemblies"])
    assert not any(each["aggregate"] == "complete" for each in document["compositions"])


def test_complete_is_said_only_where_a_worker_proved_every_weight() -> None:
    proven = dataclasses.replace(
        CONTENT, models=(KNOWN,), files=(dataclasses.replace(FILE, models=(KNOWN.ref,), inputs=()),), unknowns=()
    )
    by_name = dataclasses.replace(proven, models=(dataclasses.replace(KNOWN, identified="name-now"),))

    def told(content: BomContent) -> set[str]:
        return {each["aggregate"] for each in json.loads(compose(content).content)["compositions"]}

    assert "complete" in told(proven)
    assert "complete" not in told(by_name)


def test_an_inherited_licence_is_told_apart_and_grants_nothing() -> None:
    inherited = dataclasses.replace(KNOWN, licences=(dataclasses.replace(LICENCE, inherited=True),))
    made = json.loads(compose(dataclasses.replace(CONTENT, models=(inherited,))).content)
    (model,) = (each for each in made["components"] if each["bom-ref"] == KNOWN.ref)
    assert "licenses" not in model
    told = {each["name"]: each["value"] for each in model["properties"]}
    assert told["memoryd:licence"] == "unknown"
    assert told["memoryd:licence:inherited"] == "LicenseRef-scancode-openrail"


def test_a_recall_is_told_on_the_card() -> None:
    made = json.loads(
        compose(dataclasses.replace(CONTENT, models=(dataclasses.replace(KNOWN, recalled="bad"),))).content
    )
    (model,) = (each for each in made["components"] if each["bom-ref"] == KNOWN.ref)
    assert model["modelCard"]["considerations"]["technicalLimitations"] == ["recalled: bad"]


@settings(max_examples=40, deadline=None)
@given(name=st.text(max_size=60), role=st.text(max_size=20), text=st.text(max_size=60), url=st.text(max_size=40))
def test_no_name_no_text_and_no_address_makes_an_invalid_bill(name: str, role: str, text: str, url: str) -> None:
    model = dataclasses.replace(
        KNOWN,
        name=name,
        role=role,
        url=f"https://{url}",
        version=text,
        parents=(text,),
        card={"title": text},
        licences=(dataclasses.replace(LICENCE, name=text or "x", spdx=None, url=url),),
    )
    hostile = dataclasses.replace(
        CONTENT, name=name, models=(model, dataclasses.replace(UNKNOWN, name=name)), files=(FILE,)
    )
    assert compose(hostile).models == 2
