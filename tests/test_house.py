"""The house's rules that no linter knows, read from the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline.version
from pipeline.version import VERSION
from weights import builtin

ROOT = Path(__file__).parents[1]
LINE = ("weights", "inversion", "editing", "pipeline")
SOURCES = [path for package in LINE for path in sorted((ROOT / package).rglob("*.py"))]
NETWORK = {
    "socket", "ssl", "urllib", "urllib3", "http", "ftplib", "smtplib", "requests", "httpx",
}  # fmt: skip
MAY_USE_NETWORK = {"weights/fetch.py", "pipeline/studio/serve.py"}
MAY_PRINT = {"pipeline/cli.py"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def broken_imports(package: str, source: str) -> list[str]:
    later = LINE[LINE.index(package) + 1 :]
    return [
        name for name in imported(source) if name.startswith(".") or name.split(".")[0] in later
    ]


def network_imports(source: str) -> list[str]:
    return [name for name in imported(source) if name.split(".")[0] in NETWORK]


def prints(source: str) -> list[int]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_left(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert broken_imports(package, path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_fetch_may_use_the_network(path: Path) -> None:
    if name_of(path) not in MAY_USE_NETWORK:
        assert network_imports(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_the_command_line_prints(path: Path) -> None:
    if name_of(path) not in MAY_PRINT:
        assert prints(path.read_text("utf-8")) == []


def test_the_rules_notice_a_breach() -> None:
    assert broken_imports("weights", "def f():\n    from pipeline.photo import Photo") == [
        "pipeline.photo"
    ]
    assert broken_imports("editing", "from . import spec") == ["."]
    assert network_imports("import urllib.request") == ["urllib.request"]
    assert prints("x = 1\nprint(x)") == [2]


def test_nothing_reads_or_writes_pickles() -> None:
    for path in SOURCES:
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert "pickle" not in {alias.name for alias in node.names}, name_of(path)
            if isinstance(node, ast.ImportFrom) and node.module == "pickle":
                assert {alias.name for alias in node.names} == {"UnpicklingError"}, name_of(path)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                flags = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert flags.get("weights_only") == "True", name_of(path)
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "torch.save", name_of(path)


def test_the_architecture_page_lists_every_file() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rooms = re.findall(r"^    (\w+)/ (.*(?:\n {8,}.*)*)", page, re.MULTILINE)
    listed = {(room, word) for room, files in rooms for word in files.split()}
    for path in SOURCES:
        if len(path.relative_to(ROOT).parts) == 2 and path.stem != "__init__":
            assert (path.parent.name, path.stem) in listed, name_of(path)


def test_the_checkout_is_what_is_tested() -> None:
    assert Path(pipeline.version.__file__).parents[1] == ROOT
    assert builtin.FOLDER == ROOT / "weights" / "builtin"


def test_nothing_names_a_place_of_one_machine() -> None:
    absolute = re.compile(r"(?<![a-zA-Z0-9_.])/(?:work|farm|tmp|home)/")
    pages = [*ROOT.glob("*.md"), *(ROOT / "weights").rglob("*.md"), *SOURCES]
    for path in pages:
        assert absolute.search(path.read_text("utf-8")) is None, name_of(path)


def test_contributing_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 60


def test_the_version_is_the_same_everywhere() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'\nversion = "{VERSION}"\n' in project
