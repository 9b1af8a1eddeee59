"""From names and values to what changes in a graph. Pure.

A name is a parameter as memoryd shows it (`cfg`), or an input of a node (`3.cfg`, by the node's title `Sampler.cfg`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.texts import storable
from memoryd.reproduction.variants.facts import Change, Wish
from memoryd.submission.grouping.addresses import find_input
from memoryd.submission.grouping.items import ITEMS_LIMIT, BadItems, TooManyItems, typed_value
from memoryd.submission.seed_inputs import find_seed_input
from memoryd.workflows.parameter_places import ParameterPlace

SEED = "seed"
WHOLE_NUMBERS = frozenset((SEED, "steps", "width", "height"))
"""ComfyUI would cut the rest off without a word, and the item would not say what ran."""
OTHER_NAMES = {
    "sampler_name": "sampler",
    "noise_seed": SEED,
    "positive": "prompt",
    "positive_prompt": "prompt",
    "negative_prompt": "negative",
    "checkpoint": "model",
    "checkpoints": "model",
    "loras": "lora",
}
"""What people and ComfyUI also call them."""
SHOWN_LIMIT = 60
"""Characters of a value, and names, that a refusal shows."""


class ParameterUnknown(NotAcceptable):
    """The graph has no parameter of this name."""


class ParameterAmbiguous(NotAcceptable):
    """Several places of the graph have this parameter, with values of their own."""


class NoSeed(NotAcceptable):
    """This graph has no seed of its own."""


class NothingVaries(NotAcceptable):
    """Nothing was said to differ."""


def find_changes(
    document: Mapping[str, Any],
    places: Sequence[ParameterPlace],
    wish: Wish,
    *,
    fresh: Callable[[int], tuple[int, ...]],
) -> tuple[Change, ...]:
    """Return what a wish changes in a graph (API format), fresh seeds last. `fresh` draws so many different seeds.

    One value goes into every place of a name, where these have one value now; a fresh seed into every pass whose seed is
    not said.
    Raises: NothingVaries, ParameterUnknown, ParameterAmbiguous, InputNotFound, InputIsLinked, TitleAmbiguous, NoSeed,
    BadItems.
    """
    changes = [
        *(_change(document, places, name, (value,)) for name, value in wish.sets),
        *(_change(document, places, name, values) for name, values in wish.grid),
    ]
    if wish.seeds:
        # A pass whose seed is said keeps that one.
        said = {place for change in changes for place in change.places}
        changes.append(_fresh_seeds(document, places, said, fresh(wish.seeds)))
    if not changes:
        raise NothingVaries("no name and no seeds", hint=f"--seeds 4, or --set with one of {_names(places)}")
    taken = [place for change in changes for place in change.places]
    for place in taken:
        if taken.count(place) > 1:
            raise BadItems(f"{_short(place)} is changed twice", hint="name each place once")
    return tuple(changes)


def make_rows(changes: Sequence[Change]) -> list[dict[str, Json]]:
    """Return every combination of the changes' values by place; the last one changes fastest. Raises: TooManyItems."""
    total = math.prod(len(change.values) for change in changes)
    if total > ITEMS_LIMIT:
        raise TooManyItems(f"{total} items", hint=f"{ITEMS_LIMIT} at most (ITEMS_LIMIT): ask in several parts")
    return [
        {place: value for change, value in zip(changes, combination, strict=True) for place in change.places}
        for combination in itertools.product(*(change.values for change in changes))
    ]


def _change(
    document: Mapping[str, Any], places: Sequence[ParameterPlace], name: str, values: tuple[Json, ...]
) -> Change:
    if not values:
        raise BadItems(f"{_short(name)} has no values", hint="give it one at least")
    plain = OTHER_NAMES.get(name, name)
    named = [place for place in places if place.name == plain]
    if len({(type(place.value), place.value) for place in named}) > 1:
        told = ", ".join(f"{place.address} ({_short(str(place.value))})" for place in named)
        raise ParameterAmbiguous(f"{_short(name)} stands in {len(named)} places", hint=f"name one of them: {told}")
    if named:
        addresses = [(place.node, place.input) for place in named]
    elif "." in name:
        found = find_input(document, name)
        addresses = [(found.node, found.input)]
    else:
        raise ParameterUnknown(
            _short(name), hint=f"there are {_names(places)}; any other input by its node, such as {_example(document)}"
        )
    present = document[addresses[0][0]]["inputs"][addresses[0][1]]
    typed = tuple(_typed(present, plain, value) for value in values)
    return Change(name=name, places=tuple(f"{node}.{given}" for node, given in addresses), was=present, values=typed)


def _typed(present: Json, name: str, value: Json) -> Json:
    found = typed_value(present, value, where=_short(name))
    if name in WHOLE_NUMBERS and isinstance(found, float):
        raise BadItems(f"{_short(name)}: {found} is no whole number", hint="ComfyUI takes whole numbers there")
    return found


def _fresh_seeds(
    document: Mapping[str, Any], places: Sequence[ParameterPlace], said: set[str], seeds: tuple[int, ...]
) -> Change:
    known = [place.address for place in places if place.name == SEED]
    if not known and (other := find_seed_input(document)) is not None:
        known = [other]
    if not known:
        raise NoSeed(f"{len(document)} nodes, and none has a seed", hint=f"vary something else: {_names(places)}")
    addresses = tuple(address for address in known if address not in said)
    if not addresses:
        raise BadItems("every seed is said already", hint="leave one of them to the fresh seeds, or ask for none")
    node, _, name = addresses[0].rpartition(".")
    return Change(name=SEED, places=addresses, was=document[node]["inputs"][name], values=seeds)


def _names(places: Sequence[ParameterPlace]) -> str:
    return ", ".join(dict.fromkeys(place.name for place in places)) or "no parameters that memoryd knows"


def _example(document: Mapping[str, Any]) -> str:
    for id_, node in document.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        for name, value in inputs.items() if isinstance(inputs, dict) else ():
            if not isinstance(value, (list, dict)):
                return _short(f"{id_}.{name}")
    return "3.cfg"


def _short(text: str) -> str:
    clean = storable(text)[0]
    return clean if len(clean) <= SHOWN_LIMIT else f"{clean[:SHOWN_LIMIT]}…"
