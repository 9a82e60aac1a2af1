from __future__ import annotations

import base64
import importlib.util
import json
import re
import zipfile
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hwgpt_blackbox.blackboxes.loading import load
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert.user_device import convert_device
from hwgpt_blackbox.domain.objectives import Column, parse_objective
from hwgpt_blackbox.errors import DataError, InputError, MissingExtraError, OutputError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report import (
    Results,
    page,
    read_experiment,
    read_results,
    write_report,
)
from hwgpt_blackbox.experiments.report.inputs import _warnings
from hwgpt_blackbox.experiments.report.one_problem import ProblemResults
from hwgpt_blackbox.experiments.report.optimum import Optimum
from hwgpt_blackbox.experiments.report.tables import run_table, score_table
from hwgpt_blackbox.experiments.report.writer import Writer
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.store import ResultStore
from hwgpt_blackbox.experiments.runs import RunSettings, execute

HOSTILE = '<script>alert("$x_{1$")</script>&"\'><img src=x onerror=alert(1)>'
PROBLEMS = (("perplexity", "energy@rtx2080"), ("perplexity", "latency@a100", "params"))


def make(objectives, method="RS", seed=0, trials=25) -> StoredRun:
    problem = Problem.parse("s", list(objectives))
    run = RunSettings(problem, "RS", seed, trials=trials)
    frame = execute(run)
    named = RunSettings(problem, method, seed, trials=trials)
    return StoredRun(named, {}, {}, Path(f"{named.name}.parquet"), frame)


@pytest.fixture(scope="module")
def results():
    runs = [make(objectives, seed=seed) for objectives in PROBLEMS for seed in (0, 1)]
    runs += [make(objectives, HOSTILE, 3) for objectives in PROBLEMS]
    runs.sort(key=lambda r: (r.run.problem.name, r.run.method, r.run.seed))
    return Results(tuple(runs), ("a note with <b>markup</b>",))


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    return write_report(results, tmp_path_factory.mktemp("report"), formats=("svg",))


