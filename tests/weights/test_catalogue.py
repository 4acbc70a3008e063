"""The catalogue's facts: every entry complete, and no hash that nobody published."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, get_args, get_type_hints
from urllib.parse import urlsplit

import pytest

from weights.builtin import builtin_models
from weights.cache import is_name
from weights.catalogue import BETTER_FACES, CATALOGUE, Entry, find_entry, read_catalogue

ROWS: list[dict[str, Any]] = json.loads(CATALOGUE.read_text("utf-8"))
ENTRIES = list(read_catalogue().values())
OF_CHOICE = {
    field: get_args(hint)
    for field, hint in get_type_hints(Entry).items()
    if field in ("kind", "format", "folder", "hash", "confidence", "commercial")
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_field_is_there_and_of_its_type(row: dict[str, Any]) -> None:
    assert set(row) == {field.name for field in dataclasses.fields(Entry)}
    for field, choices in OF_CHOICE.items():
        assert row[field] in choices
    for field in ("name", "what", "file", "sha256", "licence", "source"):
        assert isinstance(row[field], str)
        assert row[field] == row[field].strip()
    for field in ("bytes", "bytes_about"):
        assert row[field] is None or (isinstance(row[field], int) and row[field] > 1000)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_says_what_it_is(entry: Entry) -> None:
    assert is_name(entry.name)
    assert not entry.name.endswith(("-encoder", "-directions"))
    assert entry.what
    assert "\n" not in entry.what
    assert entry.licence
    assert re.fullmatch(r"[\w.+-]+", entry.file)
    assert (entry.kind == "generator") == (entry.domain is not None) == bool(entry.resolution)
    assert entry.bytes is None or entry.bytes_about is None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_hashes_are_whole_or_marked(entry: Entry) -> None:
    digits = {"full": r"[0-9a-f]{64}", "prefix": r"[0-9a-f]{8,63}", "none": ""}[entry.hash]
    assert re.fullmatch(digits, entry.sha256)
    assert (entry.hash == "none") == (entry.confidence == "none")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_addresses_are_of_the_web_and_trusted_as_far_as_the_hash_goes(entry: Entry) -> None:
    assert entry.urls
    assert len(set(entry.urls)) == len(entry.urls)
    for url in (*entry.urls, entry.source):
        assert urlsplit(url).scheme in ("http", "https")
        assert urlsplit(url).netloc
    if entry.hash == "none":
        assert len(entry.urls) == 1
        assert entry.urls[0].startswith("https://")


def test_names_and_hashes_are_used_once() -> None:
    names = [row["name"] for row in ROWS]
    hashes = [entry.sha256 for entry in ENTRIES if entry.sha256]
    assert len(set(names)) == len(names)
    assert len(set(hashes)) == len(hashes)
    assert not set(names) & {model.name for model in builtin_models()}


def test_hashes_agree_with_the_names_that_quote_them() -> None:
    # PyTorch's files end in the first eight digits of their SHA-256.
    quoted = [re.search(r"-([0-9a-f]{8,10})\.", entry.file) for entry in ENTRIES]
    pairs = [(found[1], e.sha256) for found, e in zip(quoted, ENTRIES, strict=True) if found]
    assert len(pairs) >= 7
    assert all(sha256.startswith(digits) for digits, sha256 in pairs)


def test_the_generators_of_this_field_are_listed() -> None:
    names = {entry.name for entry in ENTRIES if entry.kind == "generator"}
    assert {
        "ffhq-1024", "ffhq-512", "ffhq-256", "metfaces-1024", "afhq-cat", "afhq-dog", "afhq-wild",
        "car", "cat", "horse", "lions-512", "dogs-1024", "horses-256", "elephants-512",
        "human-1024", "landscape-256",
    } <= names  # fmt: skip
    assert {"e4e-ffhq", "fan", "s3fd", "yunet", "lpips-alex", "raft-small"} <= set(read_catalogue())
    assert read_catalogue()[BETTER_FACES].domain == "face"


def test_a_file_is_known_by_its_hash() -> None:
    entry = read_catalogue()["ffhq-1024"]
    assert find_entry(entry.sha256) == entry
    assert find_entry("0" * 64) is None
    assert find_entry("") is None


def test_sizes_and_terms_are_for_people() -> None:
    entry = read_catalogue()["ffhq-1024"]
    assert entry.size == "382 MB"
    assert entry.terms.endswith("commercial use not allowed")
    assert read_catalogue()["afhq-wild"].size == "size unknown"
