"""What the names in a StyleGAN2 pickle stand for here: values that hold data and do nothing.

`_reconstruct_persistent_obj` of NVIDIA's `torch_utils.persistence` carries a module's source code,
which it would run. Here it becomes a `PersistentObject`: the class's name and the object's state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from weights.errors import BrokenWeightsError
from weights.readers.cursor import Budget
from weights.readers.unpickle import Constructor, Global, Opaque

MAX_ENTRIES = 20_000
"""Of a dictionary that is looked through; an encoder's state has less than 2000."""
MAX_NAME = 200
"""Characters of a parameter's name."""

T = TypeVar("T")

STORAGE_DTYPES: dict[str, torch.dtype] = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}


@dataclass(eq=False)
class Storage:
    """The numbers behind tensors.

    Attributes:
        dtype: of its elements.
        elements: how many the file says there are.
        data: their bytes, little-endian; empty until the file's reader has found them.
    """

    dtype: torch.dtype
    elements: int
    data: memoryview


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that lies in a file; sizes and strides count elements and are not checked yet."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self) -> Tensor:
        """Copy the numbers into a float32 tensor.

        Raises:
            BrokenWeightsError: it reaches outside its storage, is no array of floats, or is not
                finite.
        """
        storage = self.storage
        elements = math.prod(self.size)
        reach = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if not elements or elements > storage.elements or self.offset + reach >= storage.elements:
            raise BrokenWeightsError(f"a tensor of shape {list(self.size)} exceeds its data")
        if len(storage.data) != storage.elements * storage.dtype.itemsize:
            raise BrokenWeightsError("the data of a tensor are cut off: get the file anew")
        if not storage.dtype.is_floating_point:
            raise BrokenWeightsError(f"a parameter is of type {storage.dtype}, not floating point")
        flat = _array(storage)[self.offset : self.offset + reach + 1]
        steps = [step * flat.itemsize for step in self.stride]
        array = np.lib.stride_tricks.as_strided(flat, self.size, steps, writeable=False)
        copied = torch.from_numpy(np.array(array, order="C")).view(storage.dtype)
        value = copied.float().reshape(self.size)
        if not value.isfinite().all():
            raise BrokenWeightsError(f"a tensor of shape {list(self.size)} holds NaN or infinity")
        return value


@dataclass(frozen=True, eq=False)
class PersistentObject:
    """An object of a class whose source code came with it, and was left alone."""

    class_name: str
    state: Mapping[str, object]


@dataclass(eq=False)
class NumpyType(Opaque):
    """Type of numpy's numbers; its name is the code, such as `f8`."""


