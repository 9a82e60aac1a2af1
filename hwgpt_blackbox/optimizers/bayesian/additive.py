"""Gaussian process whose effects add up over the members of groups, in closed form, in NumPy.

What is fitted is computed with the same bits on every machine (``models.portable_algebra``): a fit
amplifies the last bit, and after ten suggestions all others would differ. What is predicted only
ranks candidates.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.models.portable_algebra import BLOCK, inverse_factor, product
from hwgpt_blackbox.models.portable_arithmetic import exp, log
from hwgpt_blackbox.optimizers._canonical import different_rows
from hwgpt_blackbox.optimizers._features import Features, Layout
from hwgpt_blackbox.optimizers.bayesian.outcome import Family, OutcomeModel
from hwgpt_blackbox.optimizers.bayesian.quasi_newton import minimise

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Values = dict[str, Vector]
"""Hyperparameters by name."""

LEAST_NOISE = 1e-4
"""Variance of the noise, at least, of standardised values: BoTorch's floor."""

_NOISE_PRIOR = (-4.0, 1.0)  # of its logarithm: BoTorch's
_FIRST, _FURTHER = 40, 15  # evaluations of the likelihood, in a first fit and from the last one
_TOLERANCE = 0.02  # gain in log posterior density that is not worth an evaluation
_STRIPE = 64  # rows of a triangular factor that are multiplied at once
_MIN_VARIANCE = 1e-18


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Consecutive slices of the given sizes."""
    ends = itertools.accumulate(sizes, initial=0)
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


class AdditivePrior:
    """Effects that add up over the members of groups, shared by them up to small deviations.

    With the context z (hyperparameters outside groups), the basis functions b of a group and
    its members i::

        f(x) = c(z) + s(z) * sum_b sum_i [w_b(z) + v_bi(z)] * active_i * b(x_i) + r(x)

    where c, w, v and r are Gaussian processes: w_b one effect for all members of the group, v_bi
    a deviation that varies smoothly with the member's position (a layer's depth), s a log-linear
    scale (in a wider network every layer costs more), and r a small rest that is not additive.
    Summing over members gives a covariance in closed form, of the cost of a linear kernel.

    BoTorch and GPyTorch have additive kernels (``OrthogonalAdditiveKernel``, ``AdditiveKernel``),
    but none in which members share one effect, which is what 100 trials can learn about 24 layers.

    All hyperparameters are logarithms with Gaussian priors, except the slope of log s, which is
    Gaussian itself, and the noise, whose prior is BoTorch's. Prior centres are for standardised
    values; they were set once, by hand, from the meaning of each, and are weak (a standard
    deviation of 1 is a factor of e).

    :param layout: columns of the features (see ``FeatureMap``)
    :ivar centre: where a fit starts, (hyperparameters,)
    :ivar spread: prior standard deviation of each, (hyperparameters,)
    """

    def __init__(self, layout: Layout) -> None:
        context, blocks = len(layout.context), len(layout.blocks)
        # name: number of values, prior mean, prior standard deviation
        table = {
            "log_context_variance": (1, math.log(0.5), 1.0),
            "log_context_lengthscale": (context, 0.5, 1.0),
            "log_effect_lengthscale": (context, 0.5, 1.0),
            "log_shared_variance": (blocks, math.log(0.1), 2.0),
            "log_deviation_variance": (blocks, math.log(0.03), 2.0),
            "log_position_lengthscale": (blocks, math.log(3.0), 1.0),
            "log_rest_variance": (1, math.log(0.01), 1.5),
            "log_rest_lengthscale": (1, math.log(3.0), 1.0),
            "slope": (context, 0.0, 1.0),
            "log_noise_above_least": (1, -5.0, 1.0),
        }
        counts = [count for count, _, _ in table.values()]
        self._places = dict(zip(table, _slices(counts), strict=True))
        self.centre = np.repeat([mean for _, mean, _ in table.values()], counts)
        self.spread = np.repeat([deviation for _, _, deviation in table.values()], counts)
        self._logarithm = np.repeat([name.startswith("log_") for name in table], counts)
        self.context = list(layout.context)
        self.members = [column for block in layout.blocks for column in block]
        sizes = [len(block) for block in layout.blocks]
        self._blocks = _slices(sizes)
        self._block = np.repeat(np.arange(blocks), sizes)
        self._step = np.concatenate([np.zeros(0), *(np.arange(size) for size in sizes)])
        self._gaps = [np.abs(np.subtract.outer(s, s)) for s in map(np.arange, sizes)]
        self.far = math.sqrt(max(len(self.members), 1))

    def named(self, state: Vector) -> Values:
        """Hyperparameters of a state (hyperparameters,), by name; logarithms as what they are of.

        ``noise`` is the variance of the noise.
        """
        plain = np.where(self._logarithm, exp(state), state)
        values = {name.removeprefix("log_"): plain[at] for name, at in self._places.items()}
        return {**values, "noise": LEAST_NOISE + values["noise_above_least"]}

    def packed(self, values: Values) -> Vector:
        """Derivatives by name as one vector, (hyperparameters,)."""
        return np.concatenate([values[name.removeprefix("log_")] for name in self._places])

    def _alike(self, v: Values) -> list[Matrix]:
        """Correlation of the deviations of each block's members."""
        near = exp(-self._step / v["position_lengthscale"][self._block])
        pairs = zip(self._blocks, self._gaps, strict=True)
        return [near[block][gaps] for block, gaps in pairs]

    def coupling(self, v: Values) -> Matrix:
        """Prior covariance of the effects of all members, (members, members)."""
        total = np.zeros((len(self.members), len(self.members)))
        for b, (block, alike) in enumerate(zip(self._blocks, self._alike(v), strict=True)):
            covariance = v["shared_variance"][b] + v["deviation_variance"][b] * alike
            # divided by the number of members: a block's variance then does not grow with it
            total[block, block] = covariance / len(alike)
        return total

    def coupling_slopes(self, v: Values, weights: Matrix) -> Values:
        """Derivatives of the sum of weights (members, members) times the coupling."""
        shared, own, bent = np.zeros((3, len(self._blocks)))
        for b, (block, alike) in enumerate(zip(self._blocks, self._alike(v), strict=True)):
            inside = weights[block, block] / len(alike)
            shared[b] = inside.sum()
            inside *= alike
            own[b], bent[b] = inside.sum(), (inside * self._gaps[b]).sum()
        return {
            "shared_variance": v["shared_variance"] * shared,
            "deviation_variance": v["deviation_variance"] * own,
            "position_lengthscale": v["deviation_variance"] * bent / v["position_lengthscale"],
        }

    def penalty(self, state: Vector, values: Values) -> tuple[float, Vector]:
        """Negative logarithm of the prior, up to a constant, and its derivatives."""
        away = (state - self.centre) / self.spread
        slope = away / self.spread
        noise, above = values["noise"], values["noise_above_least"]
        mean, deviation = _NOISE_PRIOR
        logarithm = log(noise)
        standard = (logarithm - mean) / deviation
        total = 0.5 * float((away[:-1] ** 2).sum()) + float((logarithm + 0.5 * standard**2)[0])
        slope[-1:] = (1 + standard / deviation) * above / noise
        return total, slope


