"""What workers tell of their node classes, over HTTP; and that no other tenant's files are told with it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

from memoryd.access.guards import Offices
from memoryd.comfyui.catalogue_document import PACKED_LIMIT, pack_catalogue
from memoryd.comfyui.specs import NodeSpecs
from memoryd.dispatch.node_specs import known_specs
from memoryd.foundation.database import TenantScope
from memoryd.foundation.ids import TenantId
from tests.submission.conftest import PROTOCOL, FarmHand

Join = Callable[..., FarmHand]


def catalogue(file: str = "fox.safetensors") -> NodeSpecs:
    loader = {"input": {"required": {"ckpt_name": [[file], {"tooltip": "words for people"}]}}, "output": ["MODEL"]}
    seeded = {"input": {"required": {"noise": ["INT", {"control_after_generate": True, "max": float("inf")}]}}}
    return NodeSpecs({"Loader": loader, "Noisy": {**seeded, "output": [], "output_node": True}})


def started(hand: FarmHand, specs: NodeSpecs) -> dict[str, Any]:
    answer: dict[str, Any] = hand.start(specs.classes, nodes_sha256=specs.digest.hex())
    return answer


def tell(hand: FarmHand, sha256: str, packed: bytes) -> Any:
    return hand.http.put(f"/v1/work/nodes/{sha256}", content=packed, headers=hand.headers)


def known(offices: Offices, tenant: TenantScope) -> NodeSpecs | None:
    with offices.database.farm_work() as session:
        return known_specs(session, TenantId(tenant.id))


def test_a_worker_tells_its_node_specifications_once(join: Join, offices: Offices, tenant: TenantScope) -> None:
    hand, specs = join(), catalogue()
    assert started(hand, specs)["nodes_wanted"]
    assert tell(hand, specs.digest.hex(), pack_catalogue(specs)).status_code == 204
    assert not started(hand, specs)["nodes_wanted"]
    told = known(offices, tenant)
    assert told is not None
    assert told.digest == specs.digest
    assert told.seeds("Noisy") == ("noise",)
    assert "words for people" not in json.dumps(told.document)


def test_another_catalogue_is_asked_for_anew(join: Join) -> None:
    hand, specs = join(), catalogue()
    started(hand, specs)
    tell(hand, specs.digest.hex(), pack_catalogue(specs))
    other = NodeSpecs({"Other": {"input": {}, "output": []}})
    assert started(hand, other)["nodes_wanted"]


def test_what_is_not_the_announced_catalogue_is_refused(join: Join, stranger: TestClient) -> None:
    hand, specs = join(), catalogue()
    started(hand, specs)
    sha256 = specs.digest.hex()
    assert stranger.put(f"/v1/work/nodes/{sha256}", content=b"", headers=PROTOCOL).status_code == 401
    for wrong in (b"", b"no zlib", zlib.compress(b"[]"), zlib.compress(b"{}"), pack_catalogue(specs)[:-9]):
        assert tell(hand, sha256, wrong).status_code == 422
    other = NodeSpecs({"Other": {"input": {}, "output": []}})
    assert tell(hand, other.digest.hex(), pack_catalogue(other)).status_code == 409
    assert tell(hand, sha256, bytes(PACKED_LIMIT + 1)).status_code == 413


def test_no_tenant_learns_the_file_names_of_anothers_worker(
    join: Join, other_person: TestClient, offices: Offices, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    mine, theirs = catalogue("mine.safetensors"), catalogue("theirs.safetensors")
    assert mine.digest == theirs.digest
    for hand, specs in ((join(), mine), (join(other_person), theirs)):
        started(hand, specs)
        assert tell(hand, specs.digest.hex(), pack_catalogue(specs)).status_code == 204
    for whose, name in ((tenant, "mine.safetensors"), (other_tenant, "theirs.safetensors")):
        told = known(offices, whose)
        assert told is not None
        assert told.inputs("Loader")["ckpt_name"].options == (name,)
