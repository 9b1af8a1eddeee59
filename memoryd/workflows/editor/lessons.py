"""What one reading process still has to learn: a bounded memory, so that a folder of equal files costs one lesson."""

from __future__ import annotations

from collections.abc import Iterable, Set

from memoryd.workflows.editor.facts import WidgetOrder
from memoryd.workflows.editor.learning import learn
from memoryd.workflows.editor.shipped_orders import shipped_orders
from memoryd.workflows.facts import Graph

CLASSES_LIMIT = 50_000
"""Classes that are remembered; beyond it nothing more is learned by this process."""

TRIES_LIMIT = 3
"""Files that are asked about a class which they do not prove; then it counts as known."""


class Lessons:
    """The classes of which this process knows enough."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """`known`: classes whose orders were loaded. Those of the shipped table need no lesson."""
        self._known = {*shipped_orders(), *known}
        self._tries: dict[str, int] = {}

    def wants(self, prompt: Graph) -> bool:
        """Tell whether a file of this graph could teach anything: to be asked before its workflow is looked at."""
        return bool(self._asked(prompt))

    def take(self, prompt: Graph, workflow_raw: bytes) -> tuple[WidgetOrder, ...]:
        """Return what a file with both forms teaches that was not known; a file without a new class is not parsed."""
        asked = self._asked(prompt)
        if not asked:
            return ()
        found = learn(prompt, workflow_raw, known=self._known)
        taught = {order.class_type for order in found}
        self._known |= taught
        for class_type in asked - taught:
            self._tries[class_type] = self._tries.get(class_type, 0) + 1
            if self._tries[class_type] >= TRIES_LIMIT:
                self._known.add(class_type)
                del self._tries[class_type]
        return found

    def wants_any(self, classes: Set[str]) -> bool:
        """Tell whether a file with nodes of these classes could teach anything."""
        return not classes <= self._known and len(self._known) + len(self._tries) <= CLASSES_LIMIT

    def _asked(self, prompt: Graph) -> set[str]:
        """The classes of a graph that are not known; none once too many are remembered."""
        if len(self._known) + len(self._tries) > CLASSES_LIMIT:
            return set()
        return {node.class_type for node in prompt.nodes.values()} - self._known
