"""kill -9 in the middle of a run, and the next life of the same folder."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pipeline.studio.talking import Talk
from tests.pipeline.studio.test_studio import ENDLESS, ask_for, corners

ROOT = Path(__file__).parents[3]


@contextmanager
def living(folder: Path, generator: Path) -> Generator[tuple[Talk, "subprocess.Popen[str]"]]:
    """The studio as its own process, started as a person starts it."""
    command = [
        sys.executable, "-m", "pipeline.cli", "studio", "--no-browser", "--port", "0",
        "--folder", str(folder), "--generator", str(generator), "--finder", "builtin",
        "--device", "cpu",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next(each for each in process.stderr if "http" in each)
        address = next(word for word in line.split() if word.startswith("http"))
        talk = Talk(address).open()
        yield talk, process
        talk.close()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.slow
def test_a_run_that_was_killed_is_found_again(folder: Path, tiny_file: Path) -> None:
    with living(folder, tiny_file) as (talk, process):
        talk.do("settings", settings={"engine": ENDLESS})
        ask_for(talk, points=corners(talk, 0.2), region="all")
        talk.do("run")
        reached = folder / "photos" / talk.state["photo"]["photo"]
        while not any(reached.rglob("running.safetensors")):
            talk.wait(lambda message: message["type"] == "progress")
        token, draft = talk.token, talk.state["draft"]
        process.kill()
    with living(folder, tiny_file) as (talk, process):
        assert talk.token == token
        state = talk.until(lambda state: bool(state["edits"]))
        (edit,) = state["edits"]
        assert (edit["stopped"], edit["parent"], state["shown"]) == ("stopped", 0, 1)
        assert edit["steps"] > 0
        talk.do("undo")
        assert (talk.state["shown"], talk.state["draft"]) == (0, draft)
        talk.idle()
        process.kill()
    with living(folder, tiny_file) as (talk, _):
        talk.idle()
        assert talk.state["redo"]
        assert len(talk.state["edits"]) == 1
