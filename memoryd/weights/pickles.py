"""What a pickle would build, read from its opcodes without building it: nothing is imported, nothing is called.

A stack machine of inert values: a call becomes a `Call` with its arguments, an import a `Global` with its name.
Source: Python, Lib/pickletools.py (opcodes), Lib/pickle.py (what they do).
"""

from __future__ import annotations

import dataclasses
import io
import pickletools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from memoryd.foundation.errors import MemorydError, NotAcceptable, TooLarge

PICKLE_LIMIT = 64 * 2**20
"""Bytes of opcodes that are read; the pickle of the largest checkpoints has 3 MB, the tensors lie apart."""

OPCODE_LIMIT = 2_000_000
"""Opcodes that are followed: about 40 for a tensor, of which the largest checkpoints have 10,000."""


class NotPickle(NotAcceptable):
    """This is no pickle."""


class PickleTooLarge(TooLarge):
    """This pickle is too large to be read through."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Global:
    """Something that loading would import."""

    name: str
    """`module.name`."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Something that loading would call."""

    function: object
    arguments: object


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """Something that loading would fetch from elsewhere: in `torch.save`'s files, the bytes of a tensor."""

    key: object


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What loading would do."""

    value: object
    """What it would give: dicts, lists, tuples, texts, numbers, and Call, Global, Persistent."""
    imported: frozenset[str]
    called: frozenset[str]
    """Names of `imported` that would be called as functions."""
    broken: MemorydError | None
    """Why it could not be read to its end. Loading it would have run what was met until there."""


class _Mark:
    __slots__ = ()


_MARK = _Mark()
_UNKNOWN = object()


class _Reading:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, object] = {}
        self.imported: set[str] = set()
        self.called: set[str] = set()

    def pop(self) -> Any:
        return self.stack.pop() if self.stack else _UNKNOWN

    def top(self) -> Any:
        return self.stack[-1] if self.stack else _UNKNOWN

    def to_mark(self) -> list[Any]:
        """Take what lies above the last mark, and the mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                taken = self.stack[place + 1 :]
                del self.stack[place:]
                return taken
        taken, self.stack = self.stack, []
        return taken

    def meet(self, module: object, name: object) -> Global:
        # A name that is computed cannot be told: that alone is told.
        met = f"{module if isinstance(module, str) else '?'}.{name if isinstance(name, str) else '?'}"
        self.imported.add(met)
        return Global(met)

    def call(self, function: object, arguments: object) -> Call:
        self.called.add(function.name if isinstance(function, Global) else "?")
        return Call(function, arguments)


def plan_of(content: bytes, at: int = 0) -> tuple[Plan, int]:
    """Return what loading the pickle that begins here would do, and where it ends.

    Bytes behind PICKLE_LIMIT are not looked at. Raises: NotPickle and PickleTooLarge where nothing at all was met.
    """
    reading, file = _Reading(), io.BytesIO(content[:PICKLE_LIMIT])
    file.seek(at)
    broken: MemorydError | None = None
    try:
        _follow(reading, file)
    except PickleTooLarge as error:
        broken = error
    except Exception as error:  # genops raises whatever its decoders do
        if len(content) >= PICKLE_LIMIT:
            broken = PickleTooLarge(f"beyond {PICKLE_LIMIT} bytes", hint=f"PICKLE_LIMIT is {PICKLE_LIMIT}")
        else:
            broken = NotPickle(f"no pickle: {type(error).__name__}", hint="another format with this file's suffix")
    if broken is not None and not reading.imported and not reading.called:
        raise broken
    plan = Plan(
        value=reading.pop(), imported=frozenset(reading.imported), called=frozenset(reading.called), broken=broken
    )
    return plan, file.tell()


def _follow(reading: _Reading, file: io.BytesIO) -> None:
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if steps >= OPCODE_LIMIT:
            raise PickleTooLarge(f"more than {OPCODE_LIMIT} opcodes", hint=f"OPCODE_LIMIT is {OPCODE_LIMIT}")
        step = _STEPS.get(opcode.name)
        if step is not None:
            step(reading, argument)
        elif opcode.name not in _PASSED:
            reading.stack.append(argument)


def _global(reading: _Reading, argument: Any) -> None:
    # genops gives `module name` as one text; a module's name has no blank.
    module, _, name = str(argument).partition(" ")
    reading.stack.append(reading.meet(module, name))


def _stack_global(reading: _Reading, _: Any) -> None:
    name, module = reading.pop(), reading.pop()
    reading.stack.append(reading.meet(module, name))


def _inst(reading: _Reading, argument: Any) -> None:
    module, _, name = str(argument).partition(" ")
    reading.stack.append(reading.call(reading.meet(module, name), tuple(reading.to_mark())))


def _obj(reading: _Reading, _: Any) -> None:
    taken = reading.to_mark()
    reading.stack.append(reading.call(taken[0] if taken else _UNKNOWN, tuple(taken[1:])))


def _reduce(reading: _Reading, _: Any) -> None:
    arguments, function = reading.pop(), reading.pop()
    reading.stack.append(reading.call(function, arguments))


