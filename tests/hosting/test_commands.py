"""The commands pull, push, remove and list --cached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hosted import SURROGATE, TABLE, digest_of, pull_from, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import pull
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.storage.locations import home


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_from_a_push_to_a_removal(
    hub: Hub, faulty: FaultyHost, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "push", first / TABLE, "me/mine", "--create", "--quiet")
    commit = hub.repositories["me/mine"].names["main"]
    assert (code, out) == (
        0,
        f"pushed {first / TABLE} to me/mine\npin it with: --revision {commit}\n",
    )
    code, out, err = run(
        capsys, "pull", TABLE, "--from", "me/mine", "--revision", commit, "--quiet"
    )
    digest = digest_of(first / TABLE)
    assert code == 0
    assert err == ""
    assert f"{TABLE} is in use at version {digest}" in out
    assert f"from hf://datasets/me/mine/{TABLE} at {commit}" in out
    assert "export" not in out
    code, out, _ = run(capsys, "list", "--cached")
    (line,) = out.splitlines()
    for text in (TABLE, digest[:16], "in use", f"hf://datasets/me/mine/{TABLE} at {commit[:12]}"):
        assert text in line
    code, out, _ = run(capsys, "list", "--cached", "--json")
    (row,) = json.loads(out)["cached"]
    assert (row["name"], row["digest"], row["active"]) == (TABLE, digest, True)
    assert row["origins"][0]["requested"] == commit
    code, out, _ = run(capsys, "list")
    assert f"{TABLE}  local     {home() / TABLE}" in out
    code, out, _ = run(capsys, "remove", TABLE, "--revision", commit[:10])
    assert (code, out) == (0, f"removed {TABLE} at version {digest}\n")
    assert run(capsys, "list", "--cached")[1] == f"nothing was pulled to {home()}\n"


def test_another_home(first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    code, out, err = run(capsys, "pull", first / SURROGATE, "--home", other)
    assert code == 0
    assert f"export HWGPT_BLACKBOX_HOME={other}" in out
    assert SURROGATE in err  # the progress bar
    assert "100%" in err
    assert not home().exists()
    assert SURROGATE in run(capsys, "list", "--cached", "--home", other)[1]
    assert run(capsys, "list", "--home", other)[0] == 2
    pull(SURROGATE, repository=str(first), home=other, progress=False)
    assert run(capsys, "remove", SURROGATE, "--home", other)[0] == 0


def test_the_version_that_takes_the_place_of_a_removed_one_is_named(
    hub: Hub,
    faulty: FaultyHost,
    first: Path,
    second: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = (pull_from(hub, folder) for folder in (first, second))
    _, out, _ = run(capsys, "remove", SURROGATE, "--revision", new)
    assert f"removed {SURROGATE} at version {new}" in out
    assert f"{SURROGATE} is now in use at version {old}" in out


def test_a_push_to_a_folder(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = digest_of(first / SURROGATE)
    code, out, _ = run(capsys, "push", first / SURROGATE, tmp_path / "there")
    assert (code, out.splitlines()[-1]) == (0, f"pin it with: --revision {digest}")
    assert tree_of(tmp_path / "there" / SURROGATE) == tree_of(first / SURROGATE)


def test_a_password_in_an_address_is_not_printed(
    first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "memory://me:secret@host/commands"
    said = "".join(run(capsys, "push", first / SURROGATE, url)[1:])
    said += "".join(run(capsys, "push", first / SURROGATE, url, "--create")[1:])
    assert "***@host/commands" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pull", "hwgpt-XL"), "is no name of an artifact"),
        (("pull", TABLE, "--offline"), "offline mode does not touch the network"),
        (("pull", "./nothing"), "is no folder on this machine"),
        (("push", TABLE, "./there"), "hwgpt-blackbox pull hwgpt-s-tabular --from REPOSITORY"),
        (("push", "./nothing", "./there"), "no folder with a manifest.json"),
        (("remove", TABLE), "no version of hwgpt-s-tabular was pulled"),
    ],
)
def test_errors_are_one_line_on_standard_error(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_help_needs_no_library_of_a_host(run_python: object) -> None:
    code = (
        "import sys\n"
        "from hwgpt_blackbox.cli import main\n"
        "for command in ('pull', 'push', 'remove'):\n"
        "    try:\n"
        "        main([command, '--help'])\n"
        "    except SystemExit as done:\n"
        "        assert done.code == 0\n"
        "import hwgpt_blackbox.hosting\n"
        "print(sorted({'huggingface_hub', 'fsspec', 's3fs', 'filelock', 'syne_tune'} & "
        "set(sys.modules)))\n"
    )
    assert callable(run_python)
    assert run_python(code).stdout.splitlines()[-1] == "[]"
