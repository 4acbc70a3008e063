"""Files that want to run code: refused with one line, and nothing of them was run."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.weights.foreign_crafted import Evil, archive, blob, call, text, torch_header, whole
from tests.weights.foreign_nvidia import SOURCE, pickled, snapshot, tiny, write_module
from weights.errors import UnsafeWeightsError
from weights.readers import read_generator

ROOT = Path(__file__).parents[2]


def in_state(canary: Path) -> bytes:
    """A whole snapshot whose generator has one more attribute."""
    generator = tiny()
    vars(generator.mapping)["callback"] = Evil(canary)
    return pickled(snapshot(generator))


def in_discriminator(canary: Path) -> bytes:
    return pickled({**snapshot(tiny()), "D": Evil(canary)})


def in_module(canary: Path) -> bytes:
    path = canary.with_suffix(".pt")
    generator = tiny()
    vars(generator)["callback"] = Evil(canary)
    write_module(path, generator)
    return path.read_bytes()


def nested_in_unused(canary: Path) -> bytes:
    """A good network; one storage that nobody needs is a pickle of another kind."""
    good = pickled(tiny(), 2)
    hidden = text("D") + blob(torch_header() + pickle.dumps(Evil(canary), 2))
    return whole(b"}(" + text("G_ema") + good[2:-1] + hidden + b"u")


RUNS_CODE: dict[str, Callable[[Path], bytes]] = {
    **{f"protocol {p}": lambda c, p=p: pickle.dumps({"G_ema": Evil(c)}, p) for p in range(6)},
    "in state": in_state,
    "in discriminator": in_discriminator,
    "in module": in_module,
    "nested first": lambda c: whole(blob(pickle.dumps(Evil(c), 2))),
    "nested object": lambda c: whole(blob(torch_header() + pickle.dumps(Evil(c), 2))),
    "nested unused": nested_in_unused,
    "nested twice": lambda _: whole(blob(torch_header() + whole(blob(b"")))),
    "old torch.save": lambda c: torch_header() + pickle.dumps(Evil(c), 2),
    "in archive": lambda c: archive(pickle.dumps(Evil(c), 2)),
    "keys of storages": lambda c: torch_header() + whole(b"N") + pickle.dumps(Evil(c), 2),
    **{
        f"other name {name}": lambda _, name=name: whole(call(name, text("canary")))
        for name in (
            "torch._utils _import_dotted_name",
            "torch._utils _rebuild_tensor",
            "torch load",
            "torch.storage os",
            "torch.storage _load_from_bytes.__globals__",
            "torch hub.load",
            "collections _sys.exit",
            "collections Counter",
            "builtins eval",
            "builtins getattr",
            "__builtin__ exec",
            "numpy.core.multiarray fromfile",
            "numpy load",
            "_codecs lookup",
            "dnnlib.util open_url",
            "torch_utils.persistence _src_to_module",
            "copyreg add_extension",
            "argparse FileType",
            "subprocess Popen",
            "Torch._utils _rebuild_tensor_v2",
        )
    },
    "stack global": lambda _: b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x010\x85R.",
    "inst": lambda c: b"\x80\x02(" + text(f"touch {c}") + b"ios\nsystem\n.",
    "obj": lambda c: b"\x80\x02(cos\nsystem\n" + text(f"touch {c}") + b"o.",
    "obj of an allowed name": lambda _: b"\x80\x02(ccollections\nOrderedDict\no.",
    "ext1": lambda _: b"\x80\x02\x82\x01)R.",
    "ext2": lambda _: b"\x80\x02\x83\x01\x00)R.",
    "ext4": lambda _: b"\x80\x02\x84\x01\x00\x00\x00)R.",
    "newobj_ex": lambda _: b"\x80\x04ccollections\nOrderedDict\n)}\x92.",
    "persid": lambda _: b"\x80\x02Psomewhere\n.",
    "binpersid": lambda _: whole(text("somewhere") + b"Q"),
    "next_buffer": lambda _: b"\x80\x05\x97.",
    "python 2 text": lambda _: b"\x80\x02U\x04evil.",
}


@pytest.mark.parametrize("name", RUNS_CODE)
def test_runs_nothing(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "network.pkl"
    path.write_bytes(RUNS_CODE[name](canary))
    with pytest.raises(UnsafeWeightsError, match="do not trust it") as caught:
        read_generator(path)
    assert "\n" not in str(caught.value)
    assert not canary.exists()


READ_ALL = """
import sys
from pathlib import Path
from weights.errors import UnsafeWeightsError
from weights.readers import read_generator

good, *evil = sorted(Path(sys.argv[1]).iterdir())
read_generator(good)
"".encode("raw_unicode_escape"), "".encode("cp437")  # Python imports its codecs when first used
watched = ("import", "exec", "compile", "os.", "subprocess.", "pickle.", "socket.", "ctypes.")
events = []
sys.addaudithook(lambda event, args: event.startswith(watched) and events.append((event, args)))
for path in evil:
    try:
        read_generator(path)
    except UnsafeWeightsError:
        pass
assert not events, events
eval("1")
assert events, "the hook hears nothing"
"""


@pytest.mark.slow
def test_the_interpreter_imports_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(pickled(snapshot(tiny())))
    for number, make in enumerate(RUNS_CODE.values(), start=1):
        (tmp_path / f"{number}").write_bytes(make(tmp_path / "canary"))
    subprocess.run([sys.executable, "-c", READ_ALL, tmp_path], cwd=ROOT, check=True)


def test_the_canary_would_sing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    function, arguments = Evil(canary).__reduce__()
    function(*arguments)
    assert canary.exists()


def test_source_code_is_only_text(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(pickled(snapshot(tiny())))
    assert SOURCE.encode() in path.read_bytes()
    assert read_generator(path).generator.config.resolution == 32
