"""The problems of BoTorch: BoTorch's own test cases, and our values and fronts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

from botorch.utils.testing import (  # noqa: E402
    BaseTestProblemTestCaseMixIn,
    BotorchTestCase,
    MultiObjectiveTestProblemTestCaseMixin,
)

from hwgpt_blackbox import load, reference_front  # noqa: E402
from hwgpt_blackbox.errors import InputError  # noqa: E402
from hwgpt_blackbox.interop.botorch import Problem  # noqa: E402

OBJECTIVES = ["perplexity", "energy@h100"]


class TestBoTorchsOwn(
    BotorchTestCase, BaseTestProblemTestCaseMixIn, MultiObjectiveTestProblemTestCaseMixin
):
    """What BoTorch asks of every multi-objective test problem."""

    functions = (
        Problem("s", OBJECTIVES),
        Problem("s", OBJECTIVES, noise=True),
        Problem("m", ["latency@a40", "flops", "memory_float16"], noise=True, seed=3),
    )


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem("s", OBJECTIVES)


def points(problem: Problem, n: int) -> torch.Tensor:
    rows = problem.encoding.sample(n, np.random.default_rng(0))
    return torch.as_tensor(rows.astype(float))


def test_values_are_those_of_the_blackbox(problem: Problem) -> None:
    x = points(problem, 6)
    box = load("s", "h100", noise=False)
    columns = [box.objectives_names.index(f"metric_{name}") for name in ("perplexity", "energy")]
    expected = box.expected_values(problem.encoding.decode(x.long().numpy()))[:, columns]
    np.testing.assert_array_equal(problem(x).numpy(), expected)
    np.testing.assert_array_equal(problem(x.reshape(2, 3, -1)).numpy().reshape(6, 2), expected)
    np.testing.assert_array_equal(Problem("s", OBJECTIVES, negate=True)(x).numpy(), -expected)
    assert problem(x[:0]).shape == (0, 2)


def test_the_optimum_is_exact(problem: Problem) -> None:
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    front = reference_front("s", OBJECTIVES)
    assert problem.max_hv == front.hypervolume_at(problem.ref_point.numpy())
    whole = problem.gen_pareto_front(10**6)
    np.testing.assert_array_equal(whole.numpy(), front.objectives)
    assert problem.gen_pareto_front(5).shape == (5, 2)
    negated = Problem("s", OBJECTIVES, negate=True)
    volume = Hypervolume(negated.ref_point).compute(negated.gen_pareto_front(10**6))
    assert volume == pytest.approx(problem.max_hv, rel=1e-12)
    x = torch.as_tensor(front.matrix.astype(float))
    np.testing.assert_array_equal(problem(x).numpy(), front.objectives)


def test_a_front_that_is_not_known_is_said_to_be_unknown(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinned = Problem("s", OBJECTIVES)
    short = reference_front("s", OBJECTIVES, max_points=10)
    assert not short.exact
    monkeypatch.setattr("hwgpt_blackbox.interop.exact_problem.reference_front", lambda *a: short)
    for ask in (lambda: thinned.max_hv, lambda: thinned.gen_pareto_front(3)):
        with pytest.raises(NotImplementedError):
            ask()


def test_noise_is_ours(problem: Problem) -> None:
    x = points(problem, 4)
    pinned = Problem("s", OBJECTIVES, noise=True, seed=7)
    np.testing.assert_array_equal(pinned(x).numpy(), pinned(x).numpy())
    matrix = x.long().numpy()
    np.testing.assert_array_equal(pinned(x).numpy(), pinned._exact.problem.measure(matrix, 7))
    free = Problem("s", OBJECTIVES, noise=True)
    assert (free(x)[:, 1] != free(x)[:, 1]).all()
    for noisy in (pinned, free):
        np.testing.assert_array_equal(noisy(x, noise=False).numpy(), problem(x).numpy())
        np.testing.assert_array_equal(noisy.evaluate_true(x).numpy(), problem(x).numpy())


def test_inactive_layers_change_nothing(problem: Problem) -> None:
    x = points(problem, 20)
    x[:, 0] = 0  # the fewest layers
    other = x.clone()
    space = problem.encoding.space
    for i in range(space.num_layers[0], space.max_layers):
        for name in (f"mlp_ratio_{i}", f"num_heads_{i}"):
            other[:, problem.encoding.names.index(name)] = 2
    assert (other != x).any()
    noisy = Problem("s", OBJECTIVES, noise=True, seed=0)
    for f in (problem, noisy):
        np.testing.assert_array_equal(f(x).numpy(), f(other).numpy())


@pytest.mark.parametrize(
    ("space", "objectives", "options"),
    [
        ("xl", OBJECTIVES, {}),
        ("s", ["perplexity"], {}),
        ("s", ["perplexity", "energy@v1000"], {}),
        ("s", OBJECTIVES, {"noise": True, "seed": -1}),
        ("s", OBJECTIVES, {"seed": 1.5}),
    ],
)
def test_bad_problems(space: str, objectives: list[str], options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Problem(space, objectives, **options)


def test_bad_points(problem: Problem) -> None:
    x = points(problem, 2)
    for f in (problem, Problem("s", OBJECTIVES, noise=True)):
        wrong = ((0 * x + 0.25, "integer values"), (x + 5, "bounds"), (x[:, 1:], "shape"))
        for bad, message in wrong:
            with pytest.raises(ValueError, match=message):
                f(bad)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("module", "library"),
    [("botorch", "botorch"), ("pymoo", "pymoo"), ("optunahub", "optunahub")],
)
def test_a_library_that_is_not_there_names_the_extra(
    module: str, library: str, run_python: Run
) -> None:
    done = run_python(
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda n, *a: None if n == {library!r} else real(n, *a)\n"
        "try:\n"
        f"    import hwgpt_blackbox.interop.{module}\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert "pip install 'hwgpt-blackbox[interop]'" in done.stdout
