"""The words of a job's graph, by which its cost is found again, whether or not it made anything."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from memoryd.foundation.database import Session
from memoryd.foundation.ids import JobId
from memoryd.submission.usage import queries
from memoryd.words.tokens import tsvector_text
from memoryd.workflows.facts import Graph
from memoryd.workflows.node_roles import names_media_file, names_model_file

TEXT_LIMIT = 20_000
"""Characters of a graph's texts that are searched: the longest prompt of our corpus has 6,000."""

PROSE_NAMES = frozenset(
    {"text", "text_g", "text_l", "clip_l", "t5xxl", "prompt", "string", "value", "positive", "negative"}
)
"""Inputs that hold what people write, were it one word; other inputs' single words are choices (`euler`, `default`)."""


def keep_words(session: Session, graphs: Mapping[JobId, Graph | None]) -> None:
    """Write down the words of these jobs' texts. `session` has taken the tenant."""
    words = {UUID(bytes=job.bytes): words_of(graph) for job, graph in graphs.items()}
    if any(words.values()):
        queries.insert_words(session, {job: text for job, text in words.items() if text})


def words_of(graph: Graph | None) -> str:
    """Return the words of a job's texts as the text of a tsvector; empty without any."""
    return tsvector_text(texts_of(graph)) if graph is not None else ""


def texts_of(graph: Graph) -> str:
    """Return what people wrote into a graph, a line each: its texts but for names of files and of choices."""
    found: dict[str, None] = {}
    for node in graph.nodes.values():
        for name, value in node.inputs.items():
            if not isinstance(value, str) or not (name in PROSE_NAMES or " " in value.strip()):
                continue
            if not names_model_file(value) and not names_media_file(value):
                found[value] = None
    return "\n".join(found)[:TEXT_LIMIT]
