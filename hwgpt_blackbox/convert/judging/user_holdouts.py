"""What the report card of a user's measurements is computed from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgpt_blackbox.convert.fitting.features import Architectures, Array
from hwgpt_blackbox.convert.fitting.user_models import enough, fit_user
from hwgpt_blackbox.convert.fitting.whole_space import fit_least_squares
from hwgpt_blackbox.convert.judging.holdouts import Evaluation, Split, steps_of
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate

MIN_CELL_HELD_OUT = 6
"""Architectures of 8 that are left to fit on while a fifth is held out."""


def user_evaluations(
    data: UserMeasurements,
    surrogate: Surrogate,
    splits: Sequence[Split],
    *,
    progress: Progress = silent,
) -> list[Evaluation]:
    """The evaluations of models of what a user measured: in sample, then one for each split.

    :param surrogate: models that were fitted to all of the data
    :param splits: hold-outs; the fit is repeated for each
    :raises DataError: a split holds none out
    """
    sample = Architectures(data.space, data.matrix)
    evaluations = [Evaluation(None, surrogate, sample, data.exact, data.noisy, {}, len(data), {})]
    for split in splits:
        train, test = split.rows(len(data), sample.cell)
        if not len(test):
            raise DataError(f"{split} holds none of {len(data)} architectures out; choose another")
        learn, held = data.take(train), data.take(test)
        fitting = [t for t in data.values if enough(learn, t, MIN_CELL_HELD_OUT)]
        held = held.only(fitting)
        learn = learn.only(fitting)
        fitted, notes = fit_user(learn, progress=steps_of(split, progress), least=MIN_CELL_HELD_OUT)
        floor = {target: _least_squares(learn, target) for target in fitting}
        evaluations.append(
            Evaluation(
                split,
                fitted,
                sample.take(test),
                held.exact,
                held.noisy,
                floor,
                len(train),
                notes,
            )
        )
    return evaluations


def _least_squares(data: UserMeasurements, target: str) -> AdditiveModel:
    rows = data.rows_of(target)
    values: Array = data.values[target][rows].mean(axis=1)
    return fit_least_squares(Architectures(data.space, data.matrix[rows]), np.asarray(values))