@dataclass(frozen=True)
class Across:
    """Points as the posteriors at others see them: what does not depend on hyperparameters.

    :param places: different contexts, (contexts, context columns)
    :param where: context of each point, (m,)
    :param apart: squared differences of contexts to those of the data, (contexts, theirs, columns)
    :param members: (m, members)
    :param distances: squared distances of members to those of the data, (m, n)
    """

    places: Matrix
    where: npt.NDArray[np.intp]
    apart: Matrix
    members: Matrix
    distances: Matrix


@dataclass(frozen=True)
class Parts:
    """Covariance of points, in its parts, (rows, n) each; the noise is left out.

    :param context: correlation of contexts
    :param bend: squared distances over the length scale of the rest
    :param rest: covariance of the rest, where contexts are equal
    :param first: covariance of all that does not scale
    :param scale: factor of the effects
    :param second: covariance of the effects, scaled
    """

    context: Matrix
    bend: Matrix
    rest: Matrix
    first: Matrix
    scale: Matrix
    second: Matrix


class AdditivePoints:
    """See :class:`~hwgpt_blackbox.optimizers.bayesian.outcome.Points`.

    :param prior: the prior
    :param known: features, (n, columns)
    :param pending: features, (k, columns)
    """

    def __init__(self, prior: AdditivePrior, known: Features, pending: Features) -> None:
        self.prior, self.features = prior, np.concatenate([known, pending])
        self.places, self.where = different_rows(self.features[:, prior.context])
        self.apart = (self.places[:, None] - self.places[None]) ** 2
        self.members = np.ascontiguousarray(self.features[:, prior.members])
        squares = (self.members**2).sum(1)
        inner = product(self.members, self.members.T)
        self._distances = np.maximum(squares[:, None] + squares - 2 * inner, 0.0)

    def __len__(self) -> int:
        return len(self.features)

    def spread(self, small: Matrix) -> Matrix:
        """A matrix of contexts as one of points."""
        return small[self.where][:, self.where]

    def covariance(self, v: Values, start: int = 0) -> Parts:
        """Covariance of the points from one on with all; the same bits on every machine."""
        lengths = v["context_lengthscale"], v["effect_lengthscale"]
        logarithms = [-0.5 * (self.apart / length**2).sum(-1) for length in lengths]
        growth = ((self.places - 0.5) * v["slope"]).sum(-1)
        logarithms[1] += growth[:, None] + growth
        context, scale = (self.spread(small)[start:] for small in exp(np.array(logarithms)))
        bend = self._distances[start:] / (v["rest_lengthscale"] * self.prior.far) ** 2
        rest = v["rest_variance"] * exp(-0.5 * bend)
        first = context * (v["context_variance"] + rest)
        effects = product(product(self.members[start:], self.prior.coupling(v)), self.members.T)
        return Parts(context, bend, rest, first, scale, scale * effects)

    def across(self, x: Features) -> Across:
        """What posteriors of all outcomes need to know of features (m, columns)."""
        places, where = different_rows(x[:, self.prior.context])
        members = np.ascontiguousarray(x[:, self.prior.members])
        distances = members @ (-2 * self.members.T)
        distances += (members**2).sum(1)[:, None]
        distances += (self.members**2).sum(1)
        return Across(places, where, (places[:, None] - self.places[None]) ** 2, members, distances)