def _new(reading: _Reading, _: Any) -> None:
    # An object is made of a class: its own code runs only if the class is a trap, which its name tells.
    arguments, kind = reading.pop(), reading.pop()
    reading.stack.append(Call(kind, arguments))


def _new_with_names(reading: _Reading, _: Any) -> None:
    reading.pop()
    _new(reading, None)


def _build(reading: _Reading, _: Any) -> None:
    state, made = reading.pop(), reading.pop()
    # An object's state is what can be read of it.
    reading.stack.append(Call(made.function, (made.arguments, state)) if isinstance(made, Call) else made)


def _set_items(reading: _Reading, items: list[Any]) -> None:
    target = reading.top()
    if isinstance(target, Call) and _is_ordered(target):
        target = {}
        reading.stack[-1] = target
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=False):
            if isinstance(key, (str, int)):
                target[key] = value


def _is_ordered(made: Call) -> bool:
    return isinstance(made.function, Global) and made.function.name == "collections.OrderedDict"


def _set_item(reading: _Reading, _: Any) -> None:
    value, key = reading.pop(), reading.pop()
    _set_items(reading, [key, value])


def _append(reading: _Reading, items: list[Any]) -> None:
    target = reading.top()
    if isinstance(target, list):
        target.extend(items)


def _memoised(reading: _Reading, number: object) -> None:
    value = reading.top()
    if isinstance(value, Call) and _is_ordered(value):
        # Filled in later, and referred to by its number: one dict from the beginning.
        value = reading.stack[-1] = {}
    reading.memo[number if isinstance(number, int) else len(reading.memo)] = value


def _tuple(count: int) -> Callable[[_Reading, Any], None]:
    def take(reading: _Reading, _: Any) -> None:
        reading.stack.append(tuple([reading.pop() for _ in range(count)][::-1]))

    return take


def _push(make: Callable[[], object]) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: reading.stack.append(make())


def _pairs(reading: _Reading, _: Any) -> None:
    items = reading.to_mark()
    keys = zip(items[::2], items[1::2], strict=False)
    reading.stack.append({key: value for key, value in keys if isinstance(key, (str, int))})


def _pop(reading: _Reading, _: Any) -> None:
    reading.pop()


def _pop_mark(reading: _Reading, _: Any) -> None:
    reading.to_mark()


_STEPS: Mapping[str, Callable[[_Reading, Any], None]] = MappingProxyType(
    {
        "MARK": _push(lambda: _MARK),
        "POP": _pop,
        "POP_MARK": _pop_mark,
        "DUP": lambda reading, _: reading.stack.append(reading.top()),
        "NONE": _push(lambda: None),
        "NEWTRUE": _push(lambda: True),
        "NEWFALSE": _push(lambda: False),
        "EMPTY_TUPLE": _push(tuple),
        "EMPTY_LIST": _push(list),
        "EMPTY_DICT": _push(dict),
        "EMPTY_SET": _push(list),
        "TUPLE": lambda reading, _: reading.stack.append(tuple(reading.to_mark())),
        "TUPLE1": _tuple(1),
        "TUPLE2": _tuple(2),
        "TUPLE3": _tuple(3),
        "LIST": lambda reading, _: reading.stack.append(reading.to_mark()),
        "FROZENSET": lambda reading, _: reading.stack.append(reading.to_mark()),
        "DICT": _pairs,
        "SETITEM": _set_item,
        "SETITEMS": lambda reading, _: _set_items(reading, reading.to_mark()),
        "APPEND": lambda reading, _: _append(reading, [reading.pop()]),
        "APPENDS": lambda reading, _: _append(reading, reading.to_mark()),
        "ADDITEMS": lambda reading, _: _append(reading, reading.to_mark()),
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "INST": _inst,
        "OBJ": _obj,
        "REDUCE": _reduce,
        "NEWOBJ": _new,
        "NEWOBJ_EX": _new_with_names,
        "BUILD": _build,
        "PERSID": lambda reading, argument: reading.stack.append(Persistent(argument)),
        "BINPERSID": lambda reading, _: reading.stack.append(Persistent(reading.pop())),
        "EXT1": lambda reading, argument: reading.stack.append(reading.meet("copyreg extension", str(argument))),
        "EXT2": lambda reading, argument: reading.stack.append(reading.meet("copyreg extension", str(argument))),
        "EXT4": lambda reading, argument: reading.stack.append(reading.meet("copyreg extension", str(argument))),
        "PUT": _memoised,
        "BINPUT": _memoised,
        "LONG_BINPUT": _memoised,
        "MEMOIZE": lambda reading, _: _memoised(reading, None),
        "GET": lambda reading, argument: reading.stack.append(reading.memo.get(argument, _UNKNOWN)),
        "BINGET": lambda reading, argument: reading.stack.append(reading.memo.get(argument, _UNKNOWN)),
        "LONG_BINGET": lambda reading, argument: reading.stack.append(reading.memo.get(argument, _UNKNOWN)),
        "NEXT_BUFFER": _push(lambda: _UNKNOWN),
    }
)
_PASSED = frozenset({"PROTO", "FRAME", "STOP", "READONLY_BUFFER"})
