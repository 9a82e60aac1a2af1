"""Products and Cholesky factors of matrices that have the same bits on every machine.

A BLAS adds in an order of its own, which depends on the processor and the number of threads. Where
no addition rounds, the order does not matter: matrices are split into parts of so few bits that the
products of parts are exact (Ozaki et al. 2012, "Error-free transformations of matrix
multiplication"), and what is left is computed element by element.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 32
"""Rows of a factor that are computed together."""


def product(a: Array, b: Array) -> Array:
    """Product of a (m, k) and b (k, n), to 2**-40 of the largest in a row of a and a column of b.

    A row of the result has the same bits whatever other rows a has, and likewise for columns.
    """
    bits = (52 - math.ceil(math.log2(max(a.shape[1], 1)))) // 2
    high_a, low_a = _split(a, bits, axis=1)
    high_b, low_b = _split(b, bits, axis=0)
    total = high_a @ high_b
    rest_a, rest_b = bool(low_a.any()), bool(low_b.any())
    if rest_a and rest_b:
        total += high_a @ low_b + low_a @ high_b
    elif rest_a:
        total += low_a @ high_b
    elif rest_b:
        total += high_a @ low_b
    return np.asarray(total)


def _split(matrix: Array, bits: int, axis: int) -> tuple[Array, Array]:
    """The leading bits, and as many that follow, relative to the largest entry along an axis."""
    largest = np.abs(matrix).max(axis=axis, keepdims=True, initial=0.0)
    # adding and subtracting a number of so many bits more rounds to a multiple of its last bit
    shift = np.ldexp(1.5, np.frexp(largest)[1] + (52 - bits))
    high = (matrix + shift) - shift
    shift = np.ldexp(shift, -bits)
    low = ((matrix - high) + shift) - shift
    return high, low


def inverse_factor(matrix: Array, known: Array | None = None) -> Array:
    """Inverse of the Cholesky factor of a positive definite matrix.

    :param matrix: (n, n), symmetric
    :param known: the result for a leading block of the matrix, (m, m): only the rest is computed,
        with the same bits, and rows of the matrix before m - ``BLOCK`` are not read
    :return: J, (n, n), lower triangular, with J' J the inverse of the matrix. Where the matrix is
        not positive definite, J is not finite.
    """
    n = len(matrix)
    inverse = np.zeros((n, n))
    start = 0
    if known is not None:
        start = len(known) // BLOCK * BLOCK
        inverse[:start, :start] = known[:start, :start]
    for p in range(start, n, BLOCK):
        q = min(p + BLOCK, n)
        before = inverse[:p, :p]
        across = product(matrix[p:q, :p], before.T)
        own = _small_inverse_factor(matrix[p:q, p:q] - product(across, across.T))
        inverse[p:q, p:q] = own
        inverse[p:q, :p] = -product(product(own, across), before)
    return inverse


def _small_inverse_factor(matrix: Array) -> Array:
    """The same for few rows, by elimination."""
    n = len(matrix)
    rows = np.hstack([matrix, np.eye(n)])
    for i in range(n - 1):
        rows[i + 1 :, i + 1 :] -= (rows[i + 1 :, i] / rows[i, i])[:, None] * rows[i, i + 1 :]
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse: Array = rows[:, n:] / np.sqrt(rows.diagonal())[:, None]
    return inverse
