"""An interpreter of pickle's instructions that imports nothing and calls nothing of the file's.

The standard library's unpickler imports what a file names and calls it. This one knows containers,
numbers and text. A name such as `torch._utils._rebuild_tensor_v2` is looked up in a table of
constructors that the caller gives, whose results are inert values; any other name ends the reading.
`pickletools` decodes the instructions' arguments.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, cast

from weights.errors import BrokenWeightsError, UnsafeWeightsError
from weights.readers.cursor import Budget, Cursor

MAX_INTEGER_BITS = 128
"""torch's own magic number has 80."""

Constructor = Callable[[tuple[object, ...]], object]
"""Makes an inert value of the arguments that a file gives to a name."""
Persistent = Callable[[object], object]
"""Finds what lies outside the pickle by its persistent id."""

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_MARK = object()


@dataclass(frozen=True)
class Global:
    """A name of the table, not yet called; `torch.FloatStorage` is only ever named."""

    name: str


@dataclass(eq=False)
class Opaque:
    """Something that the file makes, and the state that it would give to it."""

    name: str
    state: object = None


def unpickle(
    cursor: Cursor,
    table: Mapping[str, Constructor],
    budget: Budget,
    persistent: Persistent | None = None,
) -> object:
    """Read one pickle and leave the cursor behind it.

    Args:
        cursor: at the pickle's first instruction.
        table: full name -> constructor, for every name that the file may use.
        budget: what the file may still spend.
        persistent: resolves persistent ids; None where there must not be any.

    Raises:
        BrokenWeightsError: the bytes are no pickle, cut off, or larger than any real file.
        UnsafeWeightsError: it uses a name outside the table or an unusual instruction.
    """
    machine = _Machine(table, budget, persistent)
    while True:
        code = bytes(cursor.read(1)).decode("latin-1")
        opcode = _OPCODES.get(code)
        if opcode is None:
            raise BrokenWeightsError(
                f"its pickle breaks off or is damaged at byte {cursor.position}: get the file anew"
            )
        budget.spend(instructions=1)
        step = _STEPS.get(opcode.name)
        if step is None:
            raise UnsafeWeightsError(
                f"its pickle uses {opcode.name}, which no StyleGAN2 file needs: do not trust it"
            )
        try:
            argument = None if opcode.arg is None else opcode.arg.reader(cast("IO[bytes]", cursor))
            step(machine, argument)
        except (ValueError, AssertionError, LookupError, TypeError) as error:
            raise BrokenWeightsError(
                f"its pickle is damaged at byte {cursor.position}: get the file anew"
            ) from error
        if opcode.name == "STOP":
            return machine.pop()


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(
        self, table: Mapping[str, Constructor], budget: Budget, persistent: Persistent | None
    ) -> None:
        self.table = table
        self.budget = budget
        self.persistent = persistent
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def push(self, value: object) -> None:
        self.stack.append(value)

    def push_number(self, value: object) -> None:
        if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
            raise ValueError("an integer of many digits")
        self.push(value)

    def push_text(self, value: object) -> None:
        self.budget.spend(text=len(cast(str, value)))
        self.push(value)

    def pop(self) -> object:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def top(self, kind: type) -> object:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"no {kind.__name__}")
        return self.stack[-1]

    def pop_to_mark(self) -> list[object]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                values = self.stack[index + 1 :]
                del self.stack[index:]
                return values
        raise ValueError("no mark")

    def tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def extend(self, values: list[object]) -> None:
        cast("list[object]", self.top(list)).extend(values)

    def set_items(self, values: list[object]) -> None:
        items = cast("dict[object, object]", self.top(dict))
        if len(values) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Python hashes text unpredictably and small integers evenly: no key can be crafted to
            # collide with all others.
            if not isinstance(key, str) and not (isinstance(key, int) and key.bit_length() <= 32):
                raise TypeError("a key that is neither text nor a small integer")
            items[key] = value

    def dict_of(self, values: list[object]) -> None:
        self.push({})
        self.set_items(values)

    def put(self, index: object) -> None:
        if self.stack[-1] is _MARK:
            raise ValueError("a mark where a value should be")
        self.memo[cast(int, index)] = self.stack[-1]

    def name(self, module: object, attribute: object) -> None:
        name = f"{module}.{attribute}"
        if name not in self.table:
            raise UnsafeWeightsError(
                f"it asks for {name[:80]!r}, which no StyleGAN2 file needs: do not trust it"
            )
        self.push(Global(name))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise TypeError("something other than a name is called")
        self.push(self.table[function.name](cast("tuple[object, ...]", arguments)))

    def build(self) -> None:
        """Keep the state of what is built; that of a container is of no use."""
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Opaque):
            target.state = state
        elif not isinstance(target, dict):
            raise TypeError("state for something that has none")

    def resolve(self) -> None:
        if self.persistent is None:
            raise UnsafeWeightsError("its pickle points outside itself: do not trust it")
        self.push(self.persistent(self.pop()))


Step = Callable[[_Machine, object], None]


def _push(machine: _Machine, argument: object) -> None:
    machine.push(argument)


def _nothing(_machine: _Machine, _argument: object) -> None:
    pass


def _global(machine: _Machine, argument: object) -> None:
    module, _, attribute = cast(str, argument).partition(" ")
    machine.name(module, attribute)


def _stack_global(machine: _Machine, _argument: object) -> None:
    attribute, module = machine.pop(), machine.pop()
    if not isinstance(module, str) or not isinstance(attribute, str):
        raise TypeError("a name that is not text")
    machine.name(module, attribute)


_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_STEPS: dict[str, Step] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(_NUMBERS, _Machine.push_number),
    **dict.fromkeys(_TEXTS, _Machine.push_text),
    **dict.fromkeys(_BYTES, _push),
    # Arrays of numpy bring their data in one; none belongs to a generator.
    "BYTEARRAY8": lambda m, _: m.push(Opaque("bytearray")),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, i: m.push(m.memo[cast(int, i)])),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "NONE": _push,
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": lambda m, _: m.push(_MARK),
    "POP": lambda m, _: m.stack.__delitem__(-1),
    "POP_MARK": lambda m, _: m.pop_to_mark().clear(),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "TUPLE": lambda m, _: m.push(tuple(m.pop_to_mark())),
    # A set is read as a list: its members need not be hashed.
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda m, _: m.push([])),
    "LIST": lambda m, _: m.push(m.pop_to_mark()),
    "APPEND": lambda m, _: m.extend([m.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda m, _: m.extend(m.pop_to_mark())),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": lambda m, _: m.dict_of(m.pop_to_mark()),
    "SETITEM": lambda m, _: m.set_items([*reversed([m.pop(), m.pop()])]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_to_mark()),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda m, _: m.call()),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.resolve(),
}
