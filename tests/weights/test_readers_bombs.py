"""Small files that would take all memory or time: refused with one line, in little of both."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.weights import foreign_rosinality
from tests.weights.foreign_crafted import GROUPS, TENSOR, archive, call, module, text, whole

ROOT = Path(__file__).parents[2]


def cyclic() -> bytes:
    """A module that contains itself as `synthesis`."""
    cycle = b"h\x01" + text("_modules") + b"}" + text("synthesis") + b"h\x02ss0"
    return whole(module(b"}q\x01(" + GROUPS + b"u") + b"q\x020" + cycle + b"h\x02")


def wide() -> bytes:
    """Three levels of a thousand times the same module."""
    body = module(b"}(" + GROUPS + text("_modules") + b"}u")
    for level in range(3):
        below = b"h" + bytes([level])
        children = b"".join(text(f"m{k}") + below for k in range(1000)) + text("synthesis") + below
        body += b"q" + bytes([level]) + b"0"
        body += module(b"}(" + GROUPS + text("_modules") + b"}(" + children + b"uu")
    return whole(body)


def huge_tensor(elements: int) -> bytes:
    """An archive with a storage that is declared far larger than it is."""
    count = b"\x8a\x06" + elements.to_bytes(6, "little")
    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + count + b"tQ"
    )
    tensor = call(TENSOR, storage, b"K\x00", b"(" + count + b"t", b"(K\x01t", b"\x89", b"}")
    names = [n for n in foreign_rosinality.tiny().state_dict() if not n.endswith("kernel")]
    state = b"}(" + b"".join(text(name) + tensor for name in names) + b"u"
    return archive(whole(b"}" + text("g_ema") + state + b"s"), {"data/0": b"\0" * 64})


def memo_bomb() -> bytes:
    puts = b"".join(b"r" + struct.pack("<I", 2**32 - 1 - k) for k in range(1000))
    return whole(b"]" + puts)


def laughing() -> bytes:
    """Lists that hold the one before twice, in the place of the generator's architecture."""
    body = b"]q\x000"
    for level in range(100):
        body += b"](" + 2 * (b"h" + bytes([level])) + b"eq" + bytes([level + 1]) + b"0"
    parts = b"}" + text("synthesis") + module(b"}(" + GROUPS + text("_modules") + b"}u") + b"s"
    state = GROUPS + text("architecture") + b"hd" + text("_modules") + parts
    return whole(body + module(b"}(" + state + b"u"))


def encoded() -> bytes:
    values = (b"c_codecs\nencode\n", text("a" * 1_000_000), text("latin1"))
    body = b"".join(value + b"q" + bytes([k]) + b"0" for k, value in enumerate(values))
    return whole(body + b"]" + b"h\x00h\x01h\x02\x86Ra" * 100_000)


def big_directory() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for k in range(60_000):
            file.writestr(f"{k:040d}", b"")
    return buffer.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "zip bomb": lambda: archive(b"\0" * 500_000_000, compression=zipfile.ZIP_DEFLATED),
    "big directory": big_directory,
    "huge tensor": lambda: huge_tensor(2**36),
    "memo bomb": memo_bomb,
    "billion laughs": laughing,
    "encoded again and again": encoded,
    "empty lists": lambda: whole(b"](" + b"]" * 20_000_000 + b"e"),
    "deep tuples": lambda: whole(b")" + b"\x85" * 450_000),
    "deep lists": lambda: whole(b"](" * 150_000 + b"e" * 150_000),
    "cycle": cyclic,
    "wide modules": wide,
    "long announced": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x",
    "long text": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 60 << 21) + "😀".encode() * (30 << 20),
    "long line": lambda: b"\x80\x02V" + b"a" * 200_000_000 + b"\n.",
    "long integer": lambda: b"\x80\x02\x8b" + struct.pack("<I", 10**8) + b"\x7f" * 10**8,
    "long decimal": lambda: b"\x80\x02L" + b"9" * 5_000_000 + b"L\n.",
    "safetensors header": lambda: struct.pack("<Q", 2 << 30) + b'{"a": ' + b" " * 1000,
}  # fmt: skip

READ_ALL = """
import json, re, sys
from pathlib import Path
from weights.errors import WeightsError
from weights.readers import is_foreign, read_generator
from weights.readers.records import Storage, StoredTensor

def peak():
    # getrusage tells the peak of the process that forked this one, where that was higher.
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text()).group(1))

start = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_generator(path)
        line = "was read"
    except WeightsError as error:
        line = str(error)
    grown = peak() - start
    print(json.dumps([path.name, line, grown * 1024]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_bombs_take_little_memory(tmp_path: Path) -> None:
    for name, make in BOMBS.items():
        (tmp_path / name).write_bytes(make())
    result = subprocess.run(
        [sys.executable, "-c", READ_ALL, tmp_path],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == sorted(BOMBS)
    for name, line, grown in rows:
        assert "was not read" in line, name
        assert "\n" not in line, name
        assert grown < 1e9, f"{name}: {grown / 1e6:.0f} MB"
