"""README and the page of commands say what is true: each flag is there, the Python runs."""

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from editing.presets import PRESETS
from editing.regions import REGIONS
from pipeline.cli import build_parser
from pipeline.requestfile import read_request

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text("utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def subparsers(
    parser: argparse.ArgumentParser, name: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            for word, sub in action.choices.items():
                inner = list(subparsers(sub, f"{name}{word} "))
                yield from inner or [(f"{name}{word}", sub)]


COMMANDS = dict(subparsers(build_parser()))
SHELL = [
    line for block in blocks("sh") for line in block.splitlines() if line.startswith("photodrag ")
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described(name: str) -> None:
    assert f"`photodrag {name}" in COMMANDS_PAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_described_and_has_help(name: str) -> None:
    for action in COMMANDS[name]._actions:  # pyright: ignore[reportPrivateUsage]
        assert action.help, action.dest
        for flag in action.option_strings:
            if flag not in {"-h", "--help"}:
                assert re.search(rf"{re.escape(flag)}\b", COMMANDS_PAGE), flag


@pytest.mark.parametrize("page", [README, COMMANDS_PAGE], ids=["README", "commands"])
def test_no_flag_is_named_that_is_not_there(page: str) -> None:
    known = {flag for p in COMMANDS.values() for a in p._actions for flag in a.option_strings}  # pyright: ignore[reportPrivateUsage]
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) <= known


@pytest.mark.parametrize("line", SHELL)
def test_shell_lines_are_understood(line: str) -> None:
    args = build_parser().parse_args(shlex.split(line)[1:])
    assert callable(args.command)


def test_the_readme_has_the_two_commands_of_a_newcomer() -> None:
    install, test = (block.strip() for block in blocks("sh")[:2])
    assert install == (
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/photodrag demo"
    )
    assert test == ".venv/bin/pip install '.[test]' && .venv/bin/python -m pytest"


def test_presets_and_regions_are_listed() -> None:
    assert ", ".join(PRESETS) in COMMANDS_PAGE
    assert f"{', '.join(REGIONS)} or all" in COMMANDS_PAGE


def test_the_example_of_a_spec_is_read(tmp_path: Path) -> None:
    (block,) = blocks("json", COMMANDS_PAGE)
    (tmp_path / "spec.json").write_text(block)
    Image.new("L", (8, 8), 255).save(tmp_path / "mask.png")
    request = read_request(tmp_path / "spec.json")
    assert request.drags == (((310, 402), (318, 396)),)
    assert request.presets[0].name == "smile"
    assert request.region in REGIONS
    assert request.mask is not None


def test_links_lead_somewhere() -> None:
    for page, place in ((README, ROOT), (COMMANDS_PAGE, ROOT / "docs")):
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page):
            assert (place / target).exists(), target


def test_python_is_eight_lines_that_compile() -> None:
    (block,) = blocks("python")
    assert len(block.splitlines()) == 8
    ast.parse(block)


@pytest.mark.slow
def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("python")
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "portrait.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102
    assert (tmp_path / "edited.png").is_file()
