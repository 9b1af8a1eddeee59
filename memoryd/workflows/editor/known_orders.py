"""The widget orders that this tenant's files taught: kept, and loaded for the processes that read files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from memoryd.foundation.database import Session
from memoryd.foundation.texts import storable
from memoryd.workflows.editor.facts import WidgetOrder, from_spelling, spelled
from memoryd.workflows.queries import list_orders, upsert_orders

LOADED_LIMIT = 20_000
"""Orders that are loaded; all packs known here together have 4,000 classes."""

PER_CLASS_LIMIT = 8
"""Orders of one class that are loaded, those taught most often first."""


def load(session: Session) -> dict[str, tuple[WidgetOrder, ...]]:
    """Return the learned orders by class, those taught most often first; at most LOADED_LIMIT, PER_CLASS_LIMIT each."""
    found: dict[str, list[WidgetOrder]] = {}
    for class_type, widgets, seen in list_orders(session, LOADED_LIMIT):
        orders = found.setdefault(class_type, [])
        if len(orders) < PER_CLASS_LIMIT:
            orders.append(WidgetOrder(class_type=class_type, widgets=from_spelling(widgets), seen=seen))
    return {class_type: tuple(orders) for class_type, orders in found.items()}


def keep(session: Session, learned: Iterable[WidgetOrder]) -> int:
    """Keep learned orders and return how many different ones; one that is known is counted again."""
    rows: dict[tuple[str, bytes], tuple[str, int]] = {}
    for order in learned:
        text, class_type = storable(spelled(order.widgets))[0], storable(order.class_type)[0]
        key = (class_type, hashlib.sha256(text.encode()).digest())
        rows[key] = (text, order.seen + (rows[key][1] if key in rows else 0))
    if not rows:
        return 0
    keys = sorted(rows)
    columns: Mapping[str, list[object]] = {
        "class_type": [key[0] for key in keys],
        "shape": [key[1] for key in keys],
        "widgets": [rows[key][0] for key in keys],
        "seen": [rows[key][1] for key in keys],
    }
    upsert_orders(session, columns)
    return len(rows)
