"""A checkpoint's own description of itself, read with stand-ins for all tensors.

It is a pickle, which is a program. The machine that runs it here knows few instructions and six
names, keeps count, and makes nothing that is larger than the description itself.
"""

import io
import math
import pickle
import re
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["TOO_MANY", "Ordered", "Reader", "Tensor", "UnsafeError"]

MAX_TENSORS = 50_000
MAX_COUNTED = 100_000  # entries of the Counters that MultiStepLR has, all together
TOO_MANY = "it has more in it than any checkpoint of lenet"
_MORE_THAN_THERE = "its tensors claim values that are not in the file"

# A terminal obeys these. Line breaks and tabs are text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Bytes of a value. The dtypes are those that have no storage of their own.
_STORAGES = {"Bool": 1, "Byte": 1, "Char": 1, "Short": 2, "Int": 4, "Long": 8, "Half": 2}
_STORAGES |= {"BFloat16": 2, "Float": 4, "Double": 8, "ComplexFloat": 8}
_DTYPES = {"uint16": 2, "uint32": 4, "uint64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1}


class UnsafeError(ValueError):
    """What is wrong with a file that is a checkpoint, or pretends to be one."""


@dataclass(frozen=True, slots=True)
class _Storage:
    """Stands in for a storage, a kind of storages or a dtype."""

    itemsize: int
    numel: int


class Tensor:
    """Stands in for a tensor."""


class Ordered(dict[Any, Any]):
    """Stands in for an OrderedDict, which may have attributes. A state_dict has ``_metadata``."""

    attributes: Any = None


class Reader(pickle._Unpickler):
    """Read a checkpoint's description: the pickle machine with few of its instructions.

    That it is the one in Python makes it slower than the one in C, by milliseconds, and safe from
    instructions that reserve gigabytes.
    """

    stack: list[Any]
    allowed: ClassVar[str] = (
        "PROTO STOP MARK GLOBAL REDUCE BUILD BINPERSID BINPUT LONG_BINPUT BINGET LONG_BINGET "
        "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE "
        "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS "
        "EMPTY_DICT SETITEM SETITEMS"
    )

    def __init__(self, description: bytes, parts: dict[str, int]):
        super().__init__(io.BytesIO(description))
        self.parts = parts  # name and bytes
        self.claimed = self.tensors = self.counted = 0
        self.globals = {
            "collections.OrderedDict": self._ordered,
            "collections.Counter": self._counter,
            "torch.Size": self._size,
            "torch.storage.UntypedStorage": _Storage(1, 0),
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor_v3": self._tensor,
            "torch._utils._rebuild_parameter": self._parameter,
            **{f"torch.{name}Storage": _Storage(size, 0) for name, size in _STORAGES.items()},
            **{f"torch.{name}": _Storage(size, 0) for name, size in _DTYPES.items()},
        }

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for a name, and import nothing."""
        if known := self.globals.get(f"{module}.{name}"):
            return known
        raise UnsafeError(
            "it has more in it than tensors and plain values, which could run code when it is "
            "loaded"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        """Give the stand-in for a storage, which is as large as its part of the archive."""
        _, kind, key, _, numel = pid
        size = self.parts.get(f"data/{key}")
        _expect(type(kind) is _Storage, type(numel) is int, type(key) is str)
        if size != kind.itemsize * numel:
            raise UnsafeError(_MORE_THAN_THERE)
        return _Storage(kind.itemsize, numel)

    def _tensor(
        self,
        storage: _Storage,
        offset: int,
        size: Any,
        stride: Any,
        grad: bool,
        hooks: Any,
        dtype: _Storage | None = None,
    ) -> Tensor:
        _expect(type(storage) is _Storage, len(size) == len(stride) <= 16)
        _expect(*(type(n) is int and n >= 0 for n in (offset, *size, *stride)))
        _expect(type(grad) is bool, hooks == {}, dtype is None or type(dtype) is _Storage)
        itemsize = storage.itemsize if dtype is None else dtype.itemsize
        numel, there = math.prod(size), storage.itemsize * storage.numel // itemsize
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if numel and (numel > there or last >= there):
            raise UnsafeError(_MORE_THAN_THERE)
        self.claimed += numel * itemsize
        self.tensors += 1
        if self.tensors > MAX_TENSORS:
            raise UnsafeError(TOO_MANY)
        return Tensor()

    def _parameter(self, data: Tensor, grad: bool, hooks: Any) -> Tensor:
        _expect(type(data) is Tensor, type(grad) is bool, hooks == {})
        return data

    def _size(self, numbers: Any) -> tuple[int, ...]:
        _expect(type(numbers) is tuple, len(numbers) <= 16)
        _expect(*(type(number) is int for number in numbers))
        return numbers

    def _ordered(self) -> Ordered:
        return Ordered()

    def _counter(self, counts: Any) -> dict[Any, Any]:
        _expect(type(counts) is dict)
        self.counted += len(counts)
        if self.counted > MAX_COUNTED:
            raise UnsafeError(TOO_MANY)
        return counts

    def _build(self) -> None:
        state = self.stack.pop()
        _expect(type(self.stack[-1]) is Ordered, type(state) is dict)
        _expect(set(state) <= {"_metadata"})  # others could hide the methods of a dictionary
        self.stack[-1].attributes = state

    def _text(self) -> None:
        pickle._Unpickler.dispatch[pickle.BINUNICODE[0]](self)  # pyright: ignore[reportArgumentType]
        if _CONTROL.search(self.stack[-1]):
            raise UnsafeError("it has text with characters that a terminal would obey")

    def _setitem(self) -> None:
        value = self.stack.pop()
        self._set([self.stack.pop(), value])

    def _setitems(self) -> None:
        self._set(self.pop_mark())  # pyright: ignore[reportAttributeAccessIssue]

    def _set(self, items: list[Any]) -> None:
        _expect(isinstance(self.stack[-1], dict))
        for key, value in zip(items[::2], items[1::2], strict=True):
            # The hash of nested tuples, or of chosen long integers, can take for ever.
            if type(key) is not str and (type(key) is not int or abs(key) >= 1 << 32):
                raise UnsafeError("it has keys that are neither words nor small numbers")
            self.stack[-1][key] = value

    dispatch: ClassVar[dict[int, Any]] = {
        getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]]
        for name in allowed.split()
    } | {
        pickle.BINUNICODE[0]: _text,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
    }


def _expect(*conditions: bool) -> None:
    if not all(conditions):
        raise TypeError
