"""Products and factors with the same bits everywhere: against exact and LAPACK's results."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from hwgpt_blackbox.models.portable_algebra import BLOCK, inverse_factor, product


def covariance(n: int) -> np.ndarray:
    """A covariance matrix with a condition number of about 1e6."""
    x = np.random.default_rng(n).standard_normal((n, 3))
    apart = ((x[:, None] - x[None]) ** 2).sum(-1)
    return np.exp(-0.5 * apart) + 1e-4 * np.eye(n)


def test_a_product_is_exact_up_to_its_last_bits():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 30)), 1e5 * rng.standard_normal((30, 3))
    found = product(a, b)
    for i in range(4):
        for j in range(3):
            pairs = zip(a[i].tolist(), b[:, j].tolist(), strict=True)
            exact = sum(Fraction(x) * Fraction(y) for x, y in pairs)
            size = np.abs(a[i]).max() * np.abs(b[:, j]).max()
            assert abs(found[i, j] - float(exact)) < 2.0**-40 * size


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (1, 1, 1)])
def test_products_of_the_smallest(shape):
    m, k, n = shape
    np.testing.assert_array_equal(product(np.ones((m, k)), np.ones((k, n))), np.full((m, n), k))


def test_order_does_not_change_a_bit():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((70, 90)), rng.standard_normal((90, 50))
    whole, order = product(a, b), rng.permutation(90)
    np.testing.assert_array_equal(product(a[:, order], b[order]), whole)
    np.testing.assert_array_equal(product(a[3:20], b[:, 7:31]), whole[3:20, 7:31])


@pytest.mark.parametrize("n", [1, 31, 32, 33, 100])
def test_inverse_of_a_cholesky_factor(n):
    matrix = covariance(n)
    found = inverse_factor(matrix)
    np.testing.assert_array_equal(found, np.tril(found))
    expected = np.linalg.inv(np.linalg.cholesky(matrix))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("known", [1, 20, 40, 64, 100])
def test_a_factor_grows_with_the_same_bits(known):
    matrix = covariance(100)
    start = inverse_factor(matrix[:known, :known])
    whole = inverse_factor(matrix)
    matrix[: max(known - BLOCK, 0)] = np.nan
    np.testing.assert_array_equal(inverse_factor(matrix, start), whole)


def test_what_is_not_positive_definite_has_no_factor():
    with np.errstate(all="ignore"):
        assert not np.isfinite(inverse_factor(np.array([[1.0, 2.0], [2.0, 1.0]]))).all()


BITS = """
import hashlib, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_portable_algebra import covariance
from hwgpt_blackbox.models.portable_algebra import BLOCK, inverse_factor, product
factor = inverse_factor(covariance(150))
print(hashlib.sha256(factor.tobytes() + product(factor, factor.T).tobytes()).hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of this family")
def test_every_blas_kernel_gives_the_same_bits():
    found = {
        subprocess.run(
            [sys.executable, "-c", BITS, str(Path(__file__).parent)],
            env={**os.environ, **extra},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for extra in (
            {},
            {"OPENBLAS_CORETYPE": "NEHALEM", "OPENBLAS_NUM_THREADS": "1"},
            {"OPENBLAS_CORETYPE": "HASWELL", "OPENBLAS_NUM_THREADS": "2"},
        )
    }
    assert len(found) == 1
    assert len(found.pop()) > len(hashlib.sha256().digest())
