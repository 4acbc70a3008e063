"""DragGAN's face landmark manipulation (Pan et al. 2023, Section 4.2, Table 1).

Two samples of the generator, landmarks found on both; the first is dragged until its landmarks lie
where the second one's do; landmarks are found again on the result.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from editing.engine import ENGINES
from pipeline.edit import Watch, unwatched
from pipeline.evaluate.frechet import frechet_distance
from pipeline.evaluate.networks import finder_sha256, generator_and_finder, words_of
from pipeline.evaluate.pairs import PSI, AnyEngine, PairMeasure, PairTask, unpack
from pipeline.evaluate.records import Records
from pipeline.evaluate.report import Evaluation, Row, Table, mean, numbers
from pipeline.evaluate.setting import Measurements, Setting
from pipeline.session import Json

ABOUT = """\
Two samples of the generator (psi {psi}), landmarks found on both; the first is dragged until its
landmarks lie where the second one's do; landmarks are found again on the result, and their mean
distance from the second one's is given in pixels of a crop of 512. Every row has the first of the
same {pairs} pairs. 1 point is the tip of the nose, 5 are the outer corners of the eyes, the tip
of the nose and the corners of the mouth, 68 are all; "mask" drags the outline of the mouth while
all but mouth and jaw is fixed, and the change of what is fixed is its mean absolute difference in
8-bit levels.

What departs from the paper: the generator ({generator}, {side} px) and the landmark finder
({finder}) are not the paper's FFHQ-512 StyleGAN2 and dlib; {pairs} pairs instead of 1,000; the
paper does not say which landmarks its 1 and 5 points are, nor its truncation. At most 300 steps,
as there, unless an engine's own limit is lower. The authors' engine ("reference" and "paper")
computes in float32, as it does on a processor, the default one in {dtype}; what is measured is
rendered in float32.

"Tracked" is the mean distance that the engine itself believes to have left. The Frechet distance
compares the edited pictures with the unedited ones on the features of {network}; with so few
pictures it compares only rows of this page with the same number of pairs. Seconds are those of
the edit alone; CPU seconds do not count the time when other programs had the processor.
"""

AGAINST = """\
The default engine's figures as shares of the reference's, on the pairs of both.
"""

FLOOR = """\
The landmark finder's own repeatability, px@512: mean distance between the landmarks of a picture
and those of the same picture shifted by up to 2 %, scaled by up to 3 % and turned by up to 2
degrees. No engine can be measured to be nearer than that.
"""


def evaluate_landmarks(
    setting: Setting,
    *,
    points: Mapping[str, int],
    engines: Mapping[str, int],
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure engines on the same pairs.

    Args:
        setting: of every evaluation.
        points: names in `POINT_SETS` and the most pairs for each.
        engines: names in `editing.engine.ENGINES` and the most pairs for each.
        watch: sees the measurements go by.
    """
    measure = PairMeasure.begin(setting)
    pairs = max(points.values())
    wanted = [PairTask(pair=pair) for pair in range(pairs)]
    wanted += [
        PairTask(pair=pair, points=name, engine=ENGINES[engine])
        for pair in range(pairs)
        for name, most in points.items()
        for engine, limit in engines.items()
        if pair < min(most, limit)
    ]
    measurements = Measurements(
        name="landmarks", setting=setting, depends_on=pair_settings(measure), watch=watch
    )
    in_order = sorted(wanted, key=lambda task: task.pair)
    records = measurements.measure(
        {task.key: task for task in in_order}, partial(PairMeasure.begin, setting)
    )
    starts = [records[PairTask(pair=pair).key] for pair in range(pairs)]
    floors = [cast("Json", start["repeatability"]) for start in starts]
    floor: Row = {"points": "repeatability"} | {p: mean(floors, p) for p in points}
    rows = [row for p, most in points.items() for row in _rows(records, p, engines, most)]
    tables = [
        Table(caption="Mean distance to the targets, px@512.", rows=rows),
        Table(caption=FLOOR.strip(), rows=[floor]),
    ]
    if {"default", "reference"} <= engines.keys():
        shared = min(engines["default"], engines["reference"])
        against = [_against(records, p, min(shared, most)) for p, most in points.items()]
        tables.insert(1, Table(caption=AGAINST.strip(), rows=against))
    return Evaluation(
        name="landmarks",
        title="Face landmark manipulation",
        about=_about(measure, pairs),
        command=setting.command,
        tables=tables,
        facts={"pairs": pairs, **pair_settings(measure)},
    )


