"""Configurations <-> integer matrix, and the canonical form. The one place that knows the columns.

A row of the matrix holds, for every hyperparameter in the order of ``Space.choices`` (num_layers,
embed_dim, bias, mlp_ratio_0 …, num_heads_0 …), the index of its value among the ascending choices.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError

IntMatrix = NDArray[np.integer[Any]]
Configuration = Mapping[str, Any]
Configurations = Iterable[Configuration] | ArrayLike
"""Dicts or a table of configurations, or rows of choice indices; see :meth:`Encoding.as_matrix`."""

NUM_LAYERS, EMBED_DIM, BIAS, FIRST_LAYER = 0, 1, 2, 3
"""Columns of the matrix; the MLP ratios start at ``FIRST_LAYER``, the heads max_layers later."""

_CHUNK = 256
"""Dicts that are read column by column at a time: few enough to stay in cache."""


class Encoding:
    """The encoding of one space.

    :param space: the space whose configurations are encoded
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = tuple(space.choices)
        self.sizes = np.array([len(values) for values in space.choices.values()], dtype=np.int64)
        """Number of choices of each column, shape (num_hyperparameters,)"""
        self._index = [{value: i for i, value in enumerate(v)} for v in space.choices.values()]
        self._columns = list(zip(self.names, self._index, strict=True))
        self._min_layers = space.num_layers[0]

    @property
    def num_columns(self) -> int:
        """Number of hyperparameters."""
        return len(self.names)

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Smallest and largest choice index of each column, shape (2, num_columns); inclusive."""
        return np.stack([np.zeros_like(self.sizes), self.sizes - 1])

    # -- configurations to matrix ----------------------------------------------------------

    def encode_one(self, configuration: Configuration) -> list[int]:
        """Choice indices of one configuration (not brought to canonical form).

        :raises InputError: a hyperparameter is missing, extra, or not among its choices
        """
        try:
            row = [index[configuration[name]] for name, index in self._columns]
        except (KeyError, TypeError, IndexError):
            raise self._error(configuration) from None
        if len(configuration) != len(row):
            raise self._error(configuration)
        return row

    def encode(self, configurations: Configurations) -> NDArray[np.uint8]:
        """Choice indices of configurations (not brought to canonical form).

        :param configurations: every form that :meth:`as_matrix` takes
        :return: shape (number of configurations, num_columns)
        :raises InputError: names the first bad configuration, its key, value and choices
        """
        return self.as_matrix(configurations).astype(np.uint8, copy=False)

    def as_matrix(self, configurations: Configurations) -> IntMatrix:
        """Configurations in any form as a checked matrix of choice indices.

        :param configurations: any iterable of dicts, one dict, or a pandas DataFrame with a
            configuration in every row; or choice indices of shape (n, num_columns): an integer
            array, a list of rows, a torch tensor. An integer array is checked and not copied (but
            for uint64), and nothing is written to
        :return: shape (n, num_columns)
        :raises InputError: wrong type, shape or value
        """
        if isinstance(configurations, Mapping):
            return self._encode_dicts([configurations])
        if _is_frame(configurations):
            return self._encode_dicts(_records(configurations))
        if hasattr(configurations, "__array__"):
            array = _as_array(configurations)
            if array.ndim != 1 or array.dtype != object:
                return self._check_matrix(array)
            configurations = array  # each element is a configuration
        if isinstance(configurations, str | bytes) or not isinstance(configurations, Iterable):
            raise InputError(
                f"configurations is a {type(configurations).__name__}; expected a list of dicts, "
                f"a DataFrame, or an integer matrix with {self.num_columns} columns"
            )
        rows: list[Any] = list(configurations)
        if rows and _is_row(rows[0]):
            return self._check_matrix(self._stack(rows))
        return self._encode_dicts(rows)

    def _encode_dicts(self, configurations: list[Configuration]) -> NDArray[np.uint8]:
        n = len(configurations)
        matrix = np.empty((n, self.num_columns), dtype=np.uint8)
        try:
            for begin in range(0, n, _CHUNK):
                chunk = configurations[begin : begin + _CHUNK]
                rows = matrix[begin : begin + _CHUNK]
                for column, (name, index) in enumerate(self._columns):
                    values = map(index.__getitem__, map(itemgetter(name), chunk))
                    rows[:, column] = np.fromiter(values, dtype=np.uint8, count=len(chunk))
            if all(len(c) == self.num_columns for c in configurations):
                return matrix
        except (KeyError, TypeError, IndexError):
            pass  # one by one, to tell which is bad
        for i, configuration in enumerate(configurations):
            try:
                matrix[i] = self.encode_one(configuration)
            except InputError as error:
                raise InputError(f"configuration {i}: {error}") from None
        return matrix

    def _stack(self, rows: list[Any]) -> NDArray[Any]:
        """Rows of choice indices as one array."""
        for i, row in enumerate(rows):
            if not _is_row(row) or len(row) != self.num_columns:
                raise InputError(
                    f"row {i} is {row!r:.80}; expected {self.num_columns} choice indices, as the "
                    f"encoding of space {self.space.name} has columns"
                )
        try:
            return np.array(rows)
        except (ValueError, TypeError) as error:
            raise InputError(f"the rows are no integer matrix: {error}") from None

    def _check_matrix(self, matrix: NDArray[Any]) -> IntMatrix:
        if matrix.ndim != 2 or matrix.shape[1] != self.num_columns:
            raise InputError(
                f"the matrix of space {self.space.name} has shape {matrix.shape}; expected "
                f"(n, {self.num_columns}): one column per hyperparameter"
            )
        if not np.issubdtype(matrix.dtype, np.integer):
            raise InputError(
                f"the matrix has dtype {matrix.dtype}; expected integers, the indices of choices"
            )
        if len(matrix) and (matrix.min() < 0 or (matrix.max(axis=0) >= self.sizes).any()):
            bad = (matrix < 0) | (matrix >= self.sizes)
            row, column = np.argwhere(bad)[0]
            raise InputError(
                f"matrix[{row}, {column}] ({self.names[column]}) is {matrix[row, column]}; "
                f"expected an index from 0 to {self.sizes[column] - 1}"
            )
        if matrix.dtype == np.uint64:  # which NumPy does not add to signed indices
            return matrix.astype(np.uint8)
        return matrix

    def _error(self, configuration: Any) -> InputError:
        """The error that says what is wrong with a configuration."""
        if not isinstance(configuration, Mapping):
            return InputError(
                f"a configuration is a {type(configuration).__name__}; expected a dict with the "
                f"keys {self.names[0]} … {self.names[-1]}"
            )
        for name in self.names:
            if name not in configuration:
                return InputError(
                    f"the configuration lacks {name!r}; space {self.space.name} has "
                    f"{self.num_columns} hyperparameters, every one must be given"
                )
        for name in configuration:
            if name not in self.space.choices:
                return InputError(
                    f"the configuration has {name!r}, which is no hyperparameter of space "
                    f"{self.space.name}; remove it"
                )
        for name, index in self._columns:
            value = configuration[name]
            try:
                known = value in index
            except TypeError:
                known = False
            if not known:
                choices = ", ".join(map(str, self.space.choices[name]))
                return InputError(f"{name} is {value!r}; choose one of {choices}")
        return InputError("the configuration is not valid")  # pragma: no cover

    # -- matrix to configurations ----------------------------------------------------------

    def decode_one(self, row: Sequence[int] | NDArray[Any]) -> dict[str, Any]:
        """The configuration of one row of choice indices."""
        return {
            name: values[int(i)]
            for (name, values), i in zip(self.space.choices.items(), row, strict=True)
        }

    def decode(self, matrix: IntMatrix) -> list[dict[str, Any]]:
        """The configurations of a matrix of choice indices.

        :raises InputError: wrong shape, type or value
        """
        return [self.decode_one(row) for row in self._check_matrix(matrix)]

    # -- canonical form --------------------------------------------------------------------

    def canonical(self, matrix: IntMatrix) -> IntMatrix:
        """A copy in which hyperparameters of inactive layers hold their smallest choice.

        :param matrix: choice indices, shape (n, num_columns)
        """
        out = matrix.copy()
        layers = np.array(self.space.num_layers)[out[:, NUM_LAYERS]]
        for i in range(self._min_layers, self.space.max_layers):
            inactive = layers <= i
            out[inactive, FIRST_LAYER + i] = 0
            out[inactive, FIRST_LAYER + self.space.max_layers + i] = 0
        return out

    def canonical_form(self, configuration: Configuration) -> dict[str, Any]:
        """The configuration of the same architecture in canonical form.

        Keys that are no hyperparameters stay as they are: a scheduler passes the constants of its
        configuration space along.

        :raises InputError: a hyperparameter is missing, or not among its choices
        """
        constants: dict[str, Any] = {}
        if isinstance(configuration, Mapping) and len(configuration) > self.num_columns:
            constants = {k: v for k, v in configuration.items() if k not in self.space.choices}
            configuration = {k: v for k, v in configuration.items() if k not in constants}
        return self.decode_one(self.canonical_row(self.encode_one(configuration))) | constants

    def canonical_row(self, row: Sequence[int]) -> list[int]:
        """Choice indices of one configuration in canonical form."""
        out = list(row)
        for i in range(self.space.num_layers[out[NUM_LAYERS]], self.space.max_layers):
            out[FIRST_LAYER + i] = out[FIRST_LAYER + self.space.max_layers + i] = 0
        return out

    # -- parts -------------------------------------------------------------------------------

    def layer_choices(self, matrix: IntMatrix) -> tuple[IntMatrix, IntMatrix]:
        """Views of the MLP ratio and head columns, each of shape (n, max_layers)."""
        middle = FIRST_LAYER + self.space.max_layers
        return matrix[:, FIRST_LAYER:middle], matrix[:, middle:]

    def active(self, matrix: IntMatrix) -> NDArray[np.bool_]:
        """Which layers exist in the network, shape (n, max_layers)."""
        layers = np.array(self.space.num_layers)[matrix[:, NUM_LAYERS]]
        return np.arange(self.space.max_layers) < layers[:, None]

    def sample(
        self, size: int, rng: np.random.Generator, *, stratified: bool = False
    ) -> NDArray[np.uint8]:
        """Architectures drawn uniformly from the space (every hyperparameter uniform).

        :param size: how many
        :param stratified: every (embed_dim, bias) as often as any other, or once more, in random
            order; the other hyperparameters stay uniform
        :return: canonical choice indices, shape (size, num_columns)
        """
        draws = rng.integers(0, self.sizes, size=(size, self.num_columns), dtype=np.int64)
        if stratified:
            cells = rng.permutation(np.arange(size) % (self.sizes[EMBED_DIM] * self.sizes[BIAS]))
            draws[:, EMBED_DIM], draws[:, BIAS] = np.divmod(cells, self.sizes[BIAS])
        return self.canonical(draws.astype(np.uint8))  # type: ignore[return-value]


def _is_frame(value: object) -> bool:
    """Whether it is a DataFrame; pandas is not imported for those who pass none."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _records(frame: Any) -> list[Configuration]:
    """The rows of a DataFrame as dicts."""
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"the DataFrame has the column {twice!r} twice; give it once")
    records: list[Configuration] = frame.to_dict("records")
    return records


def _is_row(value: object) -> bool:
    """Whether it is a row of choice indices: no dict, and no pandas Series, which has keys too."""
    if hasattr(value, "__array__"):
        return not hasattr(value, "keys") and len(getattr(value, "shape", ())) == 1
    return isinstance(value, list | tuple)


def _as_array(value: Any) -> NDArray[Any]:
    """An array, or what is like one, as an array; a tensor comes from any device."""
    try:
        return np.asarray(value.cpu() if hasattr(value, "cpu") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"configurations is a {type(value).__name__} that is no array of integers: {error}"
        ) from None
