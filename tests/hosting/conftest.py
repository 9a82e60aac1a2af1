"""Hosts on loopback, and small artifacts to move between them."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import rewrite_manifest, write_random_surrogate, write_table
from hosted import REPO, SURROGATE, TABLE, tree_of
from loopback_faults import FaultyHost
from loopback_hub import TOKEN, Hub, Repository

from hwgpt_blackbox import pull


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no credentials but ours, and no long waits."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in {
        "NO_PROXY": "127.0.0.1,localhost",
        "HF_TOKEN": TOKEN,
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "loopback",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_HUB_OFFLINE", "HWGPT_BLACKBOX_OFFLINE", "HWGPT_BLACKBOX_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    clock = SimpleNamespace(sleep=lambda seconds: None, time=time.time)
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
    monkeypatch.setattr("huggingface_hub.file_download.time", clock)


@pytest.fixture(scope="session")
def _artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hosted")
    for version in (1, 2):
        write_random_surrogate(root / str(version) / SURROGATE, seed=version)
        write_table(root / str(version) / TABLE, seed=version)
        for name in (SURROGATE, TABLE):
            rewrite_manifest(root / str(version) / name, made_for=f"version {version}")
    return root


@pytest.fixture
def first(_artifacts: Path, tmp_path: Path) -> Path:
    """A repository folder with a surrogate and a table; the test may change it."""
    return Path(shutil.copytree(_artifacts / "1", tmp_path / "first"))


@pytest.fixture
def second(_artifacts: Path, tmp_path: Path) -> Path:
    """The same names with other content."""
    return Path(shutil.copytree(_artifacts / "2", tmp_path / "second"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of its own
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 12)  # of small files, too
    server = Hub()
    yield server
    server.stop()


@pytest.fixture
def faulty(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    """A host before the hub that can be told to fail; ``HF_ENDPOINT`` names it."""
    server = FaultyHost(hub.port)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.stop()


@pytest.fixture
def repository(hub: Hub, first: Path) -> Repository:
    """A repository with one commit."""
    repository = hub.repository(REPO)
    repository.commit(tree_of(first))
    return repository


@pytest.fixture
def earlier(repository: Repository, faulty: FaultyHost, second: Path) -> str:
    """Digest of a version that is in use, of which the repository has moved on."""
    version = pull(SURROGATE, repository=REPO, progress=False)
    repository.commit(tree_of(second))
    return version.digest


@pytest.fixture(scope="session")
def _moto() -> Iterator[int]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def s3(_moto: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    """A host before an S3 store that can be told to fail; ``AWS_ENDPOINT_URL`` names it."""
    server = FaultyHost(_moto)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def store(_moto: int) -> Any:
    """The S3 store itself, as its owner sees it."""
    import s3fs

    endpoint = f"http://127.0.0.1:{_moto}"
    return s3fs.S3FileSystem(key="owner", secret="owner", endpoint_url=endpoint)


@pytest.fixture
def bucket(s3: FaultyHost, store: Any) -> str:
    """Address of a new bucket."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    store.mkdir(name)
    return f"s3://{name}"
