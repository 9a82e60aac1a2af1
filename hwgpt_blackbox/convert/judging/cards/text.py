"""Report cards as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwgpt_blackbox.convert.judging.holdouts import IN_SAMPLE
from hwgpt_blackbox.domain.objectives import METRICS


@dataclass(frozen=True)
class MeasureColumn:
    """A measure as a column.

    :param key: in the rows of a card
    :param heading: above the column
    :param form: format of its numbers
    """

    key: str
    heading: str
    form: str


COLUMNS = (
    MeasureColumn("mae", "MAE", ".4g"),
    MeasureColumn("rmse", "RMSE", ".4g"),
    MeasureColumn("medae", "median", ".4g"),
    MeasureColumn("r2", "R²", ".5f"),
    MeasureColumn("kendall_tau", "tau", ".4f"),
    MeasureColumn("mae_ratio", "MAE/LS", ".3f"),
    MeasureColumn("rmse_ratio", "RMSE/LS", ".3f"),
    MeasureColumn("r2_least_squares", "R² LS", ".5f"),
    MeasureColumn("crps_over_mean", "CRPS", ".4f"),
    MeasureColumn("miscalibration_area", "area", ".4f"),
    MeasureColumn("coverage_50", "50 %", ".3f"),
    MeasureColumn("coverage_90", "90 %", ".3f"),
    MeasureColumn("coverage_99", "99 %", ".4f"),
    MeasureColumn("share_non_positive", "<= 0", ".2g"),
)
"""Measures of a section, in this order."""

SECONDS = MeasureColumn("seconds", "s", ".1f")
"""What a family took to fit and predict."""

MEASUREMENTS = "measurements"
"""What a perplexity model is fitted on, if nothing else is said."""

LEGEND = (
    "MAE, RMSE, median absolute error: of the expected value against the mean of the measurements, "
    "in the unit; tau: Kendall's;\nLS: plain least squares on the same rows; CRPS: over the mean "
    "measurement; area: miscalibration area; 50, 90, 99 %: share of\nmeasurements within the "
    "central interval; <= 0: share of drawn measurements that are not positive."
)


def section_table(section: Mapping[str, Any]) -> str:
    """A section of a card: a heading, a line per target, a summary."""
    rows = [((name, _unit(name)), row) for name, row in section["targets"].items()]
    lines = _table(("target", "unit"), rows, COLUMNS)
    return "\n".join(
        [_heading(section), *lines, *_perplexity(section), *_summary(section["summary"])]
    )


def comparison_table(comparison: Mapping[str, Any]) -> str:
    """Families of surrogates side by side: a heading, and a line per target and family."""
    rows = [
        ((row["target"], _unit(row["target"]), row["family"]), row) for row in comparison["rows"]
    ]
    heading = (
        f"{comparison['split']} split, seed {comparison['seed']}: fitted on the same, judged on "
        "the same"
    )
    return "\n".join([heading, *_table(("target", "unit", "family"), rows, (*COLUMNS, SECONDS))])


def _table(
    titles: tuple[str, ...],
    rows: Sequence[tuple[tuple[str, ...], Mapping[str, Any]]],
    shown: Sequence[MeasureColumn],
) -> list[str]:
    """Lines of a table: names to the left, those measures to the right that some row has."""
    columns = [column for column in shown if any(column.key in row for _, row in rows)]
    cells = [(*titles, *(column.heading for column in columns))]
    for names, row in rows:
        cells.append((*names, *(_number(row.get(c.key), c.form) for c in columns)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if j < len(titles) else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _unit(target: str) -> str:
    metric = target.partition("@")[0]
    return METRICS[metric].unit if metric in METRICS else "?"


def _heading(section: Mapping[str, Any]) -> str:
    judged, foreign = f"{section['judged']:,}", section["fitted"] == 0
    if section["split"] == IN_SAMPLE:
        models = "the models, not fitted here," if foreign else "the artifact's models"
        return f"{'all' if foreign else IN_SAMPLE}: {models} on the {judged} measured"
    fitted = f"fitted on {section['fitted']:,}"
    if foreign:
        fitted = "not fitted here, may have seen them"
    split = f"{section['split']} split, seed {section['seed']}"
    return f"{split}: {fitted}, judged on {judged} held out"


def _perplexity(section: Mapping[str, Any]) -> list[str]:
    """What perplexity and error were judged on and fitted on, where that is not everything."""
    notes, lines = section.get("perplexity"), []
    for metric, plural in (("perplexity", "perplexities"), ("error", "errors")):
        judged = section.get(f"{plural}_judged")
        if isinstance(judged, int) and judged < section["judged"]:
            lines.append(f"{metric} was measured on {judged:,} of {section['judged']:,} only")
    source = notes.get("fitted_on") if isinstance(notes, Mapping) else None
    if isinstance(source, str) and source != MEASUREMENTS:
        lines.append(f"perplexity was fitted on {source}")
    return lines


def _summary(found: Mapping[str, Any]) -> list[str]:
    def get(key: str, form: str) -> str:
        return _number(found.get(key), form) or "?"

    if not found.get("targets"):
        return []
    lines = [
        f"over {get('targets', 'd')} noisy targets: R² {get('mean_r2', '.5f')} "
        f"(worst {found.get('worst_target')} {get('worst_r2', '.5f')}), "
        f"CRPS {get('mean_crps_over_mean', '.4f')}, "
        f"area {get('mean_miscalibration_area', '.4f')} "
        f"(largest {get('largest_miscalibration_area', '.4f')})"
    ]
    if "perplexity_kendall_tau" in found:
        lines[0] += f", perplexity tau {get('perplexity_kendall_tau', '.4f')}"
    if "mae_ratio" in found:
        lines.append(
            f"against least squares: MAE {get('mae_ratio', '.4f')} "
            f"(worst {get('worst_mae_ratio', '.3f')}), RMSE {get('rmse_ratio', '.4f')} "
            f"(worst {get('worst_rmse_ratio', '.3f')}), both lower on {get('both_lower', 'd')} of "
            f"{get('targets', 'd')}"
        )
    return lines


def _number(value: Any, form: str) -> str:
    """A number of a card as text; empty where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return format(int(value) if form == "d" else value, form)


LIST_HEADINGS = ("artifact", "split", "R²", "CRPS", "area", "perplexity tau", "worst target")


def list_row(name: str, card: Mapping[str, Any]) -> tuple[str, ...]:
    """One line for a card, under :data:`LIST_HEADINGS`: its first hold-out, or in sample."""
    sections = card["sections"]
    part = next((s for s in sections if s["split"] != IN_SAMPLE), sections[0])
    found = part["summary"]
    split = part["split"] if part["seed"] is None else f"{part['split']}/{part['seed']}"
    worst = found.get("worst_target")
    return (
        name,
        split,
        _number(found.get("mean_r2"), ".5f"),
        _number(found.get("mean_crps_over_mean"), ".4f"),
        _number(found.get("mean_miscalibration_area"), ".4f"),
        _number(found.get("perplexity_kendall_tau"), ".4f"),
        f"{worst} (R² {_number(found.get('worst_r2'), '.5f')})" if worst else "",
    )
