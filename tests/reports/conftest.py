"""What the tests of reports share: one asset of a real studio, with a hostile name, and a signer."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from memoryd.catalog.asset_view import AssetView, Face, GenerationView, InputView, LineMember, ModelView, SamplerView
from memoryd.catalog.facts import AssetKind, GenerationOrigin, MadeSource
from memoryd.disclosure.pki import Anchors, SigningIdentity, load_anchors, signing_identity
from memoryd.foundation.ids import AssetId, GenerationId, new_id
from memoryd.reports.facts import Occasion, Subject
from memoryd.workflows.facts import Source

MOMENT = datetime.datetime(2026, 11, 21, 10, 0, tzinfo=datetime.UTC)
HOSTILE = '<script>alert(1)</script>&"狐.safetensors'


@pytest.fixture(scope="session")
def pki_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pki folder with a development chain."""
    folder = tmp_path_factory.mktemp("keys") / "pki"
    signing_identity(folder)
    return folder


@pytest.fixture(scope="session")
def identity(pki_folder: Path) -> SigningIdentity:
    """The development signer."""
    return signing_identity(pki_folder)


@pytest.fixture(scope="session")
def anchors(pki_folder: Path) -> Anchors:
    """The anchors of the same installation."""
    return load_anchors(pki_folder)


@pytest.fixture
def occasion() -> Occasion:
    """An occasion to report."""
    return Occasion(
        report_id=str(new_id()), made_at=MOMENT, made_by="Ada", tenant="default", asked="fox", complete=True
    )


@pytest.fixture
def subject() -> Subject:
    """A generated asset of which much is unknown."""
    return Subject(view=view())


def view() -> AssetView:
    id_ = AssetId(new_id())
    face = Face(
        id=id_,
        root_id=id_,
        sha256=b"\x01" * 32,
        kind=AssetKind.IMAGE,
        media_type="image/png",
        width=64,
        height=64,
        made_at=MOMENT,
        name="fox.png",
        has_thumbnail=False,
    )
    sampler = SamplerView(
        node="3",
        class_type="KSampler",
        seed=2**64 - 1,
        steps=3,
        cfg=7.0,
        sampler="euler",
        scheduler="normal",
        denoise=1.0,
        source=Source.EXECUTED,
        final=True,
    )
    model = ModelView(
        node="4",
        class_type="CheckpointLoaderSimple",
        role="checkpoints",
        name=HOSTILE,
        sha256=None,
        identified=None,
        strength_model=None,
        strength_clip=None,
        evidence="table",
        source=Source.EXECUTED,
    )
    run = GenerationView(
        id=GenerationId(new_id()),
        run_key="file:aa",
        origin=GenerationOrigin.FILE,
        exact=b"\x02" * 32,
        node="9",
        output="images",
        batch_index=None,
        certain=True,
        generates=True,
        width=64,
        height=64,
        environment=None,
        comfyui_version=None,
        gpu=None,
        job_id=None,
        project_id=None,
        person_id=None,
        person=None,
        attribution_source=None,
        started_at=None,
        ended_at=None,
        cached=False,
        samplers=(sampler,),
        prompts=(),
        models=(model,),
        inputs=(InputView(node="11", class_type="LoadImage", name="pose.png", sha256=None, source=Source.EXECUTED),),
        documents=(),
    )
    return AssetView(
        id=id_,
        root_id=id_,
        sha256=b"\x01" * 32,
        size=1000,
        kind=AssetKind.IMAGE,
        media_type="image/png",
        width=64,
        height=64,
        frames=1,
        made_at=MOMENT,
        made_source=MadeSource.FILE_TIME,
        recorded_at=MOMENT,
        pixel_recipe=None,
        pixel_digest=None,
        head=True,
        present=True,
        disclosed=False,
        flags=(),
        generations=(run,),
        annotations=(),
        places=(),
        past_places=(),
        extractions=(),
        line=(LineMember(face=face, succeeds_id=None, succession=None, head=True),),
        parents=(),
        children=(),
    )
