"""Nothing out of a file commands the terminal: names and values are printed escaped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import rewrite_manifest, write_random_surrogate

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.storage.locations import EMBEDDED

HOSTILE = "\x1b]0;owned\x07\x9b2J"
"""Sets the title of a terminal, rings, and clears the screen."""

SHOWN = r"\x1b]0;owned\x07\x9b2J"


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    """What a command prints: printable characters and line ends only."""
    capsys.readouterr()
    assert main(words) == code
    out, err = capsys.readouterr()
    for text in (out, err):
        assert all(c.isprintable() or c == "\n" for c in text), repr(text)
    return out, err


def test_the_name_of_a_file_in_an_artifact(tmp_path, capsys):
    write_random_surrogate(folder := tmp_path / "hwgpt-s")
    (folder / HOSTILE).write_text("")
    assert (
        f"holds {SHOWN}, which manifest.json" in printed(capsys, "verify", str(folder), code=2)[1]
    )


def test_the_name_of_a_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path / HOSTILE))
    (tmp_path / HOSTILE).mkdir()
    assert f"home of local artifacts: {tmp_path}/{SHOWN}" in printed(capsys, "list")[0]
    assert SHOWN in printed(capsys, "list", "--cached")[0]
    assert json.loads(printed(capsys, "list", "--json")[0])["home"] == str(tmp_path / HOSTILE)
    write_random_surrogate(tmp_path / HOSTILE / "hwgpt-s")
    assert SHOWN in printed(capsys, "list")[0]
    assert SHOWN in printed(capsys, "list", "--report")[0]  # the command that makes a card


@pytest.mark.parametrize("key", ["space", "kind", "schema_version", "links", "units", "bounds"])
def test_a_value_of_a_manifest(key, tmp_path, capsys, monkeypatch):
    write_random_surrogate(folder := tmp_path / "hwgpt-s")
    rewrite_manifest(folder, **{key: {HOSTILE: HOSTILE} if key == "links" else HOSTILE})
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path))
    for words in (["verify", str(folder)], ["query", "--best", "--space", "s"]):
        capsys.readouterr()
        main(words)
        out, err = capsys.readouterr()
        assert not {"\x1b", "\x07", "\x9b"} & set(out + err)


def test_a_value_of_a_report_card(tmp_path, capsys):
    folder = tmp_path / "hwgpt-s"
    shutil.copytree(EMBEDDED / "hwgpt-s", folder)
    card = json.loads((folder / "report.json").read_text())
    card["sections"][0]["perplexity"] = {"fitted_on": HOSTILE}
    (folder / "report.json").write_text(json.dumps(card))
    rewrite_manifest(folder)
    assert f"perplexity was fitted on {SHOWN}" in printed(capsys, "verify", str(folder))[0]


def test_a_warning(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path / HOSTILE))
    (broken := tmp_path / HOSTILE / "hwgpt-s-device-mygpu").mkdir(parents=True)
    (broken / "manifest.json").write_text("{}")
    err = printed(capsys, "list", "--report")[1]
    assert f"WARNING: {tmp_path}/{SHOWN}/hwgpt-s-device-mygpu is left out" in err
    assert err.count("is left out") == 1


def test_the_name_of_a_result_file(tmp_path, capsys):
    out = tmp_path / "results"
    run = ["run", "--space", "s", "--objectives", "perplexity", "params", "--methods", "RS"]
    run += ["--trials", "5", "--seeds", "0", "--out", str(out)]
    assert main(run) == 0
    (out / "runs" / f"{HOSTILE}.parquet").write_bytes(b"PAR1")
    assert any(SHOWN in text for text in printed(capsys, *run))


def test_what_was_typed(capsys):
    for words in (["query", "--space", HOSTILE], [HOSTILE], ["verify", HOSTILE]):
        printed(capsys, *words, code=2)
    with pytest.raises(SystemExit):
        main(["query", f"--{HOSTILE}"])
    assert "\x1b" not in capsys.readouterr().err


def test_a_name_of_bytes_that_are_no_text_ended_in_a_traceback(tmp_path, capsys):
    write_random_surrogate(folder := tmp_path / "hwgpt-s")
    Path(str(folder / "a\udcff")).write_text("")
    assert r"holds a\udcff, which" in printed(capsys, "verify", str(folder), code=2)[1]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["lsit"], "list"),
        (["Query", "--space", "s"], "query"),
        (["query", "--space", "S"], "s"),
        (["query", "--space", "s", "--device", "V100", "bias=true"], "v100"),
        (["query", "--space", "s", "--device", "p100", "bias=true"], "P100"),
        (["query", "--best", "--space", "s", "--device", "rtx208"], "rtx2080"),
        (["query", "--best", "--space", "s", "--min", "perplexety"], "perplexity"),
        (["query", "--best", "--space", "s", "--max", "Latency@a40=3"], "latency@a40"),
        (["query", "--space", "s", "num_heeds=3"], "num_heads"),
        (["verify", "hwgpt-S"], "hwgpt-s"),
    ],
)
def test_typos_get_a_suggestion(words, meant, capsys):
    assert f"did you mean '{meant}'?" in printed(capsys, *words, code=2)[1]
