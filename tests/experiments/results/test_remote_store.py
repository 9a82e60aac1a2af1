"""Results in an object store: a real S3 client against a server on the loopback interface."""

from __future__ import annotations

import pandas as pd
import pytest

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.errors import OutputError
from hwgpt_blackbox.experiments.grid_execution import make_runs, read_all
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report import read_results
from hwgpt_blackbox.experiments.results.store import ResultStore, read
from hwgpt_blackbox.experiments.run_task import make_task
from hwgpt_blackbox.experiments.runs import RunSettings, execute
from hwgpt_blackbox.storage import remote


@pytest.fixture(scope="module")
def bucket():
    """URL of a bucket that this process and its children reach."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("results")
        yield "s3://results"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def runs(*seeds):
    problem = Problem.parse("s", ["perplexity", "energy@rtx2080"])
    return [RunSettings(problem, "RS", seed, trials=15) for seed in seeds]


def test_runs_are_stored_resumed_set_aside_and_reported(bucket, tmp_path, capsys):
    store = ResultStore(f"{bucket}/grid")
    store.prepare()
    assert make_runs(runs(0, 1), store) == runs(0, 1)
    assert make_runs(runs(0, 1, 2), store) == runs(2)
    pd.testing.assert_frame_equal(
        read(store.path(runs(2)[0])).frame, execute(runs(2)[0]), rtol=0, atol=0
    )
    store.paths()[0].write_bytes(b"PAR1 half")
    store.paths()[1].write_bytes(b"")
    words = ["report", f"{bucket}/grid", "--out", str(tmp_path / "report"), "--no-spaces"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.count("is no sound result file") == 2
    names = [path.name for path in (store.folder / "runs").iterdir()]
    assert len(names) == 3
    assert not any(name.endswith(".broken") for name in names)  # a report only reads
    assert len(read_results([f"{bucket}/grid"]).runs) == 1
    assert make_runs(runs(0, 1, 2), store) == runs(0, 1)
    assert len(read_all(store)) == 3
    assert [path.name.rpartition(".")[2] for path in (store.folder / "runs").iterdir()] == [
        "parquet",
        "broken",
        "parquet",
        "broken",
        "parquet",
    ]


def test_a_bucket_that_is_not_there_is_not_made(bucket):
    for _ in range(2):
        with pytest.raises(
            OutputError, match=r"s3://absent/x/\S+ cannot be written .*name another"
        ):
            ResultStore("s3://absent/x").prepare()


def test_a_url_s_password_is_not_shown_and_its_stores_are_opened_like_those_of_artifacts(bucket):
    store = ResultStore("memory://me:secret@host/results")
    store.prepare()
    assert "secret" not in str(store.folder)
    assert make_task(runs(0)[0], store).folder == "memory://me:secret@host/results"
    fs, _ = ResultStore(bucket).folder._open()
    assert fs.config_kwargs["read_timeout"] == remote.TIMEOUT