class Evidence:
    """Negative logarithm of the posterior density of hyperparameters, given data.

    The constant mean of the process is the most likely one.

    :param points: none of them pending
    :param y: standardised outcome, (n,)
    """

    def __init__(self, points: AdditivePoints, y: Vector) -> None:
        self._points, self._y = points, y

    def __call__(self, state: Vector) -> tuple[float, Vector]:
        """Value at a state (hyperparameters,), and derivatives (hyperparameters,)."""
        points, y = self._points, self._y
        prior, m, v = points.prior, points.members, points.prior.named(state)
        parts = points.covariance(v)
        inverse = inverse_factor(_noisy(parts, v))
        pivots = inverse.diagonal()
        if not np.isfinite(pivots).all():
            return math.inf, np.zeros(len(state))
        precision = product(inverse.T, inverse)
        alpha, _ = _weights(precision, y)
        value = 0.5 * float((alpha * y).sum()) - float(log(pivots).sum())

        weight = 0.5 * (precision - np.outer(alpha, alpha))
        by_context, by_effect = weight * parts.first, weight * parts.second
        by_rest = weight * parts.context * parts.rest
        slopes = prior.coupling_slopes(v, product(m.T, product(weight * parts.scale, m)))
        slopes["context_variance"] = (by_context.sum() - by_rest.sum()).reshape(1)
        slopes["rest_variance"] = by_rest.sum().reshape(1)
        slopes["rest_lengthscale"] = (by_rest * parts.bend).sum().reshape(1)
        apart = points.apart.transpose(2, 0, 1)
        for name, part in (("context", by_context), ("effect", by_effect)):
            total = np.array([(part * points.spread(a)).sum() for a in apart], dtype=float)
            slopes[f"{name}_lengthscale"] = total / v[f"{name}_lengthscale"] ** 2
        away = points.places[points.where] - 0.5
        slopes["slope"] = 2 * (away * by_effect.sum(1)[:, None]).sum(0)
        slopes["noise_above_least"] = weight.trace() * v["noise_above_least"]

        penalty, by_prior = prior.penalty(state, v)
        return value + penalty, prior.packed(slopes) + by_prior


def _noisy(parts: Parts, v: Values) -> Matrix:
    """Covariance of measurements; the rows that are not among the parts are 0."""
    rows, n = parts.first.shape
    covariance = np.zeros((n, n))
    np.add(parts.first, parts.second, out=covariance[n - rows :])
    covariance[np.arange(n - rows, n), np.arange(n - rows, n)] += v["noise"]
    return covariance