@dataclass(eq=False)
class NumpyArray(Opaque):
    """An array of numpy; its state is (version, shape, type, whether columns come first, data)."""

    def stored(self) -> StoredTensor:
        """The array as a tensor.

        Raises:
            ValueError: it is not of float32.
            TypeError: its state is not that of an array.
        """
        _, shape, kind, fortran, data = cast("tuple[object, ...]", expect(self.state, tuple))
        if expect(kind, NumpyType).name != "f4":
            raise ValueError("an array of another type")
        size, view = lengths(shape), expect(data, memoryview)
        steps = [math.prod(size[:k] if fortran else size[k + 1 :]) for k in range(len(size))]
        storage = Storage(torch.float32, len(view) // 4, view)
        return StoredTensor(storage, 0, size, tuple(steps))


def _array(storage: Storage) -> np.ndarray:
    # numpy has no bfloat16: its bits travel as integers.
    kind = {torch.float64: "<f8", torch.float32: "<f4", torch.float16: "<f2"}
    return np.frombuffer(storage.data, kind.get(storage.dtype, "<i2"))


def text_keys(value: object) -> dict[str, object]:
    """A dictionary of the file's whose keys are text.

    Raises:
        TypeError: it is something else, or larger than any real file has.
    """
    entries = cast("dict[object, object]", expect(value, dict))
    if len(entries) > MAX_ENTRIES:
        raise TypeError("a dictionary of many entries")
    if not all(isinstance(key, str) and len(key) <= MAX_NAME for key in entries):
        raise TypeError("a key that is no name")
    return cast("dict[str, object]", entries)


def expect(value: object, kind: type[T]) -> T:
    """The value, which must be of this type.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"no {kind.__name__}")
    return value


def lengths(value: object) -> tuple[int, ...]:
    """A tuple of the file's that gives a tensor's size or stride.

    Raises:
        ValueError: a number that no tensor has.
        TypeError: it is no tuple of integers.
    """
    values = cast("tuple[object]", expect(value, tuple))
    if len(values) > 8:
        raise ValueError("more dimensions than any tensor has")
    numbers = tuple(expect(number, int) for number in values)
    if not all(0 <= number < 1 << 40 for number in numbers):
        raise ValueError("a size that no tensor has")
    return numbers


def storage_of(kind: object, elements: object) -> Storage:
    """An empty storage of the type that a file names.

    Raises:
        ValueError: it is no storage type, or the count is absurd.
        TypeError: the count is no integer.
    """
    name = expect(kind, Global).name
    if name not in STORAGE_DTYPES:
        raise ValueError(f"{name} is no storage")
    (count,) = lengths((elements,))
    return Storage(STORAGE_DTYPES[name], count, memoryview(b""))


def _only_named(name: str) -> Constructor:
    def refuse(_arguments: tuple[object, ...]) -> object:
        raise ValueError(f"{name} is called")

    return refuse


def _opaque(name: str) -> Constructor:
    return lambda _arguments: Opaque(name)


def _rebuild_tensor(arguments: tuple[object, ...]) -> StoredTensor:
    storage, offset, size, stride = arguments[:4]
    (start,) = lengths((offset,))
    sizes, strides = lengths(size), lengths(stride)
    if len(sizes) != len(strides):
        raise ValueError("a size without a stride")
    return StoredTensor(expect(storage, Storage), start, sizes, strides)


def _persistent_object(arguments: tuple[object, ...]) -> PersistentObject:
    (meta,) = arguments
    fields = cast("dict[str, object]", expect(meta, dict))
    if fields["type"] != "class":
        raise ValueError("a persistent object of an unknown type")
    return PersistentObject(expect(fields["class_name"], str), expect(fields["state"], dict))


def _dictionary(arguments: tuple[object, ...]) -> dict[object, object]:
    if arguments:
        raise ValueError("a dictionary made of arguments")
    return {}


def _reconstructed(arguments: tuple[object, ...]) -> object:
    """`copyreg._reconstructor(class, base, state)`: protocols 0 and 1 make an EasyDict with it."""
    kind, base, state = arguments
    if expect(kind, Global).name != EASY_DICT or expect(base, Global).name not in _DICT:
        raise ValueError("an object of an unknown class")
    return expect(state, dict)


def _numpy_number(arguments: tuple[object, ...]) -> float | int:
    kind, data = arguments
    code = expect(kind, NumpyType).name
    (number,) = np.frombuffer(expect(data, memoryview), f"<{code}")
    return number.item()


def _numpy_array(_arguments: tuple[object, ...]) -> NumpyArray:
    return NumpyArray("numpy array")


def _numpy_type(arguments: tuple[object, ...]) -> NumpyType:
    code = expect(arguments[0], str)
    if code not in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"):
        raise ValueError(f"numpy type {code}")
    return NumpyType(code)


EASY_DICT = "dnnlib.util.EasyDict"
TENSORFLOW = "dnnlib.tflib.network.Network"
_DICT = ("builtins.dict", "__builtin__.dict")
_NUMPY_CORES = ("numpy.core", "numpy._core")
_FIXED: dict[str, Constructor] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda arguments: expect(arguments[0], StoredTensor),
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "collections.OrderedDict": _dictionary,
    EASY_DICT: _dictionary,
    "argparse.Namespace": _opaque("argparse.Namespace"),
    TENSORFLOW: _opaque(TENSORFLOW),
    "numpy.dtype": _numpy_type,
    "numpy.ndarray": _only_named("numpy.ndarray"),
    **{f"{core}.multiarray.scalar": _numpy_number for core in _NUMPY_CORES},
    **{f"{core}.multiarray._reconstruct": _numpy_array for core in _NUMPY_CORES},
    **{f"{core}.numeric._frombuffer": _opaque("numpy array") for core in _NUMPY_CORES},
    # Python 3 writes the names of Python 2 into protocols 0 to 2.
    **{name: _only_named(name) for name in _DICT},
    **{f"{module}.set": _opaque("set") for module in ("builtins", "__builtin__")},
    **{f"{module}._reconstructor": _reconstructed for module in ("copyreg", "copy_reg")},
}
STORAGE_TABLE: dict[str, Constructor] = {name: _only_named(name) for name in STORAGE_DTYPES}
"""Names for the pickle of one bare storage."""


def archive_table(budget: Budget) -> dict[str, Constructor]:
    """Names for a file of torch.save, whose storages lie outside its pickle."""

    def encode(arguments: tuple[object, ...]) -> memoryview:
        text, codec = arguments
        if codec != "latin1":
            raise ValueError("bytes in an unknown codec")
        budget.spend(text=len(expect(text, str)))
        return memoryview(expect(text, str).encode("latin-1"))

    return {**_FIXED, **STORAGE_TABLE, "_codecs.encode": encode}


def plain_table(
    budget: Budget, load_from_bytes: Callable[[memoryview], Storage]
) -> dict[str, Constructor]:
    """Names for a bare pickle, whose storages lie inside it as files of torch.save."""

    def load(arguments: tuple[object, ...]) -> Storage:
        (data,) = arguments
        return load_from_bytes(expect(data, memoryview))

    return {**archive_table(budget), "torch.storage._load_from_bytes": load}
