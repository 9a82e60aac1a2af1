"""The recipes with which Syne Tune itself generates and hosts our artifacts.

Upstream needs one line: to add ``RECIPES`` to those of ``conversion_scripts/recipes.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys

from syne_tune.blackbox_repository.conversion_scripts.blackbox_recipe import BlackboxRecipe
from syne_tune.blackbox_repository.conversion_scripts.utils import blackbox_local_path

from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.storage.artifact_kinds import BLACKBOXES

CITATION = (
    "HW-GPT-Bench: Hardware-Aware Architecture Benchmark for Language Models. "
    "Sukthanker, R. S., Zela, A., Staffler, B., Klein, A., Purucker, L., Franke, J. K. H. and "
    "Hutter, F. NeurIPS 2024 Datasets and Benchmarks. arXiv:2405.10299"
)

SOURCE_VARIABLE = "HW_GPT_BENCH"
"""Environment variable that names a checkout of HW-GPT-Bench."""


class HWGPTRecipe(BlackboxRecipe):  # type: ignore[misc]
    """Generates one blackbox from a checkout of HW-GPT-Bench, which ``HW_GPT_BENCH`` names.

    :param name: of the blackbox
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, cite_reference=CITATION)

    def _generate_on_disk(self) -> None:
        """Convert into the folder of Syne Tune's repository; a former one is replaced.

        :raises InputError: no checkout is named, or another name's artifact serves this one
        :raises DataError: the conversion fails; it has said why on standard error
        """
        row = BLACKBOXES.get(self.name)
        if row is None:
            raise InputError(
                f"{self.name} is of a space of your own: make it of your measurements, with: "
                "hwgpt-blackbox convert SOURCE"
            )
        if row.artifact != self.name:
            raise InputError(f"{self.name} is read from {row.artifact}: generate that")
        source = os.environ.get(SOURCE_VARIABLE)
        if not source:
            raise InputError(
                f"{SOURCE_VARIABLE} is not set; it names a checkout of "
                "github.com/automl/HW-GPT-Bench"
            )
        # A process of its own, so that nothing here depends on the conversion.
        words = ["convert", source, "--space", row.space, "--overwrite"]
        words += ["--only", "tabular" if row.tabular else "surrogate"]
        words += ["--out", str(blackbox_local_path(self.name).parent)]
        done = subprocess.run([sys.executable, "-m", "hwgpt_blackbox", *words], check=False)  # noqa: S603
        if done.returncode:
            raise DataError(f"hwgpt-blackbox {' '.join(words)} failed; see above")


RECIPES = [HWGPTRecipe(name) for name, row in BLACKBOXES.items() if row.tabular]
"""The tables: what Syne Tune can load without this package."""
