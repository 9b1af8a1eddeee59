from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import WorkflowId, new_id
from memoryd.plugin_api.facts import DocumentKind
from memoryd.workflows.documents import (
    DocumentNotFound,
    GraphNotFound,
    keep_documents,
    keep_graphs,
    load_document,
    load_documents,
    load_graph,
)
from memoryd.workflows.facts import Graph, Level, PreparedDocument, PreparedGraph
from memoryd.workflows.identity import identify
from memoryd.workflows.known_workflows import (
    WorkflowNotFound,
    find_workflows,
    graphs_like,
    name_workflow,
    workflow_names,
)
from memoryd.workflows.preparing import prepare_document, prepare_graph
from memoryd.workflows.tables import GraphIdentity, StoredNodeValue, Workflow

Make = Callable[[dict[str, Any]], Graph]
Real = Callable[[str], Graph]


def test_a_document_comes_back_verbatim_however_often_it_came(session: Session) -> None:
    raw = b'{"1": {"b": 1,  "a": "\\ud83e\\udd8a"}}\n'
    document = prepare_document(DocumentKind.PROMPT, "prompt", raw)
    unpacked = PreparedDocument(sha256=document.sha256, kind=document.kind, key="prompt", raw=raw)
    keep_documents(session, [document, unpacked])
    keep_documents(session, [unpacked])
    keep_documents(session, [])
    assert load_document(session, document.sha256) == raw
    assert load_documents(session, [document.sha256, b"\0" * 32]) == {document.sha256: raw}
    with pytest.raises(DocumentNotFound):
        load_document(session, b"\0" * 32)


def test_a_graph_comes_back_with_its_identities(session: Session, real: Real) -> None:
    prepared = [
        prepare_graph(real(name)) for name in ("txt2img_basic", "txt2img_seed_u64max", "img2img_lora", "txt2img_basic")
    ]
    keep_graphs(session, prepared)
    keep_graphs(session, [PreparedGraph(identities=prepared[0].identities, values=prepared[0].values)])
    for graph in prepared:
        again = identify(load_graph(session, graph.identities.exact))
        assert (again.exact, again.workflow, again.structure) == (
            graph.identities.exact,
            graph.identities.workflow,
            graph.identities.structure,
        )
    with pytest.raises(GraphNotFound):
        load_graph(session, b"\0" * 32)


def test_graphs_of_one_workflow_share_its_row_its_name_and_its_values(session: Session, real: Real) -> None:
    names = ("txt2img_basic", "txt2img_seed_u64max", "txt2img_unicode_zh_emoji")
    prepared = [prepare_graph(real(name)) for name in names]
    for graph in prepared:
        keep_graphs(session, [graph])
    digest = prepared[0].identities.workflow
    exacts = [graph.identities.exact for graph in prepared]
    assert session.scalar(select(func.count()).select_from(Workflow).where(Workflow.digest == digest)) == 1
    values = session.scalar(select(func.count()).select_from(StoredNodeValue).where(StoredNodeValue.workflow == digest))
    assert values == len(prepared[0].values) > 0
    assert graphs_like(session, Level.WORKFLOW, digest) == sorted(exacts)
    workflow = find_workflows(session, exacts)[exacts[0]]
    assert workflow.name == f"workflow {digest.hex()[:8]}"
    name_workflow(session, workflow.id, " fox \x00 maker ")
    assert workflow_names(session, [*exacts, b"\0" * 32]) == dict.fromkeys(exacts, "fox \ufffd maker")
    with pytest.raises(WorkflowNotFound):
        name_workflow(session, WorkflowId(new_id()), "x")


def test_graphs_are_found_by_a_value_of_a_node(session: Session, real: Real) -> None:
    names = ("txt2img_basic", "txt2img_dpmpp_sde_karras_128x96")
    prepared = {name: prepare_graph(real(name)) for name in names}
    keep_graphs(session, prepared.values())
    found = session.scalars(
        select(GraphIdentity.exact)
        .join(StoredNodeValue, StoredNodeValue.workflow == GraphIdentity.digest)
        .where(GraphIdentity.level == Level.WORKFLOW.value)
        .where(StoredNodeValue.class_type == "KSampler", StoredNodeValue.input == "cfg", StoredNodeValue.number > 6)
    )
    assert [bytes(exact) for exact in found] == [prepared["txt2img_basic"].identities.exact]


def test_two_recorders_with_the_same_files_in_other_order_both_finish(
    database: Database, tenant: TenantScope, graph_of: Make
) -> None:
    graphs = [
        prepare_graph(graph_of({"1": ("EmptyImage", {"width": n}), "2": ("SaveImage", {"images": ["1", 0]})}))
        for n in range(40)
    ]
    documents = [prepare_document(DocumentKind.EXTRA, "n", str(n).encode()) for n in range(40)]
    barrier = threading.Barrier(2)
    failures: list[Exception] = []

    def record(turn: int) -> None:
        try:
            for _ in range(3):
                barrier.wait(20)
                with database.tenant_work(tenant) as session:
                    keep_documents(session, documents[::turn])
                    keep_graphs(session, graphs[::turn])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=record, args=(turn,)) for turn in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.tenant_work(tenant) as session:
        assert session.scalar(select(func.count()).select_from(Workflow)) == 40


def test_another_tenant_sees_none_of_it(database: Database, tenant: TenantScope, other_tenant: TenantScope) -> None:
    raw = b"{}"
    with database.tenant_work(tenant) as session:
        keep_documents(session, [prepare_document(DocumentKind.WORKFLOW, "workflow", raw)])
    with database.tenant_work(other_tenant) as session, pytest.raises(DocumentNotFound):
        load_document(session, hashlib.sha256(raw).digest())
