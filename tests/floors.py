"""Prints pip constraints for the oldest versions that the package admits.

    python tests/floors.py > constraints-minimum.txt

Every floor (``>=``) of the dependencies and of the extras that the tests need is pinned; torch is
pinned as in ``constraints.txt``, because an older one is gigabytes of accelerator packages.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = (
    *("bayesian", "network", "profiling", "optimizers"),
    *("analysis", "storage", "clusters", "interop"),
)

FOUND = ("aiobotocore==2.26.0", "boto3==1.41.5", "botocore==1.41.5")
"""The newest that the oldest s3fs admits: pip finds them too, after a search of many minutes."""

CEILINGS = ("scikit-learn==1.7.2",)
"""Without a floor of ours: with later ones a regression of Syne Tune 0.15 (CQR) cannot predict."""

_FLOOR = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)(?:,.*)?")


def floors(project: dict[str, object], extras: tuple[str, ...] = EXTRAS) -> Iterator[str]:
    """Pins of the floors of a ``[project]`` table.

    :raises ValueError: a requirement has no floor
    """
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict)
    for requirement in [*project["dependencies"], *(r for e in extras for r in optional[e])]:  # type: ignore[misc]
        match = _FLOOR.fullmatch(requirement)
        if match is None:
            raise ValueError(f"{requirement!r} has no floor; write name>=version")
        if match[1] != "torch":
            yield f"{match[1]}=={match[2]}"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tested = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    print(
        "\n".join(
            [
                *floors(project),
                *FOUND,
                *CEILINGS,
                *(line for line in tested if line.startswith("torch==")),
            ]
        )
    )


if __name__ == "__main__":
    main()
