"""The Syne Tune blackboxes that answer from a surrogate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.config_space import randint

from hwgpt_blackbox.domain.encoding import Configurations, Encoding, IntMatrix
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS, Column, dataset_columns
from hwgpt_blackbox.errors import InputError, unknown
from hwgpt_blackbox.models.noise import MAX_REPEAT, POSITIONS, SESSIONS, check_repeat
from hwgpt_blackbox.models.prediction import Predictor, TargetFunction
from hwgpt_blackbox.models.surrogate import Surrogate

FIDELITY = "repeats"
"""Name of the fidelity attribute."""

FIDELITIES: dict[str, int] = {"single": 1, "repeats": POSITIONS}
"""Fidelity kinds to their number of levels."""

_SAMPLE_SIZE, _SAMPLE_SEED = 1000, 0


class HWGPTBlackbox(Blackbox):  # type: ignore[misc]
    """Full space of architectures on one device, or on all, answered by a surrogate.

    A query returns one measurement; scoring uses :meth:`expected_values`. Configurations of the
    same architecture get the same values.

    :param surrogate: the models of the space
    :param dataset: a device, or ``all``
    :param noise: whether queries are measurements; else they are expected values
    :param fidelity: ``single``, one level; or ``repeats``, levels 1 to 10: running means of the
        first repeats of a session, elapsed time cumulative
    :param cost_model: cost of an evaluation
    :param columns: objective name to column, elapsed time among them; default: the dataset's
    :param networks: targets that are answered by something else, see :class:`Predictor`
    :raises InputError: unknown dataset or fidelity
    """

    def __init__(
        self,
        surrogate: Surrogate,
        dataset: str,
        *,
        noise: bool = True,
        fidelity: str = "single",
        cost_model: CostModel | None = None,
        columns: Mapping[str, Column] | None = None,
        networks: Mapping[str, TargetFunction] | None = None,
    ) -> None:
        if not isinstance(noise, bool):
            raise InputError(f"noise is {noise!r}; expected True or False")
        if cost_model is not None and not isinstance(cost_model, CostModel):
            raise InputError(f"cost_model is {cost_model!r}; expected a CostModel, or None")
        if fidelity not in FIDELITIES:
            raise unknown("fidelity", fidelity, FIDELITIES)
        self.levels = FIDELITIES[fidelity]
        columns = columns or dataset_columns(dataset, surrogate.measured)
        super().__init__(
            configuration_space=surrogate.space.config_space(),
            fidelity_space={FIDELITY: randint(1, self.levels)},
            objectives_names=list(columns),
        )
        self.space = surrogate.space
        self.dataset = dataset
        self.noise = noise
        self._surrogate, self._networks, self._cost_model = surrogate, networks, cost_model
        self._columns = tuple(columns.values())
        self._elapsed = [c.metric == ELAPSED_TIME for c in columns.values()]
        self._noisy = [METRICS[c.metric].noisy for c in columns.values()]
        self._rng = np.random.default_rng()
        self._drawn: dict[tuple[int, ...], int] = {}

    @cached_property
    def predictor(self) -> Predictor:
        """What computes the values; made when first used, so that 15 datasets load at once."""
        return Predictor(
            self._surrogate,
            self._columns,
            self._cost_model,
            self._networks,
            positions=self.levels > 1,
        )

    @property
    def encoding(self) -> Encoding:
        """Encoding of the space."""
        return self.predictor.encoding

    @property
    def cost_model(self) -> CostModel:
        """Cost of an evaluation."""
        return self.predictor.cost

    @property
    def _seeds(self) -> int:
        """Seeds are below this. With several levels, a seed names a session and its repeats."""
        return MAX_REPEAT if self.levels == 1 else SESSIONS

    @property
    def fidelity_values(self) -> NDArray[np.int64]:
        """Levels of the fidelity, ascending."""
        return np.arange(1, self.levels + 1)

    def canonical_form(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of the same architecture in canonical form.

        :raises InputError: the configuration is not of this space
        """
        return self.encoding.canonical_form(configuration)

    # -- one query -----------------------------------------------------------------------------

    def objective_function(
        self,
        configuration: Mapping[str, Any],
        fidelity: Mapping[str, Any] | Number | None = None,
        seed: int | None = None,
    ) -> Any:
        """One measurement of one architecture.

        :param configuration: every hyperparameter of the space
        :param fidelity: a level, or None for all levels
        :param seed: number of the repeat: the same (architecture, device, metric, seed) always
            gives the same draw; None draws the number from the blackbox's own generator
        :return: shape (levels, objectives) without fidelity, else a dict of objectives
        :raises InputError: bad configuration, fidelity or seed
        """
        row = self.encoding.encode_one(configuration)
        level = self._level(fidelity)
        values = self._levels_of(row, self._repeat(seed, row))
        if level is None:
            return np.array(values)
        return dict(zip(self.objectives_names, values[level - 1], strict=True))

    def _levels_of(self, row: Sequence[int], repeat: int | None) -> list[list[float]]:
        """Values of one architecture at every level."""
        if self.levels == 1:
            return [self.predictor.one(row, repeat)]
        totals = [0.0] * len(self._noisy)
        values = []
        for level in range(1, self.levels + 1):
            drawn = None if repeat is None else repeat + (level - 1) * SESSIONS
            draw = self.predictor.one(row, drawn)
            totals = [total + value for total, value in zip(totals, draw, strict=True)]
            for j, noisy in enumerate(self._noisy):
                if self._elapsed[j]:
                    draw[j] = self.cost_model.partial(draw[j], level / self.levels)
                elif noisy and repeat is not None:
                    draw[j] = totals[j] / level
            values.append(draw)
        return values

    def _repeat(self, seed: int | None, row: Sequence[int]) -> int | None:
        """Number of the repeat to draw, None for expected values."""
        if not self.noise:
            return None
        if seed is None:
            drawn = int(self._rng.integers(self._seeds))
            if self.levels == 1:
                return drawn
            # A backend asks anew when it resumes a trial: it goes on with the same repeats.
            return self._drawn.setdefault(tuple(self.encoding.canonical_row(row)), drawn)
        repeat = check_repeat(seed)
        if repeat >= self._seeds:
            raise InputError(f"seed is {seed}; expected below {self._seeds}")
        return repeat

    def _level(self, fidelity: Any) -> int | None:
        """The fidelity level asked for, None for all."""
        if isinstance(fidelity, Mapping):
            if list(fidelity) != [FIDELITY]:
                raise InputError(
                    f"fidelity is {dict(fidelity)!r}; expected {{{FIDELITY!r}: level}}"
                )
            fidelity = fidelity[FIDELITY]
        if fidelity is None:
            return None
        if fidelity not in range(1, self.levels + 1):
            raise InputError(f"fidelity is {fidelity!r}; expected a level from 1 to {self.levels}")
        return int(fidelity)

    # -- many ----------------------------------------------------------------------------------

    def expected_values(self, configurations: Configurations) -> NDArray[np.float64]:
        """Expected values of architectures: the means of their measurements.

        :param configurations: dicts, a DataFrame, or choice indices of shape (n, hyperparameters):
            see :meth:`.Encoding.as_matrix`
        :return: shape (n, objectives), columns as in ``objectives_names``, natural units
        :raises InputError: a configuration is not of this space
        """
        return self.predictor.expected(self.encoding.as_matrix(configurations))

    def standard_deviations(self, configurations: Configurations) -> NDArray[np.float64]:
        """Standard deviations of single measurements: exact, 0 where there is no noise.

        :param configurations: dicts, a DataFrame, or choice indices of shape (n, hyperparameters):
            see :meth:`.Encoding.as_matrix`
        :return: shape (n, objectives), columns as in ``objectives_names``, natural units
        :raises InputError: a configuration is not of this space
        """
        matrix = self.encoding.as_matrix(configurations)
        return (
            self.predictor.deviations(matrix)
            if self.noise
            else np.zeros((len(matrix), len(self.objectives_names)))
        )

    def measurements(
        self, configurations: Configurations, seed: int | Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """Measurements of architectures, equal to those of single queries.

        :param configurations: dicts, a DataFrame, or choice indices of shape (n, hyperparameters):
            see :meth:`.Encoding.as_matrix`
        :param seed: number of the repeat, one for all or one each; None draws one each from the
            blackbox's own generator
        :return: shape (n, objectives), columns as in ``objectives_names``, natural units
        :raises InputError: a bad configuration or seed, or a blackbox with several levels
        """
        if self.levels > 1:
            raise InputError("measurements() is for blackboxes of one level; query this one singly")
        if not self.noise:
            return self.expected_values(configurations)
        matrix = self.encoding.as_matrix(configurations)
        n = len(matrix)
        if seed is None:
            repeats = self._rng.integers(MAX_REPEAT, size=n, dtype=np.uint64)
        elif isinstance(seed, Sequence | np.ndarray):
            repeats = np.array([check_repeat(k) for k in seed], dtype=np.uint64)
            if len(repeats) != n:
                raise InputError(f"{len(repeats)} seeds for {n} configurations; give one each")
        else:
            repeats = np.array([check_repeat(seed)], dtype=np.uint64)
        return self.predictor.measurements(matrix, repeats)

    # -- what Syne Tune reads of a table -------------------------------------------------------

    @property
    def _sample(self) -> IntMatrix:
        """The fixed sample of 1,000 uniform architectures, as choice indices."""
        return self.encoding.sample(_SAMPLE_SIZE, np.random.default_rng(_SAMPLE_SEED))

    @property
    def hyperparameters(self) -> pd.DataFrame:
        """A fixed sample of 1,000 uniform architectures, one column per hyperparameter.

        Syne Tune's transfer learning reads this and :attr:`objectives_evaluations`, and its
        surrogates are fitted to both.
        """
        return pd.DataFrame(self.encoding.decode(self._sample))

    @property
    def objectives_evaluations(self) -> NDArray[np.float64]:
        """Expected values of :attr:`hyperparameters`, natural units.

        :return: shape (1000, 1, levels, objectives)
        """
        values = np.repeat(self.predictor.expected(self._sample)[:, None, None], self.levels, 2)
        for level in range(1, self.levels):
            for j in np.flatnonzero(self._elapsed):
                share = level / self.levels
                values[:, 0, level - 1, j] = self.cost_model.partial(values[:, 0, -1, j], share)
        return values

    def hyperparameter_objectives_values(
        self, predict_curves: bool = False
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The fixed sample of 1,000 uniform architectures with expected values.

        Syne Tune fits its own surrogates to this; this blackbox needs none, it answers for every
        architecture.

        :param predict_curves: as in Syne Tune: all levels in one row of the second frame
        :return: hyperparameters (and the level, unless ``predict_curves``), and objectives
        """
        x, values = self.hyperparameters, self.objectives_evaluations[:, 0]
        if predict_curves:
            return x, pd.DataFrame(values.reshape(len(x), -1))
        frames = [x.assign(**{FIDELITY: level}) for level in range(1, self.levels + 1)]
        flat = values.swapaxes(0, 1).reshape(-1, values.shape[-1])
        y = pd.DataFrame(flat, columns=self.objectives_names)
        return pd.concat(frames, ignore_index=True), y
