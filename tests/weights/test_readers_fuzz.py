"""Damaged files and random instructions: a generator or one line, whatever the bytes are."""

from __future__ import annotations

import io
import pickletools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weights import foreign_nvidia, foreign_rosinality
from tests.weights.foreign_crafted import archive, text, torch_header, whole
from weights.errors import WeightsError
from weights.readers import read_generator
from weights.readers.cursor import Budget
from weights.readers.records import archive_table


def small_files() -> list[bytes]:
    """Networks of 8 px: two bare pickles, an archive and a file of the older format."""
    generator = foreign_nvidia.Generator(
        z_dim=4, w_dim=4, img_resolution=8, num_layers=1, channel_base=32, channel_max=4
    )
    files = [foreign_nvidia.pickled({"G_ema": generator}, protocol) for protocol in (2, 4)]
    state = foreign_rosinality.Generator({4: 4, 8: 4}, w_dim=4, n_mlp=1).state_dict()
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save({"g_ema": state}, buffer, _use_new_zipfile_serialization=zipped)
        files.append(buffer.getvalue())
    return files


FILES = small_files()
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4)), max_size=8)
NAMES = [name.rpartition(".") for name in archive_table(Budget())]
INSTRUCTIONS = [
    *(opcode.code.encode("latin-1") for opcode in pickletools.opcodes if opcode.arg is None),
    *(f"c{module}\n{name}\n".encode() for module, _, name in NAMES),
    *(text(word) for word in ("G_ema", "g_ema", "state", "storage", "latin1", "_modules", "0")),
    *(b"K" + bytes([k]) for k in (0, 1, 4, 255)),
    *(code + bytes([k]) for code in (b"q", b"h") for k in range(4)),
    *(b"B" + len(data).to_bytes(4, "little") + data for data in (b"", b"\0" * 8, torch_header())),
    b"cos\nsystem\n",
]


def assert_survives(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        config = read_generator(path).generator.config
    except WeightsError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600
    else:
        assert config.resolution == 8


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "network"


@settings(max_examples=120, deadline=None)
@given(data=st.sampled_from(FILES), edits=EDITS, cut=st.floats(0, 1))
def test_damaged_files(
    path: Path, data: bytes, edits: list[tuple[float, bytes]], cut: float
) -> None:
    changed = bytearray(data)
    for place, piece in edits:
        start = int(place * len(changed))
        changed[start : start + len(piece)] = piece
    end = int(cut * len(changed)) if cut < 0.3 else len(changed)
    assert_survives(path, bytes(changed[:end]))


@settings(max_examples=200, deadline=None)
@given(body=st.lists(st.sampled_from(INSTRUCTIONS), max_size=40), zipped=st.booleans())
def test_random_instructions(path: Path, body: list[bytes], zipped: bool) -> None:
    data = whole(b"".join(body))
    assert_survives(path, archive(data) if zipped else data)
