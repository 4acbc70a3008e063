"""The page's pure state functions, tested under node by files of their own."""

import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "page"


def test_state_under_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: its tests of the page's state need version 20 or newer")
    files = sorted(str(path) for path in TESTS.glob("*.test.mjs"))
    ran = subprocess.run([node, "--test", *files], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