def _about(measure: PairMeasure, pairs: int) -> str:
    models = measure.models
    return ABOUT.format(
        psi=PSI,
        pairs=pairs,
        network=measure.network.name,
        dtype=str(models.dtype).removeprefix("torch."),
        **words_of(models),
    )


def pair_settings(measure: PairMeasure) -> Json:
    """What measurements of pairs depend on."""
    return {
        **generator_and_finder(measure.models),
        "finder_sha256": finder_sha256(measure.models),
        "frechet_network": measure.network.name,
        "psi": PSI,
        "format": str(measure.models.dtype).removeprefix("torch."),
    }


def _rows(records: Records, points: str, engines: Mapping[str, int], most: int) -> list[Row]:
    """The rows of a point set: no edit, then every engine."""
    rows = [_row(points, None, _unedited(records, points, most), records)]
    for name, limit in engines.items():
        edits = edits_of(records, points, ENGINES[name], min(most, limit))
        rows.append(_row(points, name, edits, records))
    return rows


def _row(points: str, engine: str | None, edits: Sequence[Json], records: Records) -> Row:
    before = _unedited(records, points, len(edits))
    left, found = mean(edits, "distance"), numbers(edits, "distance")
    return {
        "points": points,
        "engine": engine or "no edit",
        "pairs": len(edits),
        "mean distance": left,
        "s.e.": float(found.std() / np.sqrt(max(len(found), 1))) if len(found) else None,
        "of no edit": None if left is None else left / float(numbers(before, "distance").mean()),
        "tracked": mean(edits, "tracked"),
        "Frechet": _apart(edits, before) if engine else None,
        "fixed change": mean(edits, "fixed_change"),
        "steps": mean(edits, "steps"),
        "seconds": mean(edits, "seconds"),
        "CPU seconds": mean(edits, "cpu_seconds"),
        "faces lost": len(edits) - len(found),
    }


def _against(records: Records, points: str, pairs: int) -> Row:
    """The default engine's figures as shares of the reference's, on the pairs of both."""
    default, reference = (
        edits_of(records, points, ENGINES[name], pairs) for name in ("default", "reference")
    )
    before = _unedited(records, points, pairs)
    return {
        "points": points,
        "pairs": pairs,
        **{
            name: _share(mean(default, column), mean(reference, column))
            for name, column in (
                ("mean distance", "distance"),
                ("seconds", "seconds"),
                ("CPU seconds", "cpu_seconds"),
                ("fixed change", "fixed_change"),
            )
        },
        "Frechet": _share(_apart(default, before), _apart(reference, before)),
    }


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _unedited(records: Records, points: str, pairs: int) -> list[Json]:
    """Rows of the unedited pairs, with the distance of one point set."""
    starts = [records[PairTask(pair=pair).key] for pair in range(pairs)]
    return [
        {
            "distance": cast("dict[str, float]", start["distance"])[points],
            "features": start["features"],
        }
        for start in starts
    ]


def edits_of(records: Records, points: str, engine: AnyEngine, pairs: int) -> list[Json]:
    """Rows of an engine's edits."""
    tasks = [PairTask(pair=pair, points=points, engine=engine) for pair in range(pairs)]
    return [records[task.key] for task in tasks]


def _apart(edits: Sequence[Json], before: Sequence[Json]) -> float:
    return frechet_distance(features_of(edits), features_of(before))


def features_of(rows: Sequence[Json]) -> NDArray[np.float64]:
    """Features [N, D] that records keep."""
    return np.stack([unpack(str(row["features"])) for row in rows])
