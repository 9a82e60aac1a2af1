"""Prediction: sums over layers, links, quantile noise. Bit-equal for one row and for millions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, reduce
from operator import xor

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import (
    BIAS,
    EMBED_DIM,
    FIRST_LAYER,
    NUM_LAYERS,
    Encoding,
    IntMatrix,
)
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, Column
from hwgpt_blackbox.models.noise import (
    POSITIONS,
    SESSIONS,
    QuantileTables,
    deviation_ratio,
    make_streams,
    tabulation_table,
    uniforms,
)
from hwgpt_blackbox.models.portable_arithmetic import exp, exp_one
from hwgpt_blackbox.models.surrogate import Surrogate

_CHUNK_VALUES = 1 << 17
"""Numbers held at once while predicting: bounds memory and keeps them in cache."""


TargetFunction = Callable[[IntMatrix], NDArray[np.float64]]
"""Values of one target for choice indices: (n, num_columns) to (n,), the same in any batch."""


class Predictor:
    """Answers for some columns of one surrogate; all values bit-equal in any batch.

    The coefficients lie on a binary grid (``portable_arithmetic.to_grid``), so that sums over
    layers are exact in any order; what follows them is one correctly rounded operation at a time.

    :param surrogate: the models
    :param columns: what to answer with, in this order
    :param cost: cost model of elapsed time
    :param networks: targets without noise that are answered by something else than the surrogate
    :param positions: whether repeat k + p * SESSIONS is measured as the p-th of its session; else
        every repeat is as any
    """

    def __init__(
        self,
        surrogate: Surrogate,
        columns: Sequence[Column],
        cost: CostModel | None = None,
        networks: Mapping[str, TargetFunction] | None = None,
        positions: bool = False,
    ) -> None:
        self.positions = positions
        self.surrogate = surrogate
        self.columns = tuple(columns)
        self.cost = cost or CostModel()
        self.encoding = Encoding(surrogate.space)
        self._targets = list(dict.fromkeys(t for c in columns for t in _needs(c)))
        self._plan = [[self._targets.index(t) for t in _needs(c)] for c in columns]
        self._timed = [j for j, c in enumerate(columns) if c.metric == ELAPSED_TIME]
        self._direct = [j for j in range(len(columns)) if j not in self._timed]
        self._direct_source = [self._plan[j][0] for j in self._direct]
        self._logs = [i for i, t in enumerate(self._targets) if surrogate.link(t) == "log"]
        # Latencies that only time the evaluation enter it as expected values: no draws of them.
        answered = sorted(set(self._direct_source))
        self._noisy = [i for i in answered if surrogate.is_noisy(self._targets[i])]
        self._networks = [
            (i, networks[t]) for i, t in enumerate(self._targets) if networks and t in networks
        ]
        layers = surrogate.space.max_layers
        self._codes = surrogate.space.layer_codes + 1  # with that of an inactive layer, the last
        self._offset = np.arange(layers, dtype=np.intp) * self._codes
        pairs = [len(surrogate.model(t).neighbours) for t in self._targets]
        self._paired = [i for i, order in enumerate(pairs) if order]
        self._order = max(pairs, default=0)
        self._powers = self._codes ** np.arange(self._order, -1, -1)
        self._rows = max(1, _CHUNK_VALUES // (layers * len(self._targets)))

    # Built at the first query: a dict of 14 blackboxes loads in no time.

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        """Terms: first a row per group, then one per (group, layer, code); a column per target."""
        terms = [self.surrogate.terms(target) for target in self._targets]
        start = np.stack([s for s, _ in terms], axis=-1)
        layer = np.stack([t for _, t in terms], axis=-1).reshape(-1, len(self._targets))
        return np.concatenate([start, layer])

    @cached_property
    def _neighbours(self) -> list[NDArray[np.float64]]:
        """Effects of neighbouring layers, of each target that has some, shape (rows,).

        With j_i the row of layer i in ``_table``, the effects of a layer and those before it are in
        row (j_(i-2) * codes + j_(i-1)) * codes + j_i (one factor less where terms look back one
        layer only); before the first layer there is an inactive one, which has none.
        """
        surrogate, codes, order = self.surrogate, self._codes, self._order
        groups, layers = surrogate.num_groups, surrogate.space.max_layers
        choices, stride = surrogate.space.layer_codes, codes * int(self._powers.sum())
        first = groups * int(self._powers.sum())  # row of an inactive layer's neighbours in group 0
        first -= codes * int((np.arange(order, -1, -1) * self._powers).sum())
        tables = []
        for target in (self._targets[i] for i in self._paired):
            effects = np.zeros((groups, layers, *[codes] * (order + 1)))
            for apart, part in enumerate(surrogate.neighbour_terms(target), start=1):
                older, between = order - apart, apart - 1  # layers that may be anything
                place = (slice(None), slice(apart, None), *[slice(None)] * older)
                pair = (slice(choices), *[slice(None)] * between, slice(choices))
                effects[*place, *pair] += part[:, apart:].reshape(
                    groups, -1, *[1] * older, choices, *[1] * between, choices
                )
            rows = np.zeros((groups * layers, stride))
            rows[:, : codes ** (order + 1)] = effects.reshape(groups * layers, -1)
            tables.append(np.concatenate([np.zeros(max(first, 0)), rows.ravel()[max(-first, 0) :]]))
        return tables

    def _begin(self, group: NDArray[np.intp]) -> NDArray[np.intp]:
        """First row of the layers of a group in ``_table``, shape (n,)."""
        return group * (self.surrogate.space.max_layers * self._codes) + self.surrogate.num_groups

    @cached_property
    def _words(self) -> NDArray[np.uint64]:
        """Random words in the rows of ``_table``: their exclusive-or keys an architecture."""
        groups = self.surrogate.num_groups
        words = tabulation_table(self.surrogate.space.name, groups, len(self._table) - groups)
        words[groups + self._codes - 1 :: self._codes] = (
            0  # an inactive layer is not part of the key
        )
        return words

    @cached_property
    def _word_list(self) -> list[int]:
        """The words as numbers of Python, quicker one at a time."""
        words: list[int] = self._words.tolist()
        return words

    @cached_property
    def _noise(self) -> QuantileTables:
        names = [self._targets[i] for i in self._noisy]
        streams = make_streams(names, [self.surrogate.models[name].dependence for name in names])
        quantiles = np.stack([self.surrogate.quantiles(name) for name in names], axis=1)
        positions = self.surrogate.positions(names) if self.positions else None
        return QuantileTables(self.surrogate.levels, quantiles, streams, positions)

    # -- many ----------------------------------------------------------------------------------

    def expected(self, matrix: IntMatrix) -> NDArray[np.float64]:
        """Expected values.

        :param matrix: checked choice indices, shape (n, num_columns); need not be canonical
        :return: shape (n, number of columns), natural units
        """
        return self.measurements(matrix, None)

    def measurements(
        self, matrix: IntMatrix, repeats: NDArray[np.uint64] | None
    ) -> NDArray[np.float64]:
        """Draws of the noisy columns, exact values of the others.

        :param matrix: checked choice indices, shape (n, num_columns)
        :param repeats: number of the repeat of each row, shape (n,) or (1,); None: expected values
        :return: shape (n, number of columns), natural units
        """
        n = len(matrix)
        out = np.empty((n, len(self.columns)))
        for begin in range(0, n, self._rows):
            part = slice(begin, min(begin + self._rows, n))
            group, index = self._index(matrix[part])
            values = self._table.take(index, axis=0).sum(axis=1)
            if self._paired:
                values[:, self._paired] += self._of_neighbours(group, index)
            for i in self._logs:
                values[:, i] = exp(values[:, i])
            for i, network in self._networks:
                values[:, i] = network(matrix[part])
            for j in self._timed:
                out[part, j] = self.cost.seconds(values[:, self._plan[j]].max(axis=1))
            if repeats is not None and self._noisy:
                keys = np.bitwise_xor.reduce(self._words.take(index), axis=1)
                rows = repeats[part] if len(repeats) > 1 else repeats
                u = uniforms(keys, self._noise.streams, rows)
                if self.positions:
                    position = np.minimum(rows // np.uint64(SESSIONS), np.uint64(POSITIONS - 1))
                    u = self._noise.at_positions(group, u, position.astype(np.intp))
                values[:, self._noisy] *= self._noise.ratios(group, u)
            out[part, self._direct] = values[:, self._direct_source]
        return out

    def deviations(self, matrix: IntMatrix) -> NDArray[np.float64]:
        """Standard deviations of measurements: exact, 0 for columns without noise.

        :param matrix: checked choice indices, shape (n, num_columns)
        :return: shape (n, number of columns), natural units
        """
        ratios = np.zeros((self.surrogate.num_groups, len(self.columns)))
        for j, i in zip(self._direct, self._direct_source, strict=True):
            if i in self._noisy:
                tables = self.surrogate.quantiles(self._targets[i])
                ratios[:, j] = deviation_ratio(self.surrogate.levels, tables)
        values = self.expected(matrix)
        for begin in range(0, len(matrix), self._rows):
            part = slice(begin, begin + self._rows)
            values[part] *= ratios[self._index(matrix[part])[0]]
        return values

    def _index(self, matrix: IntMatrix) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Group of each row, shape (n,), and its rows of the table, shape (n, 1 + max_layers)."""
        space, groups = self.surrogate.space, self.surrogate.group_shape
        group = np.ravel_multi_index(
            (matrix[:, EMBED_DIM], matrix[:, NUM_LAYERS], matrix[:, BIAS]), groups
        )
        mlp, heads = self.encoding.layer_choices(matrix)
        index = np.empty((len(matrix), 1 + space.max_layers), dtype=np.intp)
        index[:, 0] = group
        code = index[:, 1:]
        np.multiply(mlp, len(space.num_heads), out=code, casting="unsafe")
        code += heads
        layers = np.array(space.num_layers)[matrix[:, NUM_LAYERS]]
        for i in range(space.num_layers[0], space.max_layers):
            code[layers <= i, i] = self._codes - 1
        code += self._offset
        code += self._begin(group)[:, None]
        return group, index

    def _of_neighbours(
        self, group: NDArray[np.intp], index: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Sums of the effects of neighbouring layers, shape (n, targets that have some).

        :param group: shape (n,)
        :param index: of :meth:`_index`, shape (n, 1 + max_layers)
        """
        if self._order == 1:
            rows = index[:, 1:-1] * self._codes
        else:
            before = (self._begin(group) - 1)[:, None]
            rows = np.concatenate([before, index[:, 1:-2]], axis=1) * self._codes
            rows += index[:, 1:-1]
            rows *= self._codes
        rows += index[:, 2:]
        return np.stack([table.take(rows).sum(axis=1) for table in self._neighbours], axis=1)

    # -- one -----------------------------------------------------------------------------------

    def one(self, row: Sequence[int], repeat: int | None) -> list[float]:
        """Values of one architecture, the same bits as in a batch, several times faster.

        :param row: checked choice indices, length num_columns
        :param repeat: number of the repeat, or None for expected values
        :return: one number per column
        """
        space, groups = self.surrogate.space, self.surrogate.group_shape
        group = (row[EMBED_DIM] * groups[1] + row[NUM_LAYERS]) * groups[2] + row[BIAS]
        depth, middle = space.num_layers[row[NUM_LAYERS]], FIRST_LAYER + space.max_layers
        codes, width = self._codes, len(space.num_heads)
        start = self.surrogate.num_groups + group * space.max_layers * codes
        index = [group]
        index += [
            offset + width * mlp + heads
            for offset, mlp, heads in zip(
                range(start, start + depth * codes, codes),
                row[FIRST_LAYER : FIRST_LAYER + depth],
                row[middle : middle + depth],
                strict=True,
            )
        ]
        rows = np.array(index)
        values = self._table.take(rows, axis=0).sum(axis=0).tolist()
        if self._paired and depth > 1:
            rows[0] = start - 1  # an inactive layer before the first
            pairs = np.correlate(rows[2 - self._order :], self._powers)
            for i, table in zip(self._paired, self._neighbours, strict=True):
                values[i] += sum(table.take(pairs).tolist())
        for i in self._logs:
            values[i] = exp_one(values[i])
        for i, network in self._networks:
            values[i] = network(np.array([row])).item()
        elapsed = [
            (j, self.cost.seconds(max(values[i] for i in self._plan[j]))) for j in self._timed
        ]
        if repeat is not None and self._noisy:
            key = reduce(xor, map(self._word_list.__getitem__, index))
            position = min(repeat // SESSIONS, POSITIONS - 1) if self.positions else None
            ratios = self._noise.ratios_one(group, key, repeat, position)
            for i, ratio in zip(self._noisy, ratios, strict=True):
                values[i] *= ratio
        out = [0.0] * len(self.columns)
        for j, i in zip(self._direct, self._direct_source, strict=True):
            out[j] = values[i]
        for j, seconds in elapsed:
            out[j] = seconds
        return out


def _needs(column: Column) -> list[str]:
    """Targets from which a column is computed."""
    if column.metric != ELAPSED_TIME:
        return [column.target]
    return [f"latency@{device}" for device in column.devices]