class Parser(HTMLParser):
    """Collects tags and their attributes."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def parsed(report):
    parser = Parser()
    parser.feed(report.page.read_text(encoding="utf-8"))
    return parser.tags


def outside_scripts(report):
    text = report.page.read_text(encoding="utf-8")
    return re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", text, flags=re.S)


def embedded(page: Path):
    """The data of a page."""
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), flags=re.S)
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def test_everything_is_written(report):
    folder = report.page.parent
    assert {f for f in report.files if not (folder / f).is_file()} == set()
    names = {Path(f).name for f in report.files}
    for name in ("convergence", "fronts", "attainment", "differences", "choices"):
        for objectives in PROBLEMS:
            assert f"{name}-s-{'-'.join(objectives)}.csv" in names
    for name in ("correlations-s", "distributions-s", "power_law-s", "runs", "scores", "ranks"):
        assert f"{name}.csv" in names
    assert {"index.html", "table.tex", "ranks.svg"} <= names


def test_hostile_names_do_not_become_markup(report):
    text = outside_scripts(report)
    tags = parsed(report)
    assert [tag for tag, _ in tags].count("script") == 3  # data, Plotly, and what draws
    assert "<b>" not in text
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert "&lt;script&gt;alert" in text
    for svg in (report.page.parent / "figures").glob("*.svg"):
        content = svg.read_text(encoding="utf-8")
        assert "<script" not in content
        assert "onerror" not in re.sub(r"<!--.*?-->", "", content, flags=re.S)
    latex = (report.page.parent / "table.tex").read_text()
    assert r"\textless{}script\textgreater{}alert" in latex
    assert all(line.count(" & ") == 3 for line in latex.splitlines() if line.endswith(r"\\"))


def test_page_is_self_contained_and_labelled(report):
    tags = parsed(report)
    for tag, attributes in tags:
        assert tag not in ("link", "iframe", "object", "embed")
        source = attributes.get("src", "data:")
        assert source.startswith("data:")
        if tag == "a":
            assert not re.match(r"[a-z]+:|//", attributes["href"])
        if tag == "img":
            assert attributes["alt"]
    labelled = {a["for"] for tag, a in tags if tag == "label"}
    assert {a["id"] for tag, a in tags if tag == "input"} <= labelled
    metas = [a for tag, a in tags if tag == "meta"]
    assert any(a.get("name") == "viewport" for a in metas)
    policy = next(a["content"] for a in metas if "http-equiv" in a)
    assert "default-src 'none'" in policy
    (scripts,) = (part for part in policy.split("; ") if part.startswith("script-src"))
    assert "unsafe" not in scripts
    assert not [tag for tag, _ in tags if tag == "img"]
    assert len([1 for _, a in tags if a.get("class") == "plot"]) == 1 + 6 + 3


def test_text_that_no_macro_made_is_escaped():
    """A part of a section is HTML only if a function of the page made it."""
    section = page.Section("a", "A & B", ["<b>bold</b>", page.paragraph("<i>")])
    text = page.html("title", "lead", [], [section], {}, "report.js")
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<p>&lt;i&gt;</p>" in text
    assert "A &amp; B" in text


def test_page_holds_no_check_for_tests(report):
    """The check for tests was once shipped in every page."""
    assert "selfcheck" not in report.page.read_text(encoding="utf-8")


def test_without_jinja2_nothing_is_written(results, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jinja2" else find(name)
    )
    with pytest.raises(MissingExtraError, match=r"jinja2 is not installed.*\[analysis\]"):
        write_report(results, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_same_results_same_bytes(results, report, tmp_path):
    some = Results(results.runs[:1], results.notes)
    first, second = (write_report(some, tmp_path / name, formats=(), spaces=False) for name in "ab")
    assert first.page.read_bytes() == second.page.read_bytes()
    assert not (tmp_path / "a" / "figures").exists()


def test_regret_is_against_the_exact_front(report):
    runs = pd.read_csv(report.page.parent / "data" / "runs.csv")
    np.testing.assert_allclose(runs["regret"], runs["optimum"] - runs["hypervolume"], atol=1e-12)
    assert (runs["regret"] > 0).all()
    assert runs["trials"].eq(25).all()


# -- bad input -------------------------------------------------------------------------------


def stored(folder, seeds=(0,), **changes):
    store = ResultStore(folder)
    store.prepare()
    for seed in seeds:
        run = RunSettings(Problem.parse("s", PROBLEMS[0]), "RS", seed, trials=12, **changes)
        store.write(run, execute(run))
    return store


def test_no_results(tmp_path, capsys):
    with pytest.raises(InputError, match="is no folder"):
        read_results([tmp_path / "absent"])
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert re.search("no results in .*hwgpt-blackbox run --out", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_broken_file_is_named_and_left_as_it_is(tmp_path):
    store = stored(tmp_path / "r", (0, 1, 2))
    bad, aside = store.paths()[1:]
    bad.write_bytes(b"PAR1")
    aside.rename(aside.with_name(aside.name + ".broken"))
    found = read_results([tmp_path / "r"])
    assert [r.run.seed for r in found.runs] == [0]
    assert any(str(bad) in note for note in found.notes)
    assert any(aside.name in note and "set aside" in note for note in found.notes)
    before = {path: path.stat() for path in (tmp_path / "r").rglob("*")}
    words = ["report", str(tmp_path / "r"), "--out", str(tmp_path / "o"), "--no-spaces"]
    assert main(words) == 0
    assert {path: path.stat() for path in (tmp_path / "r").rglob("*")} == before
    assert f"{bad} is no sound result file" in (tmp_path / "o" / "index.html").read_text()
    for path in store.paths():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=f"no results(.|\n)*{re.escape(bad.name[:-9])}"):
        read_results([tmp_path / "r"])


def test_a_folder_that_is_not_ours_is_only_read(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "thesis.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"no results(.|\n)*thesis.parquet is no sound"):
        read_results([tmp_path])
    assert [path.name for path in runs.iterdir()] == ["thesis.parquet"]


def test_notes_say_what_makes_runs_less_comparable(tmp_path):
    stored(tmp_path / "a", (0, 1))
    stored(tmp_path / "b", (1, 2), workers=7)
    found = read_results([tmp_path / "a", tmp_path / "b"])
    assert [r.run.seed for r in found.runs] == [0, 1, 2]
    notes = "\n".join(found.notes)
    assert "is the same run as" in notes
    assert "runs differ in workers: 4, 7" in notes
    mixed = [
        replace(r, provenance={**r.provenance, "hwgpt-s": str(i)}, versions={"numpy": str(i)})
        for i, r in enumerate(found.runs[:2])
    ]
    text = "\n".join(_warnings(mixed))
    assert "made on another hwgpt-s than the installed one" in text
    assert "different versions of numpy: 0, 1" in text
    mine = [replace(r, provenance={"RS": str(i)}) for i, r in enumerate(mixed)]
    assert "the source of RS changed between its runs" in "\n".join(_warnings(mine))
    single = read_results([stored(tmp_path / "c").folder])
    assert "a single seed of RS: no inter-quartile band is drawn" in single.notes[0]


def test_a_device_of_a_user_that_this_machine_lacks(tmp_path):
    """Results may come from elsewhere: they are shown without exact front and cloud."""
    result = make(("perplexity", "latency@a100"))
    columns = (parse_objective("perplexity"), Column("latency", "mygpu"))
    problem = replace(result.run.problem, objectives=columns, devices=("mygpu",))
    frame = result.frame.rename(columns=lambda name: name.replace("a100", "mygpu"))
    elsewhere = replace(result, run=replace(result.run, problem=problem), frame=frame)
    report = write_report(Results((elsewhere,), ()), tmp_path, spaces=False)
    assert any("no exact front, hence no regret" in note for note in report.notes)
    fronts = pd.read_csv(tmp_path / "data" / "fronts-s-perplexity-latency@mygpu.csv")
    assert set(fronts["kind"]) == {"front"}
    assert "The exact front is not known." in report.page.read_text()


def test_legends_and_tables_say_that_a_baseline_denoises(tmp_path):
    store = ResultStore(tmp_path / "r")
    store.prepare()
    for objectives in (PROBLEMS[0], ("perplexity", "params")):
        for method in ("RS", "LS"):
            run = RunSettings(Problem.parse("s", objectives), method, trials=12)
            store.write(run, execute(run))
    found = read_results([store.folder])
    report = write_report(found, tmp_path / "o", formats=("svg",), spaces=False)
    text = report.page.read_text()
    assert "<td>LS (denoised)</td>" in text
    assert "<td>LS</td>" not in text
    assert " & LS (denoised) & RS & " in (tmp_path / "o" / "table.tex").read_text()
    ranks = pd.read_csv(tmp_path / "o" / "data" / "ranks.csv")
    assert ranks[["method", "problems"]].to_numpy().tolist() in (
        [["LS (denoised)", 2], ["RS", 2]],
        [["RS", 2], ["LS (denoised)", 2]],
    )
    for name in ("ranks", "convergence-s-perplexity-energy@rtx2080"):
        drawn = (tmp_path / "o" / "figures" / f"{name}.svg").read_text()
        assert "<!-- LS (denoised) -->" in drawn
        assert "<!-- LS -->" not in drawn


def test_command(tmp_path, capsys):
    stored(tmp_path / "r")
    assert main(["report", str(tmp_path / "r"), "--out", str(tmp_path / "o"), "--no-spaces"]) == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "o" / "index.html") in printed
    assert "a single seed of RS" in printed
    text = (tmp_path / "o" / "index.html").read_text()
    assert "one seed only, hence no bands" in text
    assert "No test of significance" in text
    assert "Power law" not in text
    assert main(["report", str(tmp_path / "r"), "--out", "x", "--formats", "gif"]) == 2
    assert main(["report", str(tmp_path / "r"), "--out", "x", "--device", "abacus"]) == 2


# -- Syne Tune's own folders -----------------------------------------------------------------


def experiment(folder: Path, names, **metadata) -> pd.DataFrame:
    """Write what ``StoreResultsCallback`` and the tuner write."""
    blackbox = load("s", "rtx2080")
    rng = np.random.default_rng(0)
    configurations = blackbox.encoding.decode(blackbox.encoding.sample(6, rng))
    rows = []
    for i, configuration in enumerate(configurations):
        for repeat in (1, 2):
            rows.append(
                {
                    **{name: float(i + repeat) for name in names},
                    "st_tuner_time": 10.0 * i + repeat,
                    "trial_id": i,
                    "st_worker": i % 2,
                    **{f"config_{k}": v for k, v in configuration.items()},
                }
            )
    folder.mkdir(parents=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "results.csv.zip", index=False)
    stated = {"metric_names": list(names), "metric_mode": "min", **metadata}
    (folder / "metadata.json").write_text(json.dumps(stated))
    return frame


def test_experiment_of_syne_tune(tmp_path):
    names = ["metric_perplexity", "metric_latency"]
    experiment(tmp_path / "e", names, device="rtx2080", scheduler_name="Mine", seed=4)
    result = read_experiment(tmp_path / "e")
    assert result.run.problem.targets == ("perplexity", "latency@rtx2080")
    assert (result.run.method, result.run.seed, result.run.trials) == ("Mine", 4, 6)
    assert list(result.frame) == result.run.columns()
    assert result.frame["measured_latency@rtx2080"].tolist() == [2, 3, 4, 5, 6, 7]  # last of each
    blackbox = load("s", "rtx2080")
    matrix = blackbox.encoding.sample(6, np.random.default_rng(0))
    expected = blackbox.expected_values(matrix)[:, blackbox.objectives_names.index(names[1])]
    assert (result.frame["expected_latency@rtx2080"] == expected).all()


def test_an_experiment_with_a_constant_in_its_space(tmp_path):
    frame = experiment(tmp_path / "e", ["metric_perplexity", "metric_latency"], device="a100")
    expected = read_experiment(tmp_path / "e").frame
    frame.assign(config_epochs=27).to_csv(tmp_path / "e" / "results.csv.zip", index=False)
    pd.testing.assert_frame_equal(read_experiment(tmp_path / "e").frame, expected)


def test_a_folder_of_something_else_gets_no_report(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "summary.csv").write_text("mine")
    with pytest.raises(OutputError, match="is not empty and holds no report"):
        Writer(tmp_path, ())
    (tmp_path / "index.html").write_text("<title>My page</title>")
    with pytest.raises(OutputError, match="is not empty and holds no report"):
        Writer(tmp_path, ())
    assert (tmp_path / "index.html").read_text() == "<title>My page</title>"
    Writer(tmp_path / "new", ())  # and killed before its page is complete
    Writer(tmp_path / "new", ())


@pytest.mark.parametrize(
    ("stated", "shown"),
    [({}, "RE"), ({"denoise": False}, "RE"), ({"denoise": True}, "RE (denoised)")],
)
def test_an_experiment_of_syne_tune_is_called_denoised_if_it_says_so(tmp_path, stated, shown):
    names = ["metric_perplexity", "metric_latency"]
    experiment(tmp_path / "e", names, device="rtx2080", scheduler_name="RE", **stated)
    assert read_experiment(tmp_path / "e").run.method == shown


def test_experiments_of_syne_tune_are_found_and_numbered(tmp_path):
    names = ["metric_perplexity", "metric_energy_a100"]
    for name in ("one", "two"):
        experiment(tmp_path / name, names, scheduler_name="X")
    experiment(tmp_path / "stated", names, scheduler_name="X", seed=1)
    experiment(tmp_path / "other", ["loss"])
    found = read_results([tmp_path])
    assert [(r.run.method, r.run.seed) for r in found.runs] == [("X", 0), ("X", 1), ("X", 2)]
    assert any("experiments of X state no seed" in note for note in found.notes)
    assert found.problems[0].name == "s-perplexity-energy@a100"
    assert any("'loss' is no metric of ours" in note for note in found.notes)


@pytest.mark.parametrize(
    ("names", "metadata", "message"),
    [
        (["metric_perplexity", "metric_latency"], {}, "on which device latency"),
        (["metric_perplexity"], {}, "two or more"),
        (["metric_perplexity", "metric_params"], {"metric_mode": "max"}, "minimised"),
    ],
)
def test_experiment_that_is_no_run_of_ours(tmp_path, names, metadata, message):
    experiment(tmp_path / "e", names, **metadata)
    with pytest.raises(InputError, match=message):
        read_results([tmp_path])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("trial_id", ["99999999999999999999"] * 12, "trial_id holds .*99999999999999999999"),
        ("trial_id", [0.5] * 12, "trial_id holds 0.5 in row 0; expected an integer"),
        ("trial_id", [None, *range(11)], "trial_id holds nan in row 0"),
        ("trial_id", [0] * 12, "holds trial 0 twice, with other configurations"),
        ("st_tuner_time", [float("inf")] * 12, "st_tuner_time holds inf"),
        ("st_tuner_time", range(-5, 7), "simulated_time holds -4.0 in row 0"),
        ("metric_latency", ["fast"] * 12, "metric_latency holds fast in row 0"),
        ("metric_latency", [None] * 12, "metric_latency holds nan"),
        ("metric_latency", [0.0] * 12, "measured_latency@a100 holds 0.0 in row 0; expected pos"),
        ("config_num_layers", [13] * 12, r"config_num_layers holds .*13.*, which is no choice"),
        # One odd cell makes text of its column: it is blamed, not the sound one above it.
        ("config_bias", [*[True] * 10, "yes", "yes"], "config_bias holds yes, which is no"),
        (
            "config_embed_dim",
            [192] * 10 + [10**40] * 2,
            "config_embed_dim holds 10{40}, which is no",
        ),
    ],
)
def test_values_that_an_experiment_cannot_have(tmp_path, column, values, message):
    names = ["metric_perplexity", "metric_latency"]
    frame = experiment(tmp_path / "e", names, device="a100")
    frame.assign(**{column: values}).to_csv(tmp_path / "e" / "results.csv.zip", index=False)
    with pytest.raises(DataError, match=message) as error:
        read_experiment(tmp_path / "e")
    assert str(tmp_path / "e") in str(error.value)


def test_control_characters_of_files_reach_neither_terminal_nor_page(tmp_path, capsys):
    escape = "\x1b]0;mine\x07"
    store = stored(tmp_path / "r")
    (store.folder / "runs" / f"{escape}.parquet").write_bytes(b"PAR1")
    names = ["metric_perplexity", "metric_params"]
    experiment(tmp_path / "r" / "e", names, scheduler_name=f"X{escape}")
    assert main(["report", str(tmp_path / "r"), "--out", str(tmp_path / "o"), "--no-spaces"]) == 0
    printed = capsys.readouterr()
    page = (tmp_path / "o" / "index.html").read_text()
    for text in (printed.out, printed.err, page):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert r"\x1b]0;mine\x07.parquet is no sound result file" in printed.out
    assert r"method is 'X\x1b]0;mine\x07'; expected" in printed.out
    store.paths()[-1].unlink()
    with pytest.raises(InputError, match="no results") as error:
        read_results([tmp_path / "r"])
    assert "\x1b" not in str(error.value)


def test_an_experiment_on_a_device_of_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path))
    rng, encoding = np.random.default_rng(0), load("s", "a100").encoding
    table = pd.DataFrame(encoding.decode(encoding.sample(120, rng)))
    size = table["num_layers"] * table["embed_dim"] / 100.0
    for repeat in range(3):
        table[f"latency_{repeat}"] = size * rng.normal(1.0, 0.02, size=len(table))
    table.to_csv(tmp_path / "my.csv", index=False)
    convert_device(tmp_path / "my.csv", "s", "mygpu", tmp_path, progress=False)
    experiment(tmp_path / "e" / "stated", ["metric_perplexity", "metric_latency"], device="mygpu")
    experiment(tmp_path / "e" / "named", ["metric_perplexity", "metric_latency_mygpu"], seed=7)
    experiment(tmp_path / "e" / "given", ["metric_perplexity", "metric_latency"], seed=8)
    found = read_results([tmp_path / "e"], device="mygpu")
    assert [r.run.problem.name for r in found.runs] == ["s-perplexity-latency@mygpu"] * 3
    box = load("s", "mygpu")
    architectures = encoding.sample(6, np.random.default_rng(0))
    expected = box.expected_values(architectures)[:, box.objectives_names.index("metric_latency")]
    for result in found.runs:
        assert (result.frame["expected_latency@mygpu"] == expected).all()
    with pytest.raises(InputError, match=r"unknown device 'mygp'.*did you mean 'mygpu'"):
        read_results([tmp_path / "e"], device="mygp")


def test_the_best_method_of_a_problem_is_that_of_the_shortest_run(results):
    """The scores and ranks beside it are cut there too."""
    short, long = (make(PROBLEMS[0], method, trials=n) for method, n in (("A", 2), ("B", 3)))
    volumes = [np.array([0.1, 0.5]), np.array([0.1, 0.2, 0.9])]
    found = ProblemResults(short.run.problem, [short, long], volumes, Optimum(None, 1.0, 0.0, ""))
    runs = run_table([short, long], volumes, {})
    assert found.best == score_table(runs)["method"][0] == "A"


def test_broken_experiment(tmp_path):
    experiment(tmp_path / "e", ["metric_perplexity", "metric_params"])
    (tmp_path / "e" / "results.csv.zip").write_bytes(b"PK no")
    with pytest.raises(InputError, match=r"results\.csv\.zip cannot be read"):
        read_results([tmp_path])
    with zipfile.ZipFile(tmp_path / "e" / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", "a,b\n1,2\n")
    with pytest.raises(InputError, match="lacks st_tuner_time, trial_id"):
        read_results([tmp_path / "e"])
    (tmp_path / "e" / "metadata.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="is no JSON"):
        read_results([tmp_path / "e"])
