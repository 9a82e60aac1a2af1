"""Finding and loading published AutoGluon predictors, and their features.

A predictor is a folder ``gpt_<metric>_<space>_<device>[_log]`` with ``Predictor_Target_Avg`` and
``Predictor_Target_Std``. Loading one executes pickles: ask for the user's consent first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, MissingExtraError, require
from hwgpt_blackbox.storage.manifest import sha256

BELOW_ROOT = "data_collection/gpt_datasets/predictor_ckpts/hwmetric/autogluon"
"""Where the predictors are in a checkout of HW-GPT-Bench."""

AVERAGE, DEVIATION = "Target_Avg", "Target_Std"
METRIC_NAMES = {"latencies": "latency", "energies": "energy"}

_FOLDER = re.compile(r"gpt_(latencies|energies)_([a-z]+)_(.+?)(_log)?")
_FEATURE = re.compile(r"arch_feature_?(\d+)")

Predict = Callable[[IntMatrix], tuple[Array, Array]]
"""Choice indices of shape (n, num_columns) to two outputs of shape (n,): mean, and deviation."""


@dataclass(frozen=True)
class PublishedPredictor:
    """One folder.

    :param target: ``latency@a100``
    :param path: of the folder
    :param logarithmic: whether its name says that the deviation is a logarithm
    """

    target: str
    path: Path
    logarithmic: bool

    def record(self) -> dict[str, str]:
        """Its folder's name, and a digest of every file in it, for a manifest."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.path.rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(self.path).as_posix()} {sha256(path)}\n".encode())
        return {"folder": self.path.name, "sha256": digest.hexdigest()}


def find_predictors(source: Path, space: Space) -> list[PublishedPredictor]:
    """The predictors of a space, one of each target; one that ends in ``_log`` comes first.

    :raises DataError: there is none
    """
    found: dict[str, PublishedPredictor] = {}
    for root in (source, source / BELOW_ROOT):
        for path in sorted(root.iterdir()) if root.is_dir() else ():
            match = _FOLDER.fullmatch(path.name)
            if match and match[2] == space.name and match[3] in DEVICES and path.is_dir():
                target = f"{METRIC_NAMES[match[1]]}@{match[3]}"
                if target not in found or match[4]:
                    found[target] = PublishedPredictor(target, path, bool(match[4]))
    if not found:
        raise DataError(
            f"{source} has no folder gpt_<latencies|energies>_{space.name}_<device>[_log]; name "
            "the folder of the predictors, or a checkout of HW-GPT-Bench that has them"
        )
    return list(found.values())


def require_autogluon() -> str:
    """Raise unless AutoGluon can be imported; its version.

    :raises MissingExtraError: it cannot
    """
    require("autogluon", extra="autogluon")
    try:
        import autogluon.tabular
    except ImportError as error:
        raise MissingExtraError(
            f"autogluon.tabular cannot be imported ({error}); install it with: "
            "pip install 'hwgpt-blackbox[autogluon]'"
        ) from None
    return str(autogluon.tabular.__version__)


def load_predictor(predictor: PublishedPredictor, space: Space) -> Predict:
    """Load both predictors of a folder: **executes their pickles**.

    :raises DataError: they cannot be loaded, or have features that we do not know
    """
    from autogluon.tabular import TabularPredictor

    paths = [predictor.path / f"Predictor_{label}" for label in (AVERAGE, DEVIATION)]
    models = []
    for path in paths:
        if not path.is_dir():
            raise DataError(f"{path} is missing; fetch the predictor anew")
        with _autogluon_errors(path, "be loaded"):
            models.append(
                TabularPredictor.load(
                    str(path),
                    verbosity=0,
                    require_version_match=False,
                    require_py_version_match=False,
                )
            )

    def predict(matrix: IntMatrix) -> tuple[Array, Array]:
        average, deviation = models
        data = feature_frame(space, matrix, average.features(), str(paths[0]))
        with _autogluon_errors(paths[0], "predict"):
            mean = np.asarray(average.predict(data), dtype=np.float64)
        names = [name for name in deviation.features() if name != AVERAGE]
        data = feature_frame(space, matrix, names, str(paths[1]))
        data[AVERAGE] = mean  # the second was fitted with the first's target as a feature
        with _autogluon_errors(paths[1], "predict"):
            return mean, np.asarray(deviation.predict(data), dtype=np.float64)

    return predict


@contextmanager
def _autogluon_errors(path: Path, what: str) -> Iterator[None]:
    """Raise our error for any of AutoGluon's.

    Predictors of other versions, and stacks of models whose libraries are missing, fail in many
    ways, some only when they predict.

    :raises DataError: says what cannot be done, why, and the cure
    """
    try:
        yield
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0][:200]
        raise DataError(
            f"{path} cannot {what} ({type(error).__name__}: {first_line}); AutoGluon needs the "
            "version that saved the predictor, and the libraries of every model in it (catboost, "
            "fastai, lightgbm, xgboost …)"
        ) from error


def natural_features(space: Space, matrix: IntMatrix) -> NDArray[np.int64]:
    """Features as the published predictors know them: choices, -1 where a layer is inactive.

    :return: embed, layers, MLP ratios, heads, bias, shape (n, 3 + 2 * max_layers)
    """
    encoding = Encoding(space)
    active = encoding.active(matrix)
    mlp, heads = encoding.layer_choices(matrix)
    parts = (
        np.array(space.embed_dims)[matrix[:, 1]][:, None],
        np.array(space.num_layers)[matrix[:, 0]][:, None],
        np.where(active, np.array(space.mlp_ratios)[mlp], -1),
        np.where(active, np.array(space.num_heads)[heads], -1),
        matrix[:, 2].astype(np.int64)[:, None],
    )
    return np.concatenate(parts, axis=1)


def feature_frame(
    space: Space, matrix: IntMatrix, names: Sequence[str], where: str
) -> pd.DataFrame:
    """The features of architectures under a predictor's names for them.

    :param names: ``arch_feature_<i>`` or ``arch_feature<i>``, or our names of hyperparameters
    :raises DataError: a name is neither
    """
    layers = range(space.max_layers)
    ours = ["embed_dim", "num_layers", *(f"mlp_ratio_{i}" for i in layers)]
    ours += [*(f"num_heads_{i}" for i in layers), "bias"]
    values = natural_features(space, matrix)
    columns = {}
    for name in names:
        match = _FEATURE.fullmatch(name)
        index = int(match[1]) if match else ours.index(name) if name in ours else len(ours)
        if index >= len(ours):
            raise DataError(
                f"{where} has the feature {name!r}; expected arch_feature_0 to "
                f"arch_feature_{len(ours) - 1}, or hyperparameters of space {space.name}"
            )
        columns[name] = values[:, index]
    return pd.DataFrame(columns)
