"""What each option of the default engine is worth (DragGAN's Tables 3 and 4, and further ones).

The same pairs and the same protocol as `pipeline.evaluate.landmarks`, with one option changed at a
time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from editing.drag import DragEngine
from editing.raft import raft_weights
from pipeline.edit import Watch, unwatched
from pipeline.evaluate.frechet import frechet_distance
from pipeline.evaluate.landmarks import edits_of, features_of, pair_settings
from pipeline.evaluate.pairs import POINT_SETS, PSI, REFERENCE_SIDE, PairMeasure, PairTask
from pipeline.evaluate.records import Records
from pipeline.evaluate.report import Cell, Evaluation, Row, Table, mean
from pipeline.evaluate.setting import Measurements, Setting

MASK_PART: Final = "mask weight"

ABOUT = """\
The default engine with one option changed at a time, on the protocol of the landmark manipulation:
up to {pairs} pairs of samples of {generator} (psi {psi}), landmarks by {finder}, mean distance to
the targets in pixels of a crop of 512, Frechet distance from the unedited pictures on the features
of {network}. The first row of a table is the engine as it is; "of default" are shares of its
figures on the same pairs.
"""


CAPTIONS: Final = {
    "1": "1 point, distance in px@512.",
    "5": "5 points, distance in px@512.",
    "mask": "The mouth's outline is dragged, all but mouth and jaw fixed.",
}


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

    @property
    def points(self) -> tuple[str, ...]:
        """Point sets that it is measured on."""
        return ("mask",) if self.part == MASK_PART else ("1", "5")


def variants(resolution: int) -> list[Variant]:
    """Every variant, for crops of this side."""
    base = DragEngine()
    half = min(resolution // 2, 128)
    made: list[Variant] = []

    def add(part: str, value: str, engine: DragEngine) -> None:
        made.append(Variant(part=part, value=value, engine=engine))

    for blocks in ((half // 2, half), (half,), (2 * half,)):
        add("block", " and ".join(map(str, blocks)), replace(base, blocks=blocks))
    for side in (half // 2, half, 2 * half):
        add("tracking block", f"{side}", replace(base, tracking_blocks=(side,)))
    for steps in (2, 3):
        add("gradient steps", f"{steps}", replace(base, gradient_steps=steps))
    for radius in (3.0, 8.0, 24.0):
        add("radius", f"{radius:g} px@512", replace(base, radius=radius))
    for tracker in ("none", "nearest", *(["raft"] if raft_weights() else [])):
        add("tracker", tracker, replace(base, tracker=tracker))
    add("supervision", "current patch", replace(base, source="current"))
    for layers in (4, 6, 10):
        add("layers", f"{layers}", replace(base, layers=layers))
    add("space", "w", replace(base, space="w"))
    for rate in (2.0, 4.5):
        add("learning rate", f"{rate:g}", replace(base, learning_rate=rate))
    for length in (1.0, 4.0):
        add("step length", f"{length:g} px@512", replace(base, step_length=length))
    # How far a picture is moved decides its Frechet; the reference stops at 8 on a crop of 128.
    for reach in (1.0, 2.0, 4.0, 8.0):
        add("reach", f"{reach:g} px@512", replace(base, reach=reach))
    for weight in (0.0, 4.0, 16.0):
        add("still weight", f"{weight:g}", replace(base, still_weight=weight))
    for weight in (0.0, 4.0, 12.0, 100.0):
        add(MASK_PART, f"{weight:g}", replace(base, mask_weight=weight))
    return made


PARTS: Final = tuple(dict.fromkeys(variant.part for variant in variants(REFERENCE_SIDE)))


def evaluate_ablation(
    setting: Setting, *, parts: Mapping[str, int], watch: Watch = unwatched
) -> Evaluation:
    """Measure the default engine and its variants.

    Args:
        setting: of every evaluation.
        parts: what is varied, names in `PARTS`, and the number of pairs for each.
        watch: sees the measurements go by.
    """
    measure = PairMeasure.begin(setting)
    every = variants(measure.models.generator.config.resolution)
    chosen = [variant for variant in every if variant.part in parts]
    pairs = max(parts.values())
    tasks = [PairTask(pair=pair) for pair in range(pairs)]
    tasks += [
        PairTask(pair=pair, points=points, engine=engine)
        for variant in chosen
        for pair in range(parts[variant.part])
        for points in variant.points
        for engine in (DragEngine(), variant.engine)
    ]
    tasks.sort(key=lambda task: task.pair)
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
        tables=[
            Table(caption=caption, rows=_rows(records, points, chosen, parts))
            for points, caption in CAPTIONS.items()
            if any(points in variant.points for variant in chosen)
        ],
        facts={"pairs": pairs, **depends_on},
    )


def _rows(
    records: Records, points: str, chosen: Sequence[Variant], parts: Mapping[str, int]
) -> list[Row]:
    """The engine as it is, then the variants that are measured on these points."""
    varied = [variant for variant in chosen if points in variant.points]
    most = max(parts[variant.part] for variant in varied)
    first = Variant(part="default", value="", engine=DragEngine())
    rows = [_row(records, points, first, most)]
    return rows + [_row(records, points, v, parts[v.part]) for v in varied]


def _row(records: Records, points: str, variant: Variant, pairs: int) -> Row:
    starts = [records[PairTask(pair=pair).key] for pair in range(pairs)]
    edits, default = (
        edits_of(records, points, engine, pairs) for engine in (variant.engine, DragEngine())
    )
    apart, before = (
        frechet_distance(features_of(rows), features_of(starts)) for rows in (edits, default)
    )
    left, usual = mean(edits, "distance"), mean(default, "distance")
    cells: dict[str, Cell] = {
        "part": variant.part,
        "value": variant.value,
        "pairs": pairs,
        "mean distance": left,
        "of default": left / usual if left is not None and usual else None,
        "Frechet": apart,
        "Frechet of default": apart / before if before else None,
        "steps": mean(edits, "steps"),
        "CPU seconds": mean(edits, "cpu_seconds"),
    }
    if POINT_SETS[points].regions:
        cells["fixed change"] = mean(edits, "fixed_change")
    return cells
