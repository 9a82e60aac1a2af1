"""The standard problems of a space, with what is known of each: shipped inside the artifact."""

from __future__ import annotations

from typing import Any

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.fronts.reference_front import reference_front
from hwgpt_blackbox.models.ideal_and_nadir import REFERENCE_POINT, SAMPLE_SEED, SAMPLE_SIZE, bounds
from hwgpt_blackbox.models.surrogate import Surrogate

AGNOSTIC = ("flops", "params", "memory_float16", "memory_bfloat16")
"""Objectives that do not depend on the device, each paired with perplexity."""


def standard_pairs() -> list[tuple[str, str]]:
    """The objectives of every standard problem: three for each device, and four of no device."""
    pairs = [("perplexity", f"{metric}@{d}") for d in DEVICES for metric in ("latency", "energy")]
    pairs += [(f"latency@{device}", f"energy@{device}") for device in DEVICES]
    return pairs + [("perplexity", name) for name in AGNOSTIC]


def standard_problems(surrogate: Surrogate) -> dict[str, Any]:
    """Ideal, nadir and reference point, and optimal hypervolume of every standard problem.

    Takes about 10 s for space s and 30 s for m and l, on one core.

    :param surrogate: the models; the bounds of its manifest are used if it has any
    :return: ready for JSON: ``reference_point`` (normalised, of every objective), ``sample_size``
        and ``seed`` of the bounds, and under ``problems``, by ``"perplexity latency@a100"``:
        ``objectives``, ``ideal``, ``nadir`` (natural units), ``reference_point`` (natural units),
        ``hypervolume`` (normalised, of the exact front), ``front_size`` and ``exact``
    :raises DataError: the surrogate's coefficients are too fine for exact sums
    """
    if "bounds" not in surrogate.manifest:
        manifest = {**surrogate.manifest, "bounds": bounds(surrogate)}
        surrogate = Surrogate(surrogate.space, surrogate.models, surrogate.levels, manifest)
    recorded = surrogate.manifest["bounds"]
    problems: dict[str, Any] = {}
    for pair in standard_pairs():
        front = reference_front(surrogate.space.name, pair, surrogate=surrogate)
        corner = front.ideal + REFERENCE_POINT * (front.nadir - front.ideal)
        problems[" ".join(pair)] = {
            "objectives": list(pair),
            "ideal": front.ideal.tolist(),
            "nadir": front.nadir.tolist(),
            "reference_point": corner.tolist(),
            "hypervolume": front.hypervolume(),
            "front_size": len(front),
            "exact": front.exact,
        }
    return {
        "reference_point": REFERENCE_POINT,
        "sample_size": recorded.get("sample_size", SAMPLE_SIZE),
        "seed": recorded.get("seed", SAMPLE_SEED),
        "problems": problems,
    }
