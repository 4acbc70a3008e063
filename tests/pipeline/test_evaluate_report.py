"""Pages and tables of evaluations."""

import json
from pathlib import Path

import torch

from pipeline.evaluate.report import (
    Evaluation,
    Table,
    describe_machine,
    mean,
    numbers,
    to_markdown,
    write_evaluation,
)


def test_a_table_says_what_was_not_measured() -> None:
    rows = [{"engine": "a", "distance": 12.3456, "n": 3}, {"engine": "b", "distance": None}]
    assert to_markdown(rows).splitlines() == [
        "| engine | distance | n |",
        "| --- | ---: | ---: |",
        "| a | 12.35 | 3 |",
        "| b | not measured | not measured |",
    ]


def test_means_leave_out_what_could_not_be_measured() -> None:
    rows: list[dict[str, object]] = [{"x": 1.0}, {"x": None}, {}, {"x": 4.0}]
    assert numbers(rows, "x").tolist() == [1.0, 4.0]
    assert mean(rows, "x") == 2.5
    assert mean(rows, "y") is None


def test_an_evaluation_is_a_page_and_a_json_file(tmp_path: Path) -> None:
    evaluation = Evaluation(
        name="sizes",
        title="Sizes",
        about="How large things are. " * 20 + "\n\nSecond paragraph.",
        command="photodrag evaluate sizes",
        tables=[Table(caption="All.", rows=[{"thing": "a", "size": 2}])],
        facts={"pairs": 1},
    )
    record = write_evaluation(tmp_path, evaluation, torch.device("cpu"))
    assert json.loads((tmp_path / "sizes.json").read_text("utf-8")) == record
    assert record["pairs"] == 1
    assert record["tables"] == [{"caption": "All.", "rows": [{"thing": "a", "size": 2}]}]
    page = (tmp_path / "sizes.md").read_text("utf-8")
    assert page.startswith("# Sizes\n\nHow large")
    assert max(map(len, page.splitlines())) < 130
    assert "\n\nSecond paragraph.\n\n    photodrag evaluate sizes\n\n" in page
    assert page.endswith("| a | 2 |\n")


def test_a_machine_is_described_in_one_line() -> None:
    words = describe_machine(torch.device("cpu"))
    assert "\n" not in words
    assert "thread" in words
    assert f"PyTorch {torch.__version__.split('+')[0]}" in words
