"""A memory of many assets, written by COPY: three models of which one touches all, one a tenth, one a thousandth of them."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import random
from collections.abc import Iterator
from typing import Any

import psycopg

PROJECTS, CLIENTS, PEOPLE, DELIVERIES = 20, 6, 40, 60
DAY_MS = 86_400_000
BEGAN_MS = 1_735_689_600_000
"""2025-01-01: a year of work lies behind the memory."""


def digest(word: str) -> bytes:
    """Return a hash that stands for content."""
    return hashlib.sha256(word.encode()).digest()


EVERY, TENTH, THOUSANDTH = digest("every"), digest("tenth"), digest("thousandth")
MODELS = {"all": EVERY, "a tenth": TENTH, "a thousandth": THOUSANDTH}


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """What was written."""

    assets: int
    copies: int
    edges: int


class _Ids:
    """Ids as the server makes them: the time first, then chance."""

    def __init__(self) -> None:
        self.chance = random.Random(6)

    def at(self, ms: int) -> str:
        bits = self.chance.getrandbits(74)
        value = (ms << 80) | (7 << 76) | ((bits >> 62) << 64) | (2 << 62) | (bits & ((1 << 62) - 1))
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def write_memory(connection: psycopg.Connection[Any], assets: int) -> Made:
    """Write a year's work of `assets` pictures, every 50th with a signed copy, every 20th made from an earlier one.

    `connection` is the owner's, with the tenant's search path.
    """
    ids = _Ids()
    projects = [ids.at(BEGAN_MS + n) for n in range(PROJECTS)]
    clients = [ids.at(BEGAN_MS + n) for n in range(CLIENTS)]
    people = [ids.at(BEGAN_MS + n) for n in range(PEOPLE)]
    _copy(connection, "client (id, name)", ((one, f"client {n}") for n, one in enumerate(clients)))
    _copy(
        connection,
        "project (id, slug, name, client_id)",
        ((one, f"p{n}", f"Project {n}", clients[n % CLIENTS]) for n, one in enumerate(projects)),
    )
    _copy(
        connection,
        "person (id, login, display_name)",
        ((one, f"person{n}", f"Person {n}") for n, one in enumerate(people)),
    )
    _copy(
        connection,
        "model (sha256, size, kind)",
        ((f"\\x{one.hex()}", 1, "checkpoint" if one == EVERY else "lora") for one in MODELS.values()),
    )
    _name(connection, ids)
    step = 300 * DAY_MS // assets or 1
    lines = [(ids.at(BEGAN_MS + n * step), ids.at(BEGAN_MS + n * step + 1)) for n in range(assets)]

    def moment(n: int) -> str:
        return f"{_iso(BEGAN_MS + n * step)}"

    copies = [(n, ids.at(BEGAN_MS + n * step + 2)) for n in range(0, assets, 50)]
    _copy(
        connection,
        "asset (id, sha256, size, kind, media_type, width, height, made_at, made_source, root_id, recorded_at)",
        (
            (one, f"\\x{digest(f'asset {n}').hex()}", 1_500_000, "image", "image/png", 1024, 1024, moment(n), "file_time", one,
             moment(n))
            for n, (one, _) in enumerate(lines)
        ),
    )  # fmt: skip
    _copy(
        connection,
        "asset (id, sha256, size, kind, media_type, made_at, made_source, root_id, succeeds_id, succession)",
        (
            (one, f"\\x{digest(f'copy {n}').hex()}", 1_500_000, "image", "image/png", moment(n), "file_time", lines[n][0],
             lines[n][0], "disclosed")
            for n, one in copies
        ),
    )  # fmt: skip
    owned = [(n, one) for n, (one, _) in enumerate(lines)] + copies
    _copy(
        connection,
        "asset_project (project_id, asset_id, root_id, made_at, first_person)",
        ((projects[n % PROJECTS], one, lines[n][0], moment(n), people[n % PEOPLE]) for n, one in owned),
    )
    _copy(
        connection,
        "asset_text (asset_id, root_id, made_at, recipe, head, words)",
        ((one, lines[n][0], moment(n), "v1", "t", f"a fox number{n}") for n, one in owned),
    )
    _copy(
        connection,
        "generation (id, run_key, origin, project_id, person_id, attribution_source, started_at)",
        (
            (run, f"file:{n:08x}", "file", projects[n % PROJECTS], people[n % PEOPLE], "folder", moment(n))
            for n, (_, run) in enumerate(lines)
        ),
    )
    _copy(
        connection,
        "generation_output (generation_id, node, output, batch_index, asset_id, certain)",
        ((run, "9", "images", 0, one, "t") for one, run in lines),
    )
    _copy(connection, f"generation_model ({_MODEL_COLUMNS})", _uses(lines))
    edges = [(n, n // 2) for n in range(20, assets, 20)]
    _copy(
        connection,
        "lineage (child_root, parent_root, via)",
        ((lines[child][0], lines[parent][0], "input") for child, parent in edges),
    )
    _deliver(connection, ids, lines, projects, clients)
    connection.commit()
    connection.autocommit = True
    connection.execute("vacuum (analyze)")
    return Made(assets=assets, copies=len(copies), edges=len(edges))


def _name(connection: psycopg.Connection[Any], ids: _Ids) -> None:
    """Name the models. What every run calls `detail` was the rare one for a day: all of them are possibly touched."""
    place = ids.at(BEGAN_MS)
    _copy(
        connection,
        "model_place (id, kind, key, worker, root)",
        iter([(place, "own", "gpu:/models", "gpu", "/models")]),
    )
    day = _iso(BEGAN_MS + DAY_MS)
    names = (("base", EVERY, None), ("style", TENTH, None), ("rare", THOUSANDTH, None), ("detail", THOUSANDTH, day))
    _copy(
        connection,
        "model_name (place_id, folder, path, seen_from, seen_to, sha256, size, mtime_ns)",
        (
            (place, "all", f"{name}.safetensors", _iso(BEGAN_MS), until, f"\\x{one.hex()}", 1, 1)
            for name, one, until in names
        ),
    )


_MODEL_COLUMNS = (
    "generation_id, output_node, ordinal, node, source, confidence, input, class_type, role, name, sha256, evidence"
)


def _uses(lines: list[tuple[str, str]]) -> Iterator[tuple[Any, ...]]:
    loader = ("executed", "high", "ckpt_name", "CheckpointLoaderSimple", "checkpoint")
    lora = ("executed", "high", "lora_name", "LoraLoader", "lora")
    for n, (_, run) in enumerate(lines):
        yield run, "9", 0, "4", *loader, "base.safetensors", f"\\x{EVERY.hex()}", "graph"
        yield run, "9", 1, "5", *lora, "detail.safetensors", None, "graph"
        if n % 10 == 0:
            yield run, "9", 2, "6", *lora, "style.safetensors", f"\\x{TENTH.hex()}", "graph"
        if n % 1_000 == 0:
            yield run, "9", 3, "7", *lora, "rare.safetensors", f"\\x{THOUSANDTH.hex()}", "graph"


def _deliver(
    connection: psycopg.Connection[Any],
    ids: _Ids,
    lines: list[tuple[str, str]],
    projects: list[str],
    clients: list[str],
) -> None:
    """Put every 20th picture into a delivery; half of the deliveries are frozen."""
    deliveries = [ids.at(BEGAN_MS + n) for n in range(DELIVERIES)]
    _copy(
        connection,
        "delivery (id, client_id, project_id, name, state, frozen_at)",
        (
            (one, clients[n % CLIENTS], projects[n % PROJECTS], f"delivery {n}", "frozen" if n % 2 else "open",
             _iso(BEGAN_MS) if n % 2 else None)
            for n, one in enumerate(deliveries)
        ),
    )  # fmt: skip
    _copy(
        connection,
        "delivery_item (delivery_id, root_id, asset_id)",
        ((deliveries[n % DELIVERIES], one, one) for n, (one, _) in enumerate(lines) if n % 20 == 0),
    )


def _iso(ms: int) -> str:
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).isoformat()


def _copy(connection: psycopg.Connection[Any], target: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"copy {target} from stdin") as out:
        waiting: list[str] = []
        for row in rows:
            waiting.append("\t".join("\\N" if value is None else str(value).replace("\\", "\\\\") for value in row))
            if len(waiting) == 5_000:
                out.write("\n".join(waiting) + "\n")
                waiting.clear()
        if waiting:
            out.write("\n".join(waiting) + "\n")
