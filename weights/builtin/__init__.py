"""The networks that ship with photodrag, each with its model card."""

from pathlib import Path

FOLDER = Path(__file__).parent
