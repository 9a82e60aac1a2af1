"""The page of a report in a browser: everything is drawn, and points can be asked what they are."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, Browser

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report import Results, write_report
from hwgpt_blackbox.experiments.report.attainment import attainment_table, difference_table
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.runs import RunSettings, execute

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)

HOSTILE = "<img src=x onerror=alert(1)></script><b>&amp;"
PROBLEMS = (("perplexity", "energy@rtx2080"), ("perplexity", "latency@a100", "params"))
READY = "document.querySelector('#plot-choices .main-svg')"
SELFCHECK = Path(__file__).with_name("selfcheck.js").read_text(encoding="utf-8")


def made(objectives, method: str, seed: int, trials: int = 25) -> StoredRun:
    run = RunSettings(Problem.parse("s", list(objectives)), "RS", seed, trials=trials)
    named = RunSettings(run.problem, method, seed, trials=trials)
    return StoredRun(named, {}, {}, Path(f"{named.name}.parquet"), execute(run))


def written(runs, folder: Path, **options) -> Path:
    runs = sorted(runs, key=lambda r: (r.run.problem.name, r.run.method, r.run.seed))
    return write_report(Results(tuple(runs), ()), folder, **options).page


@pytest.fixture(scope="module")
def runs():
    methods = {"RS": (0, 1, 2), "Mine": (3, 4), HOSTILE: (5, 6)}
    return [
        made(objectives, method, seed)
        for objectives in PROBLEMS
        for method, seeds in methods.items()
        for seed in seeds
    ]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    return written(runs, tmp_path_factory.mktemp("page"))


@pytest.fixture
def open_page(tmp_path):
    """Opens a page in a browser, which is closed at the end."""
    browsers = []

    def opened(page: Path, ready: str = READY, **options) -> Browser:
        browsers.append(Browser(tmp_path / f"profile{len(browsers)}", **options).__enter__())
        browsers[-1].open(page, ready)
        return browsers[-1]

    yield opened
    for browser in browsers:
        browser.__exit__()


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_everything_is_drawn(page, open_page, width, dark):
    """No console errors, every figure drawn, every table sorts and filters, nothing overflows."""
    browser = open_page(page, width=width, dark=dark)
    found = browser.evaluate(SELFCHECK)
    assert found["problems"] == []
    assert found["figures"] == 1 + 6 + 3
    assert found["tables"] == found["filtered"] == 5
    assert found["sorted"] == 2 * (2 + 3 + 10 + 8 + 4)
    assert browser.console == []


def place_of(
    browser: Browser, figure: str, name: str, point: int | None = None
) -> tuple[float, float]:
    """Where a point of a trace is in the window: by default the farthest from those of others."""
    browser.evaluate(f"document.getElementById('{figure}').scrollIntoView({{block: 'center'}})")
    return tuple(
        browser.evaluate(
            f"""(() => {{
              const figure = document.getElementById('{figure}');
              const {{xaxis, yaxis}} = figure._fullLayout;
              const places = (t) => t.x.map((x, i) => [xaxis.d2p(x), yaxis.d2p(t.y[i])]);
              const own = figure.data.find((t) => t.name === {json.dumps(name)});
              const others = figure.data.filter((t) => t !== own && t.x).flatMap(places);
              const far = ([x, y]) => Math.min(...others.map(([u, v]) => Math.hypot(x - u, y - v)));
              const chosen = places(own)[{json.dumps(point)}];
              const [x, y] = chosen ?? places(own).sort((a, b) => far(b) - far(a))[0];
              const box = figure.querySelector('.nsewdrag').getBoundingClientRect();
              return [box.x + x, box.y + y];
            }})()"""
        )
    )


def test_a_point_says_what_it_is_and_is_copied(page, runs, open_page, capsys):
    browser = open_page(page)
    x, y = place_of(browser, "plot-fronts", "Mine")
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.mouse(kind, x, y)
        if kind == "mouseMoved":
            browser.wait_for("document.querySelector('#plot-fronts .hoverlayer text')")
            shown = browser.evaluate(
                "document.querySelector('#plot-fronts .hoverlayer').textContent"
            )
    browser.wait_for("!document.getElementById('detail').hidden")
    point = browser.evaluate("Page.current()")
    title = browser.evaluate("document.getElementById('detail-title').textContent")
    assert title in shown and "layers" in shown
    copied = browser.evaluate(
        """(async () => {
          const texts = [];
          navigator.clipboard.writeText = async (text) => texts.push(text);
          for (const id of ['copy-json', 'copy-command', 'copy-build']) {
            document.getElementById(id).click();
          }
          return texts;
        })()"""
    )
    configuration = json.loads(copied[0])
    mine = [r for r in runs if (r.run.problem.targets, r.run.method) == (PROBLEMS[0], "Mine")]
    (result,) = (r for r in mine if f"seed {r.run.seed}," in title)
    row = result.frame.set_index("trial_id").loc[int(title.rsplit(" ", 1)[1])]
    expected = row[[f"expected_{t}" for t in PROBLEMS[0]]].to_numpy(dtype=float)
    np.testing.assert_allclose(point["numbers"], expected, rtol=1e-4)
    np.testing.assert_allclose(result.run.problem.expected([configuration])[0], expected)
    assert main([*shlex.split(copied[1])[1:], "--json"]) == 0
    answered = json.loads(capsys.readouterr().out)
    assert answered["configuration"] == configuration
    assert "build_model('gpt-s-" in copied[2]
    browser.key("Escape")
    assert browser.evaluate("document.getElementById('detail').hidden")


def test_points_are_walked_by_buttons(page, open_page):
    browser = open_page(page)
    x, y = place_of(browser, "plot-fronts", "exact front", 50)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.mouse(kind, x, y)
    browser.wait_for("!document.getElementById('detail').hidden")
    first = browser.evaluate("Page.current().numbers")
    browser.evaluate("document.getElementById('detail-after').click()")
    second = browser.evaluate("Page.current().numbers")
    assert first[0] > second[0] and first[1] < second[1]


def test_points_are_chosen_by_keyboard(page, open_page):
    browser = open_page(page)
    browser.evaluate("document.getElementById('plot-fronts').focus()")
    for key in ("Enter", "ArrowRight", "ArrowRight", "ArrowLeft"):
        browser.key(key)
    found = browser.evaluate("Page.current()")
    assert found["place"] == 1
    assert browser.evaluate("document.activeElement.id") == "plot-fronts"
    browser.key("Escape")
    assert browser.evaluate("Page.current()") is None


def test_the_keyboard_works_with_three_objectives_and_no_methods(page, open_page):
    browser = open_page(page)
    browser.choose("problem", "1")
    for switched_off, title in ((False, ", trial "), (True, "exact front")):
        if switched_off:
            browser.evaluate("[...document.querySelectorAll('#methods button')].pop().click()")
        browser.evaluate("document.getElementById('plot-fronts').focus()")
        browser.key("Enter")
        assert title in browser.evaluate("Page.current().title")
        browser.key("Escape")
    assert browser.console == []


def test_a_chosen_point_is_not_marked_in_the_figure_of_another_problem(page, open_page):
    """Its second objective is energy there, latency here."""
    browser = open_page(page)
    browser.evaluate("document.getElementById('plot-fronts').focus()")
    browser.key("Enter")
    rings = (
        "document.getElementById('plot-fronts').data.filter("
        "(t) => t.marker?.symbol === 'circle-open').length"
    )
    assert browser.evaluate(rings) == 1
    browser.choose("problem", "1")
    assert browser.evaluate(rings) == 0
    browser.choose("problem", "0")
    assert browser.evaluate(rings) == 1


def traces(browser: Browser, figure: str) -> list[dict]:
    return browser.evaluate(
        f"document.getElementById('{figure}').data.map(({{x, y, z, name}}) => ({{x, y, z, name}}))"
    )


def test_surfaces_and_differences_are_those_of_moocore(page, runs, open_page):
    """The page computes attainment itself, of any two methods."""
    browser = open_page(page)
    problem = Problem.parse("s", list(PROBLEMS[0]))
    mine = [r for r in runs if r.run.problem.targets == problem.targets]
    drawn = {trace["name"]: trace for trace in traces(browser, "plot-attainment")}
    table = attainment_table(problem, mine)
    for (method, percentile), part in table.groupby(["method", "percentile"]):
        if method == HOSTILE:
            continue
        found = drawn[f"{method}, {percentile:.0f} % of the runs"]
        ordered = part.sort_values("value_1")
        np.testing.assert_allclose(found["x"], ordered["value_1"], rtol=1e-4)
        np.testing.assert_allclose(found["y"], ordered["value_0"], rtol=1e-4)
    for name, method in (("first", "RS"), ("second", "Mine")):
        browser.evaluate(
            f"""(() => {{
              const select = document.getElementById('{name}');
              select.value = [...select.options].find((o) => o.text === '{method}').value;
              select.dispatchEvent(new Event('change'));
            }})()"""
        )
    (heat,) = traces(browser, "plot-differences")
    both = [r for r in mine if r.run.method in ("RS", "Mine")]
    rectangles = difference_table(problem, both)
    sign = {"RS": 1, "Mine": -1}[rectangles["method_a"].iloc[0]]
    x, y, z = (np.array(heat[axis]) for axis in "xyz")
    middles = [(v[1:] + v[:-1]) / 2 for v in (x, y)]
    expected = np.zeros(z.shape)
    for row in rectangles.itertuples():
        up = (middles[1] > row.low_0) & (middles[1] < row.high_0)
        across = (middles[0] > row.low_1) & (middles[0] < row.high_1)
        expected[np.ix_(up, across)] += sign * row.difference
    wide = np.diff(y)[:, None] / y[:-1, None] > 1e-3, np.diff(x)[None] / x[None, :-1] > 1e-3
    kept = wide[0] & wide[1]  # of the others, rounding decides on which side they are
    assert kept.sum() > 50
    np.testing.assert_allclose(z[kept], expected[kept], atol=1e-9)


def test_one_switch_hides_a_method_everywhere(page, open_page):
    browser = open_page(page)

    def names() -> set[str]:
        figures = ("plot-overview", "plot-fronts", "plot-convergence", "plot-attainment")
        return {
            str(trace.get("name")).split(",")[0]
            for figure in figures
            for trace in traces(browser, figure)
        }

    assert {"RS", "Mine"} <= names()
    browser.evaluate(
        "[...document.querySelectorAll('#methods label')].find((l) => l.textContent === 'Mine')"
        ".click()"
    )
    assert "Mine" not in names() and "RS" in names()


def test_another_problem_and_another_pair_are_drawn(page, open_page):
    browser = open_page(page)
    for name, value in (("problem", "1"), ("pair", "1 2")):
        browser.choose(name, value)
    title = "document.getElementById('plot-fronts').layout.{}axis.title.text"
    assert browser.evaluate(title.format("x")) == "parameters"
    assert browser.evaluate(title.format("y")) == "latency on a100 (ms)"
    assert "latency@a100-params" in browser.evaluate(
        "document.getElementById('statement').textContent"
    )
    assert browser.console == []


def test_names_that_are_html_stay_text(page, open_page):
    browser = open_page(page)
    assert browser.evaluate("document.querySelectorAll('img, #methods b, svg b').length") == 0
    labels = browser.evaluate("document.getElementById('methods').textContent")
    assert "<img src=x onerror=alert(1)></script><b" in labels
    assert browser.console == []


def test_without_javascript_tables_are_there(page, open_page):
    browser = open_page(page)
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.ask("Page.navigate", url=page.as_uri())
    browser.wait_for("document.querySelector('table.data')")
    assert browser.evaluate("getComputedStyle(document.querySelector('figure')).display") == "none"
    assert browser.evaluate("document.querySelectorAll('table.data tbody tr').length") > 10


def test_200_methods(tmp_path, open_page):
    """The best ten are shown at first; the switches do not fill the window."""
    run = made(PROBLEMS[0], "RS", 0, 5)
    many = [made(PROBLEMS[0], f"method-{i}", i, 5) for i in range(3)]
    for i in range(3, 200):
        like = many[i % 3]
        named = RunSettings(run.run.problem, f"method-{i}", i, trials=5)
        many.append(StoredRun(named, {}, {}, Path(named.name), like.frame))
    browser = open_page(written(many, tmp_path / "o", spaces=False), width=390)
    assert browser.evaluate("document.querySelectorAll('#methods input:checked').length") == 10
    assert browser.evaluate("document.querySelector('.controls').clientHeight") < 300
    assert browser.evaluate(SELFCHECK)["problems"] == []
    assert browser.console == []


def test_one_method_one_seed_and_no_exact_front(tmp_path, open_page, monkeypatch):
    from hwgpt_blackbox.errors import DataError
    from hwgpt_blackbox.experiments.report import optimum

    def fail(*args):
        raise DataError("too fine")

    monkeypatch.setattr(optimum, "reference_front", fail)
    run = made(PROBLEMS[0], "RS", 0)
    page = written([run], tmp_path / "o", spaces=False)
    browser = open_page(page)
    assert "The exact front is not known." in page.read_text()
    assert "Only RS was run" in page.read_text()
    assert browser.evaluate("document.getElementById('measure').value") == "hypervolume"
    assert "exact optimum" not in browser.evaluate(
        "document.getElementById('plot-convergence').textContent"
    )
    assert browser.console == []
    fronts = pd.read_csv(next((tmp_path / "o" / "data").glob("fronts-*.csv")))
    assert set(fronts["kind"]) == {"random", "front"}
