"""What each option of the default engine is worth (DragGAN's Tables 3 and 4, and our own).

The same pairs and the same protocol as `pipeline.evaluate.landmarks`, with one option changed at a
time.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from editing.drag import DragEngine
from editing.raft import raft_weights
from pipeline.edit import Watch, unwatched
from pipeline.evaluate.frechet import frechet_distance
from pipeline.evaluate.landmarks import edits_of, features_of, pair_settings
from pipeline.evaluate.pairs import PSI, REFERENCE_SIDE, PairMeasure, PairTask
from pipeline.evaluate.records import Records
from pipeline.evaluate.report import Cell, Evaluation, Row, Table, mean
from pipeline.evaluate.setting import Measurements, Setting

ABLATED_POINTS: Final = ("1", "5")

ABOUT = """\
The default engine with one option changed at a time, on the protocol of the landmark manipulation:
{pairs} pairs of samples of {generator} (psi {psi}), landmarks by {finder}, mean distance to the
targets in pixels of a crop of 512, Frechet distance from the unedited pictures on the features of
{network}. The first row is the engine as it is.
"""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An engine that differs in one thing.

    Attributes:
        part: what is varied.
        value: how.
        engine: with that.
    """

    part: str
    value: str
    engine: DragEngine


def variants(resolution: int) -> list[Variant]:
    """Every variant, for crops of this side."""
    base = DragEngine()
    half = min(resolution // 2, 128)
    made: list[Variant] = []

    def add(part: str, value: str, engine: DragEngine) -> None:
        made.append(Variant(part=part, value=value, engine=engine))

    for blocks in ((half // 2,), (half,), (2 * half,)):
        add("block", " + ".join(map(str, blocks)), replace(base, blocks=blocks))
    for radius in (3.0, 8.0):
        add("radius", f"{radius:g} px@512", replace(base, radius=radius))
    for tracker in ("none", "nearest", *(["raft"] if raft_weights() else [])):
        add("tracker", tracker, replace(base, tracker=tracker))
    add("supervision", "current patch", replace(base, source="current"))
    add("layers", "6", replace(base, layers=6))
    add("step length", "4 px@512", replace(base, step_length=4.0))
    return made


PARTS: Final = tuple(dict.fromkeys(variant.part for variant in variants(REFERENCE_SIDE)))


def evaluate_ablation(
    setting: Setting, *, parts: Collection[str] = PARTS, pairs: int, watch: Watch = unwatched
) -> Evaluation:
    """Measure the default engine and its variants.

    Args:
        setting: of every evaluation.
        parts: what is varied, names in `PARTS`.
        pairs: number of pairs.
        watch: sees the measurements go by.
    """
    measure = PairMeasure.begin(setting)
    every = variants(measure.models.generator.config.resolution)
    made = [
        Variant(part="default", value="", engine=DragEngine()),
        *(variant for variant in every if variant.part in parts),
    ]
    tasks = [
        PairTask(pair=pair, points=points, engine=engine)
        for pair in range(pairs)
        for points, engine in [
            ("", None),
            *((p, v.engine) for p in ABLATED_POINTS for v in made),
        ]
    ]
    depends_on = pair_settings(measure)
    records = Measurements(
        name="ablate", setting=setting, depends_on=depends_on, watch=watch
    ).measure({task.key: task for task in tasks}, partial(PairMeasure.begin, setting))
    return Evaluation(
        name="ablate",
        title="Ablation of the default engine",
        about=ABOUT.format(
            pairs=pairs,
            psi=PSI,
            generator=setting.generator,
            finder=depends_on["landmarks_by"],
            network=depends_on["frechet_network"],
        ),
        command=setting.command,
        tables=(
            Table(
                caption="Distances in px@512 and CPU seconds, for 1 and 5 points.",
                rows=[_row(records, variant, pairs) for variant in made],
            ),
        ),
        facts={"pairs": pairs, **depends_on},
    )


def _row(records: Records, variant: Variant, pairs: int) -> Row:
    starts = [records[PairTask(pair=pair).key] for pair in range(pairs)]
    cells: dict[str, Cell] = {"part": variant.part, "value": variant.value}
    for points in ABLATED_POINTS:
        edits = edits_of(records, points, variant.engine, pairs)
        cells |= {
            f"distance, {points}": mean(edits, "distance"),
            f"Frechet, {points}": frechet_distance(features_of(edits), features_of(starts)),
            f"steps, {points}": mean(edits, "steps"),
            f"CPU s, {points}": mean(edits, "cpu_seconds"),
        }
    return cells
