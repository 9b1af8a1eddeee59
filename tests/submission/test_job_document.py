"""A job as a document: it is what its published schema says, checked by hand so that no library is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from memoryd.shipped import shipped
from memoryd.submission.job_document import schema_text
from tests.submission.conftest import GRAPH, FarmHand

PAINTING = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "fox.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 832, "height": 1216, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["4", 1]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 2**64 - 1,
            "steps": 20,
            "cfg": 7.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["6", 0],
            "latent_image": ["5", 0],
        },
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
}


def misfits(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "$") -> list[str]:
    """What of a value is not as a schema says: the words that our schemas use, and no others."""
    known = {"$schema", "$id", "$defs", "title", "description", "default", "format", "enum", "const", "type", "anyOf"}
    known |= {"$ref", "properties", "required", "additionalProperties", "items", "pattern", "minimum", "maxLength"}
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema:
        return misfits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, where)
    if "anyOf" in schema:
        tries = [misfits(value, one, root, where) for one in schema["anyOf"]]
        return [] if [] in tries else tries[0]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [f"{where}: {value!r} is no {schema['type']}"]
    wrong = []
    if "const" in schema and value != schema["const"]:
        wrong.append(f"{where}: not {schema['const']}")
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"{where}: not one of {schema['enum']}")
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            wrong.append(f"{where}: not like {schema['pattern']}")
        if schema.get("format") == "uuid":
            UUID(value)
    if isinstance(value, int) and "minimum" in schema and value < schema["minimum"]:
        wrong.append(f"{where}: below {schema['minimum']}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            wrong += misfits(item, schema.get("items", {}), root, f"{where}[{number}]")
    if isinstance(value, dict) and "properties" in schema:
        wrong += [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        if schema.get("additionalProperties") is False:
            wrong += [f"{where}.{name} is unknown" for name in value if name not in schema["properties"]]
        for name, member in value.items():
            wrong += misfits(member, schema["properties"].get(name, {}), root, f"{where}.{name}")
    return wrong


def test_the_published_schema_is_the_one_that_documents_have() -> None:
    assert (shipped("schemas") / "job.v1.schema.json").read_text() == schema_text()


def test_a_jobs_document_is_as_the_schema_says(person: TestClient) -> None:
    schema = json.loads(schema_text())
    for graph, asked in ((PAINTING, {"name": "Hero", "urgency": "realtime"}), (GRAPH, {})):
        job = person.post("/v1/jobs", json={"graph": graph, **asked}).json()["id"]
        answer = person.get(f"/v1/jobs/{job}/document")
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert misfits(document, schema, schema) == []
        assert document["job_id"] == job
        assert document["graph"] == graph
    painted = person.get("/v1/jobs").json()["items"][1]["id"]
    document = person.get(f"/v1/jobs/{painted}/document").json()
    assert document["seed"] == str(2**64 - 1)
    assert document["resolution"] == {"width": 832, "height": 1216}
    assert document["priority_class"] == "realtime"
    assert (document["tenant"], document["project"]) == ("default", "default")
    assert document["pins"] == [{"folder": "checkpoints", "name": "fox.safetensors", "sha256": None, "assumed": False}]
    assert document["expires_at"] > document["created_at"]


def test_a_worker_that_says_what_it_was_started_from_is_in_the_document(
    person: TestClient, join: Callable[..., FarmHand]
) -> None:
    from tests.submission.test_endpoints import picture

    hand = join()
    hand.environment = {"comfyui": "0.29.0", "image": "registry/worker:7"}
    hand.start()
    job = person.post("/v1/jobs", json={"graph": GRAPH}).json()["id"]
    assert person.get(f"/v1/jobs/{job}/document").json()["worker_image"] is None
    claimed = hand.claim()
    assert claimed is not None
    hand.upload(claimed, 0, picture())
    assert hand.report(claimed, picture()).status_code == 200
    assert person.get(f"/v1/jobs/{job}/document").json()["worker_image"] == "registry/worker:7"


def test_no_stranger_and_no_other_tenant_reads_a_document(
    person: TestClient, other_person: TestClient, stranger: TestClient
) -> None:
    job = person.post("/v1/jobs", json={"graph": GRAPH}).json()["id"]
    assert stranger.get(f"/v1/jobs/{job}/document").status_code == 401
    assert other_person.get(f"/v1/jobs/{job}/document").status_code == 404
