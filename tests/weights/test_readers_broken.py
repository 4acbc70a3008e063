"""Files that are cut off, damaged, or something else altogether."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from tests.weights import foreign_rosinality
from tests.weights.foreign_crafted import archive, whole
from tests.weights.foreign_nvidia import pickled, tiny
from weights.errors import BrokenWeightsError, MissingWeightsError, UnsupportedWeightsError
from weights.readers import is_foreign, read_generator
from weights.readers.records import Storage, StoredTensor


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    """A whole file of each format."""
    files: dict[str, bytes] = {"nvidia": pickled({"G_ema": tiny()})}
    state = {"g_ema": foreign_rosinality.tiny().state_dict(), "latent_avg": torch.zeros(32)}
    for name, zipped in (("archive", True), ("old", False)):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
        files[name] = buffer.getvalue()
    return files


@pytest.mark.parametrize("kind", ["nvidia", "archive", "old"])
def test_truncated(kind: str, good: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "network"
    path.write_bytes(good[kind])
    assert read_generator(path).generator.config.resolution == 32
    for part in (0, 1, 5, 16, 300, 5000, 20_000, len(good[kind]) // 2, len(good[kind]) - 1):
        path.write_bytes(good[kind][:part])
        with pytest.raises(BrokenWeightsError, match="was not read") as caught:
            read_generator(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html>Quota exceeded</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        b"\x80\x63" + b"\0" * 40,
        struct.pack("<Q", 2) + b"{}",
    ],
)
def test_wrong_magic(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(content)
    assert not is_foreign(path)
    with pytest.raises(BrokenWeightsError, match=r"neither a pickle nor a file of torch\.save"):
        read_generator(path)


def test_archives_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "network.pt"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("word/document.xml", "")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(UnsupportedWeightsError, match="zip archive, but not one of torch"):
        read_generator(path)
    path.write_bytes(archive(whole(b"}"), {"byteorder": b"big"}))
    with pytest.raises(UnsupportedWeightsError, match="big-endian machine"):
        read_generator(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"none\.pkl is no file"):
        read_generator(tmp_path / "none.pkl")
    with pytest.raises(MissingWeightsError, match="is no file"):
        read_generator(tmp_path)


STORAGE = Storage(torch.float32, 12, memoryview(bytes(48)))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (StoredTensor(STORAGE, 0, (13,), (1,)), "exceeds its data"),
        (StoredTensor(STORAGE, 1, (12,), (1,)), "exceeds its data"),
        (StoredTensor(STORAGE, 0, (2, 6), (7, 1)), "exceeds its data"),
        (StoredTensor(STORAGE, 0, (2**39, 2**39), (0, 0)), "exceeds its data"),
        (StoredTensor(STORAGE, 0, (4, 4), (0, 1)), "exceeds its data"),
        (StoredTensor(STORAGE, 0, (0, 4), (4, 1)), "exceeds its data"),
        (StoredTensor(Storage(torch.float32, 2**36, STORAGE.data), 0, (3,), (1,)), "are cut off"),
        (StoredTensor(Storage(torch.float64, 12, STORAGE.data), 0, (3,), (1,)), "are cut off"),
        (StoredTensor(Storage(torch.int32, 12, STORAGE.data), 0, (3,), (1,)), "torch.int32"),
    ],
)
def test_tensors_stay_inside_their_data(tensor: StoredTensor, message: str) -> None:
    with pytest.raises(BrokenWeightsError, match=message):
        tensor.read()


def test_tensors_of_any_stride_inside_their_data() -> None:
    numbers = torch.arange(12.0)
    storage = Storage(torch.float32, 12, memoryview(numbers.numpy().tobytes()))
    read = StoredTensor(storage, 1, (2, 3), (1, 4)).read()
    assert torch.equal(read, numbers.as_strided((2, 3), (1, 4), 1))
    assert StoredTensor(storage, 11, (), ()).read().item() == 11
