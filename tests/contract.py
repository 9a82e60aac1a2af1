"""The contract of every blackbox of ours (DESIGN.md section 1), as a mixin.

A test class inherits :class:`BlackboxContract` and provides the fixture ``case``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import equivalent

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import METRICS, dataset_columns
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError


@dataclass
class Case:
    """One blackbox under test.

    :param space: its space
    :param dataset: a device, or ``all``
    :param load: the blackbox of any dataset, of the same kind
    :param architectures: canonical choice indices that it answers for, from a generator
    :param levels: of the fidelity
    :param noisy: whether queries are draws
    """

    space: str
    dataset: str
    load: Callable[[str], Any]
    architectures: Callable[[int], np.ndarray]
    levels: int = 1
    noisy: bool = True

    @cached_property
    def blackbox(self) -> Any:
        return self.load(self.dataset)

    @cached_property
    def matrix(self) -> np.ndarray:
        return self.architectures(6)

    @cached_property
    def configurations(self) -> list[dict[str, Any]]:
        return self.blackbox.encoding.decode(self.matrix)

    @cached_property
    def columns(self) -> list:
        return list(dataset_columns(self.dataset).values())

    def noisy_columns(self) -> np.ndarray:
        """Which objectives a draw may change."""
        return np.array([self.noisy and METRICS[c.metric].noisy for c in self.columns])


class BlackboxContract:
    """Runs on every blackbox."""

    def test_names_space_and_fidelity(self, case: Case) -> None:
        box = case.blackbox
        assert box.objectives_names == list(dataset_columns(case.dataset))
        assert list(box.configuration_space) == list(SPACES[case.space].choices)
        for key, domain in box.configuration_space.items():
            assert tuple(domain.categories) == SPACES[case.space].choices[key]
        assert list(box.fidelity_space) == ["repeats"]
        assert box.fidelity_name() == "repeats"
        assert box.fidelity_values.tolist() == list(range(1, case.levels + 1))
        domain = box.fidelity_space["repeats"]
        assert (domain.lower, domain.upper) == (1, case.levels)

    def test_one_query_returns_positive_numbers_at_every_level(self, case: Case) -> None:
        for seed in (None, 0, 5):
            values = case.blackbox.objective_function(case.configurations[0], seed=seed)
            assert isinstance(values, np.ndarray)
            assert values.shape == (case.levels, len(case.columns))
            assert np.isfinite(values).all()
            assert (values > 0).all()

    def test_calling_and_every_form_of_fidelity_agree(self, case: Case) -> None:
        box, config = case.blackbox, case.configurations[1]
        values = box(config, seed=3)
        for level in {1, case.levels}:
            row = dict(zip(box.objectives_names, values[level - 1].tolist(), strict=True))
            for fidelity in (level, {"repeats": level}, np.int64(level)):
                answer = box(config, fidelity, 3)
                assert answer == row
                assert list(answer) == box.objectives_names

    def test_a_seed_names_a_repeat(self, case: Case) -> None:
        box, noisy = case.blackbox, case.noisy_columns()
        draws = {}
        for seed in (4, 0, 1, 4, np.int64(1)):  # any order
            for i, config in enumerate(case.configurations):
                values = box(config, seed=seed)
                previous = draws.setdefault((int(seed), i), values)
                np.testing.assert_array_equal(values, previous)
        for seed in (0, 1):
            for i in range(len(case.configurations)):
                same = draws[seed, i] == draws[4, i]
                assert same[:, ~noisy].all()
                assert not same[:, noisy].any()

    def test_without_a_seed_every_query_draws_anew(self, case: Case) -> None:
        box, noisy = case.blackbox, case.noisy_columns()
        values = np.stack([box(case.configurations[0]) for _ in range(40)])[:, 0]
        assert (values[:, ~noisy] == values[0, ~noisy]).all()
        if case.levels > 1:  # a trial that is resumed goes on with its repeats
            assert (values == values[0]).all()
        elif noisy.any():
            assert (values[:, noisy] != values[0, noisy]).any(axis=0).all()

    def test_the_global_random_state_is_neither_read_nor_moved(self, case: Case) -> None:
        def state() -> bytes:
            return pickle.dumps(np.random.get_state())

        before = state()
        case.blackbox(case.configurations[0])
        case.blackbox.expected_values(case.configurations)
        assert state() == before

    def test_inactive_layers_change_nothing(self, case: Case) -> None:
        box = case.blackbox
        other = equivalent(box.encoding, case.matrix, np.random.default_rng(1))
        configurations = box.encoding.decode(other)
        assert configurations != case.configurations  # else this test shows nothing
        for one, two in zip(case.configurations, configurations, strict=True):
            np.testing.assert_array_equal(box(one, seed=2), box(two, seed=2))
            assert box.canonical_form(two) == one
        np.testing.assert_array_equal(box.expected_values(other), box.expected_values(case.matrix))

    def test_expected_values_have_the_same_bits_in_every_form(self, case: Case) -> None:
        box, matrix = case.blackbox, case.matrix
        values = box.expected_values(matrix)
        assert values.shape == (len(matrix), len(case.columns))
        assert values.dtype == np.float64
        for form in (
            case.configurations,
            tuple(case.configurations),
            matrix.astype(np.int64),
            matrix.astype(np.uint64),
            np.asfortranarray(matrix),
            np.repeat(matrix, 2, axis=0)[::2],
        ):
            np.testing.assert_array_equal(box.expected_values(form), values)
        for i, config in enumerate(case.configurations):
            for one in (config, [config], matrix[i : i + 1]):
                np.testing.assert_array_equal(box.expected_values(one), values[i : i + 1])
        order = [3, 0, 0, 5]
        np.testing.assert_array_equal(box.expected_values(matrix[order]), values[order])
        for empty in ([], matrix[:0]):
            assert box.expected_values(empty).shape == (0, len(case.columns))

    def test_what_has_no_noise_is_measured_exactly(self, case: Case) -> None:
        exact = ~case.noisy_columns()
        expected = case.blackbox.expected_values(case.configurations)
        for i, config in enumerate(case.configurations):
            last = case.blackbox(config, seed=1)[-1]
            np.testing.assert_allclose(last[exact], expected[i, exact], rtol=1e-7)

    def test_all_gives_what_each_device_gives(self, case: Case) -> None:
        everything = case.load("all")
        devices = DEVICES if case.dataset == "all" else [case.dataset]
        for device in list(devices)[::4]:
            own = case.load(device)
            at = [
                everything.objectives_names.index(f"{name}_{device}" if column.device else name)
                for name, column in dataset_columns(device).items()
            ]
            for config in case.configurations[:2]:
                for seed in (0, 3):
                    np.testing.assert_array_equal(
                        everything(config, seed=seed)[:, at], own(config, seed=seed)
                    )
            np.testing.assert_array_equal(
                everything.expected_values(case.matrix)[:, at], own.expected_values(case.matrix)
            )

    def test_elapsed_time_of_all_is_the_slowest_devices(self, case: Case) -> None:
        everything = case.load("all")
        names = everything.objectives_names
        at = [names.index(f"metric_elapsed_time_{device}") for device in DEVICES]
        values = everything(case.configurations[0], seed=0)
        np.testing.assert_array_equal(
            values[:, names.index("metric_elapsed_time")], values[:, at].max(axis=1)
        )

    def test_elapsed_time_is_exact_and_grows_with_the_level(self, case: Case) -> None:
        at = case.blackbox.objectives_names.index("metric_elapsed_time")
        times = {tuple(case.blackbox(case.configurations[0])[:, at]) for _ in range(5)}
        assert len(times) == 1
        (levels,) = times
        assert list(levels) == sorted(set(levels))

    def test_callers_keep_their_data(self, case: Case) -> None:
        config = dict(case.configurations[0])
        items = list(config.items())
        case.blackbox(config, {"repeats": 1}, 0)
        assert list(config.items()) == items
        matrix = case.matrix.copy()
        values = case.blackbox.expected_values(matrix)
        values[:] = -1.0
        case.blackbox(config, seed=0)[:] = -1.0
        np.testing.assert_array_equal(matrix, case.matrix)
        assert (case.blackbox.expected_values(matrix) > 0).all()
        assert (case.blackbox(config, seed=0) > 0).all()

    def test_pickling_keeps_every_value(self, case: Case) -> None:
        copy = pickle.loads(pickle.dumps(case.blackbox))
        config = case.configurations[0]
        np.testing.assert_array_equal(copy(config, seed=1), case.blackbox(config, seed=1))
        np.testing.assert_array_equal(
            copy.expected_values(case.matrix), case.blackbox.expected_values(case.matrix)
        )

    def test_syne_tune_reads_every_level(self, case: Case) -> None:
        from syne_tune.blackbox_repository.utils import metrics_for_configuration

        results = metrics_for_configuration(
            case.blackbox, case.configurations[0], time_attr="repeats", seed=0
        )
        values = case.blackbox(case.configurations[0], seed=0)
        for level, result in enumerate(results, start=1):
            names = case.blackbox.objectives_names
            assert result.pop("repeats") == level
            assert result == dict(zip(names, values[level - 1].tolist(), strict=True))
        assert len(results) == case.levels

    def test_hyperparameter_objectives_values_fit_syne_tunes_surrogates(self, case: Case) -> None:
        if case.dataset == "all":
            pytest.skip("large, and made of what the devices show")
        box = case.blackbox
        x, y = box.hyperparameter_objectives_values()
        assert isinstance(x, pd.DataFrame)
        assert isinstance(y, pd.DataFrame)
        assert list(x.columns) == [*box.configuration_space, "repeats"]
        assert list(y.columns) == box.objectives_names
        assert len(x) == len(y)
        assert sorted(x["repeats"].unique()) == list(range(1, case.levels + 1))
        assert np.isfinite(y.to_numpy()).all()
        curves, values = box.hyperparameter_objectives_values(predict_curves=True)
        assert list(curves.columns) == list(box.configuration_space)
        assert len(x) == len(curves) * case.levels
        assert values.shape == (len(curves), case.levels * len(box.objectives_names))
        last = curves.iloc[-1].to_dict()
        exact = ~case.noisy_columns()
        np.testing.assert_allclose(
            values.iloc[-1].to_numpy().reshape(case.levels, -1)[-1, exact],
            box.expected_values([last])[0, exact],
            rtol=1e-6,
        )

    # -- bad input -----------------------------------------------------------------------------

    def test_bad_configurations_are_refused(self, case: Case) -> None:
        box, good = case.blackbox, case.configurations[0]
        missing = {k: v for k, v in good.items() if k != "num_heads_3"}
        for bad, says in (
            (missing, "num_heads_3"),
            ({**good, "dropout": 0.1}, "dropout"),
            ({**good, "embed_dim": 100}, "embed_dim is 100"),
            ({**good, "embed_dim": None}, "embed_dim is None"),
            ({}, "num_layers"),
        ):
            with pytest.raises(InputError, match=says):
                box.objective_function(bad)
            with pytest.raises(InputError, match=says):
                box(bad, 1, 0)
            with pytest.raises(InputError, match=f"configuration 1: .*{says}"):
                box.expected_values([good, bad])
            if says == "dropout":  # a constant of the configuration space, which stays
                form = box.canonical_form(bad)
                assert form == {**box.canonical_form(good), "dropout": 0.1}
                continue
            with pytest.raises(InputError, match=says):
                box.canonical_form(bad)
        for bad in (None, "abc", [1, 2], case.matrix[0].astype(float)):
            with pytest.raises(InputError):
                box.objective_function(bad)
        for bad in (None, "abc", 3, case.matrix[0], case.matrix + 3, case.matrix * 1.0):
            with pytest.raises(InputError):
                box.expected_values(bad)

    def test_bad_seeds_are_refused(self, case: Case) -> None:
        if not case.noisy:
            pytest.skip("a blackbox without noise needs no seed")
        for seed in (-1, 1.5, "0", True, 2**62, float("nan"), [0]):
            with pytest.raises(InputError, match="seed is"):
                case.blackbox(case.configurations[0], seed=seed)

    def test_bad_fidelities_are_refused(self, case: Case) -> None:
        two = {"repeats": 1, "epochs": 1}
        for bad in (0, -1, case.levels + 1, 1.5, "1", [1], {"epochs": 1}, {"repeats": 0}, {}, two):
            with pytest.raises(InputError, match="fidelity is"):
                case.blackbox(case.configurations[0], bad, 0)