def _weights(precision: Matrix, y: Vector) -> tuple[Vector, float]:
    """Precision times what the most likely mean leaves of y, (n,), and that mean."""
    ones, told = precision.sum(1), (precision * y).sum(1)
    mean = told.sum() / ones.sum()
    return told - ones * mean, float(mean)


class AdditivePosterior:
    """Marginal posterior of one outcome.

    :param points: data, then pending ones
    :param v: hyperparameters
    :param inverse: of the Cholesky factor of the covariance of all points
    :param y: standardised outcome of the data, (n,)
    """

    def __init__(self, points: AdditivePoints, v: Values, inverse: Matrix, y: Vector) -> None:
        self._v, self._inverse, self._where = v, inverse, points.where
        self._places = points.places
        self._coupling = points.prior.coupling(v)
        self._effects = self._coupling @ points.members.T
        self._bend = -0.5 / (v["rest_lengthscale"] * points.prior.far) ** 2
        # the leading block of a Cholesky factor belongs to the data alone
        known = inverse[: len(y), : len(y)]
        self._weights, self._mean = _weights(known.T @ known, y)

    def __call__(self, at: Across) -> tuple[Vector, Vector]:
        """Mean and standard deviation (without noise) at ``points.across(...)``: (m,) each."""
        v, n = self._v, len(self._weights)
        context, alike = (
            np.exp(at.apart @ (-0.5 / v[name] ** 2))
            for name in ("context_lengthscale", "effect_lengthscale")
        )
        growth = np.exp((at.places - 0.5) @ v["slope"])
        scale = alike * np.outer(growth, np.exp((self._places - 0.5) @ v["slope"]))
        across = at.distances * self._bend
        np.exp(across, out=across)
        across *= v["rest_variance"]
        across += v["context_variance"]
        across *= context[:, self._where][at.where]
        effects = at.members @ self._effects
        effects *= scale[:, self._where][at.where]
        across += effects
        mean = self._mean + across[:, :n] @ self._weights
        variance = growth[at.where] ** 2 * ((at.members @ self._coupling) * at.members).sum(1)
        variance += v["context_variance"] + v["rest_variance"]
        for start in range(0, len(self._inverse), _STRIPE):
            rows = slice(start, start + _STRIPE)
            told = across[:, : rows.stop] @ self._inverse[rows, : rows.stop].T
            variance -= np.square(told, out=told).sum(1)
        return mean, np.sqrt(np.maximum(variance, _MIN_VARIANCE))


@dataclass
class AdditiveModel(OutcomeModel):
    """Model of one outcome with an additive covariance.

    :param state: hyperparameters of the last fit, (hyperparameters,); None before the first
    """

    state: Vector | None = None
    _features: Features | None = None
    _inverse: Matrix | None = None

    def _posterior(self, points: AdditivePoints, y: Vector, refit: bool) -> AdditivePosterior:
        prior, n = points.prior, len(y)
        if refit or self.state is None:
            known = AdditivePoints(prior, points.features[:n], points.features[:0])
            evidence = Evidence(known, y)
            start, most = (prior.centre, _FIRST) if self.state is None else (self.state, _FURTHER)

            def scaled(u: Vector) -> tuple[float, Vector]:
                value, slope = evidence(prior.centre + prior.spread * u)
                return value, slope * prior.spread

            u = (start - prior.centre) / prior.spread
            best = minimise(scaled, u, evaluations=most, tolerance=_TOLERANCE)
            self.state, self._features = prior.centre + prior.spread * best, None
        v = prior.named(self.state)
        shared, old = 0, None
        if self._features is not None and self._inverse is not None:
            shared = _same_rows(self._features, points.features)
            old = self._inverse[:shared, :shared]
        inverse = inverse_factor(_noisy(points.covariance(v, max(shared - BLOCK, 0)), v), old)
        self._features, self._inverse = points.features, inverse
        return AdditivePosterior(points, v, inverse, y)


def _same_rows(a: Features, b: Features) -> int:
    """How many of the first rows are equal."""
    n = min(len(a), len(b))
    differ = np.flatnonzero((a[:n] != b[:n]).any(axis=1))
    return int(differ[0]) if len(differ) else n


def additive(layout: Layout) -> Family:
    """Models of features laid out so."""
    return Family(functools.partial(AdditivePoints, AdditivePrior(layout)), AdditiveModel)
