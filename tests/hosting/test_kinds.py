"""Every kind of artifact can be pushed and pulled, and is loaded from where it was pulled to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import embedded
from hosted import edit_manifest, tree_of

from hwgpt_blackbox import load, pull, push, remove
from hwgpt_blackbox.convert.fitting.whole_space import write_surrogate
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.models.published_network import LAYERS, array_names, one_hot
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage.artifact_kinds import NETWORK
from hwgpt_blackbox.storage.manifest import write_manifest
from hwgpt_blackbox.storage.networks import ARRAYS


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """The artifact of a device of a user's own, with the models of a published one."""
    folder = tmp_path / "made" / "hwgpt-s-device-mygpu"
    folder.mkdir(parents=True)
    shipped = embedded("s")
    models = {"latency@mygpu": shipped.models["latency@rtx3080"]}
    write_surrogate(
        Surrogate(shipped.space, models, shipped.levels, {}),
        folder,
        {
            "kind": "device",
            "name": folder.name,
            "space": "s",
            "device": "mygpu",
            "metrics": ["latency"],
            "links": {target: model.link for target, model in models.items()},
            "bounds": {"objectives": {"latency@mygpu": [1.0, 1000.0]}},
        },
    )
    return folder


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """An artifact of a network as published, with random weights."""
    folder = tmp_path / "made" / "hwgpt-s-published"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    width = one_hot(SPACES["s"], np.zeros((1, 27), dtype=np.uint8)).shape[1]
    sizes = [width, *[4] * (LAYERS - 1), 1]
    arrays = {}
    for i, (weight, bias) in enumerate(array_names("perplexity")):
        arrays[weight] = rng.normal(size=(sizes[i + 1], sizes[i])).astype(np.float32)
        arrays[bias] = np.ones(sizes[i + 1], dtype=np.float32)
    np.savez(folder / ARRAYS, **arrays)
    networks = {"perplexity": {"inputs": "one_hot", "unit": 1.0}}
    manifest = {"kind": NETWORK, "name": folder.name, "space": "s", "networks": networks}
    write_manifest(folder, manifest)
    return folder


def test_a_device_of_ones_own(device: Path, tmp_path: Path) -> None:
    push(device, str(tmp_path / "repository"), progress=False)
    version = pull(device.name, repository=str(tmp_path / "repository"), progress=False)
    assert tree_of(version.path) == tree_of(device)
    box = load("s", "mygpu")
    assert "metric_latency" in box.objectives_names
    assert "metric_latency_mygpu" in load("s", "all").objectives_names
    shipped = load("s", "rtx3080")
    matrix = box.encoding.sample(2, np.random.default_rng(0))
    column = box.objectives_names.index("metric_latency")
    np.testing.assert_array_equal(
        box.expected_values(matrix)[:, column],
        shipped.expected_values(matrix)[:, shipped.objectives_names.index("metric_latency")],
    )
    remove(device.name)
    with pytest.raises(InputError, match="mygpu"):
        load("s", "mygpu")


def test_published_networks(network: Path, tmp_path: Path) -> None:
    push(network, str(tmp_path / "repository"), progress=False)
    version = pull(network.name, repository=str(tmp_path / "repository"), progress=False)
    assert tree_of(version.path) == tree_of(network)
    box = load("s", "a100", perplexity="published-mlp")
    matrix = box.encoding.sample(2, np.random.default_rng(0))
    assert np.isfinite(box.expected_values(matrix)).all()


def test_what_is_of_another_device_or_has_no_network_is_refused(
    device: Path, network: Path, tmp_path: Path
) -> None:
    edit_manifest(device, name="hwgpt-s-device-other")
    edit_manifest(network, networks={})
    for folder in (device, network):
        with pytest.raises(DataError, match="nothing was installed"):
            pull(str(folder), progress=False)
