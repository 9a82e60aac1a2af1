"""The explorer: its page computes what the package does, and says where its answers are exact."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from helpers import own_space, write_own_space

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import parse_objective
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.experiments.explorer import explorer_page, objective_pairs
from hwgpt_blackbox.fronts import best, reference_front
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.storage.surrogates import load_surrogate

READY = "document.querySelector('#plot-devices .main-svg')"
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Of a whole space, whose optima take half a minute."""
    out = tmp_path_factory.mktemp("explorer") / "s.html"
    assert main(["explore", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(page, READY)
        yield browser


def limit(browser: Browser, row: int, target: str, step: int) -> None:
    """Choose a limited objective and move its slider."""
    browser.evaluate(
        f"""(() => {{
          const row = document.querySelectorAll('#limits > span')[{row}];
          const [select, slider] = [row.querySelector('select'), row.querySelector('input')];
          select.value = '{target}';
          select.dispatchEvent(new Event('change'));
          slider.value = '{step}';
          slider.dispatchEvent(new Event('input'));
        }})()"""
    )


def limits(browser: Browser) -> list[float]:
    texts = browser.evaluate("[...document.querySelectorAll('#limits output')].map((o) => o.value)")
    return [float(t.removeprefix("at most ").replace(",", "")) for t in texts if t != "no limit"]


def statement(browser: Browser) -> str:
    return browser.evaluate("document.getElementById('statement').textContent")


def chosen(browser: Browser, capsys) -> dict:
    """What ``query`` says of the chosen architecture, by the command that the page copies."""
    command = browser.evaluate(
        """(async () => {
          let copied;
          navigator.clipboard.writeText = async (text) => { copied = text; };
          document.getElementById('copy-command').click();
          return copied;
        })()"""
    )
    assert main([*shlex.split(command)[1:], "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_size(page):
    """Within 3 MB beside Plotly's script."""
    from plotly.offline import get_plotlyjs

    assert page.stat().st_size - len(get_plotlyjs().encode()) < 3e6


@pytest.mark.slow
@needs_browser
def test_a_limit_on_the_pair_is_answered_exactly(browser, capsys):
    browser.choose("pair", "perplexity and latency")
    browser.choose("device", "a40")
    limit(browser, 0, "latency@a40", 250)
    limit(browser, 1, "", 400)
    (most,) = limits(browser)
    found = best("s", "perplexity", {"latency@a40": most})
    assert "It is exact" in statement(browser)
    answer = chosen(browser, capsys)
    assert answer["configuration"] == found.configuration
    assert answer["expected"]["metric_latency"] <= most
    shown = browser.evaluate("document.getElementById('detail-values').textContent")
    assert f"{answer['expected']['metric_perplexity']:.6g}" in shown
    assert browser.console == []


@pytest.mark.slow
@needs_browser
def test_limits_on_other_devices(browser, capsys):
    browser.choose("pair", "perplexity and energy")
    for step in (140, 220, 300):
        limit(browser, 0, "latency@cpu_amd_7502", step)
        limit(browser, 1, "energy@h100", step)
        latency, energy = limits(browser)
        found = best("s", "perplexity", {"latency@cpu_amd_7502": latency, "energy@h100": energy})
        value = chosen(browser, capsys)["expected"]["metric_perplexity"]
        if "It is exact" in statement(browser):
            assert value == pytest.approx(found.values["perplexity"], rel=1e-6)
        else:
            assert "The exact answer: hwgpt-blackbox query --best" in statement(browser)
            assert value >= found.values["perplexity"] * (1 - 1e-6)


@pytest.mark.slow
@needs_browser
def test_limits_that_no_architecture_meets(browser):
    browser.choose("pair", "perplexity and latency")
    browser.choose("device", "a40")
    limit(browser, 0, "perplexity", 0)
    limit(browser, 1, "latency@a40", 0)
    assert "No architecture on this page is within these limits" in statement(browser)
    limit(browser, 0, "latency@a40", 400)
    limit(browser, 1, "", 400)
    assert browser.console == []


@pytest.mark.slow
@needs_browser
def test_the_least_limit_of_each_objective_is_met(browser):
    targets = browser.evaluate(
        "[...document.querySelector('#limits select').options].map((o) => o.value).filter(Boolean)"
    )
    limit(browser, 1, "", 400)
    for target in targets:
        limit(browser, 0, target, 0)
        assert statement(browser).startswith("Smallest perplexity"), target
    limit(browser, 0, "latency@a40", 400)


@pytest.mark.slow
@needs_browser
def test_the_page_computes_what_the_models_do(browser):
    """The front that it draws is the exact one, in the values that the package gives."""
    for kind, device, pair in (
        ("perplexity and energy", "P100", ("perplexity", "energy@P100")),
        ("perplexity and flops", "P100", ("perplexity", "flops")),
    ):
        browser.choose("pair", kind)
        browser.choose("device", device)
        front = reference_front("s", pair)
        x, y = browser.evaluate(
            "(({x, y}) => [x, y])(document.getElementById('plot-front').data[0])"
        )
        order = np.argsort(front.objectives[:, 1])
        np.testing.assert_allclose(y, front.objectives[order, 0], rtol=1e-7)
        np.testing.assert_allclose(x, front.objectives[order, 1], rtol=1e-7)


@pytest.mark.slow
@needs_browser
def test_the_chosen_architecture_has_a_place_on_every_device(browser):
    browser.choose("pair", "perplexity and latency")
    limit(browser, 0, "latency@a40", 200)
    rings = browser.evaluate(
        "document.getElementById('plot-devices').data.filter((t) => t.x.length === 1)"
        ".map((t) => t.x[0])"
    )
    text = browser.evaluate("Page.current().architecture")
    encoding = Encoding(SPACES["s"])
    decoded = browser.evaluate(
        f"Page.configuration(Page.current().choices, Page.decode(Page.current().choices, '{text}'))"
    )
    surrogate = load_surrogate("s")
    columns = [parse_objective(t) for t in surrogate.models if t.startswith("latency@")]
    values = Predictor(surrogate, columns).expected(encoding.encode([decoded]))[0]
    np.testing.assert_allclose(rings, values, rtol=1e-7)


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1200, True)])
def test_it_fits(page, tmp_path, width, dark):
    with Browser(tmp_path, width=width, dark=dark) as browser:
        browser.open(page, READY)
        limit(browser, 0, "latency@a100", 200)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.evaluate(wide) <= 1
        names = browser.evaluate(
            "[...document.querySelectorAll('input, select, button')].map((e) => "
            "e.getAttribute('aria-label') || e.textContent || (e.labels[0] || {}).textContent)"
        )
        assert all(names)
        assert browser.console == []


@needs_browser
def test_a_space_of_ones_own(artifacts, tmp_path):
    """Without quality, too; the page computes what the package does."""
    write_own_space(artifacts)
    write_own_space(artifacts, own_space(name="fast"), ("latency@laptop", "energy@laptop"), seed=2)
    with Browser(tmp_path / "profile") as browser:
        for space, pair in (
            ("mine", ("perplexity", "latency@board")),
            ("fast", ("latency@laptop", "params")),
        ):
            out = tmp_path / f"{space}.html"
            assert main(["explore", "--space", space, "--out", str(out)]) == 0
            browser.open(out, READY)
            browser.choose("device", pair[0 if space == "fast" else 1].partition("@")[2])
            front = reference_front(space, pair)
            y = browser.evaluate("document.getElementById('plot-front').data[0].y")
            np.testing.assert_allclose(np.sort(y), np.sort(front.objectives[:, 0]), rtol=1e-7)
        assert browser.console == []


def test_pairs_without_quality():
    targets = ["latency@mine", "energy@mine", "flops", "params"]
    assert list(objective_pairs(targets)) == [
        ("latency@mine", "params"),
        ("energy@mine", "params"),
        ("latency@mine", "energy@mine"),
    ]


def test_a_space_without_measurements():
    with pytest.raises(InputError, match="no measurements of space 's-wide'"):
        explorer_page("s-wide")


def test_a_file_that_cannot_be_written(tmp_path, capsys, monkeypatch):
    """It is said before the fronts are computed."""
    monkeypatch.setattr("hwgpt_blackbox.experiments.explorer.explorer_page", None)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "page.html", tmp_path):
        assert main(["explore", "--out", str(out)]) == 2
        assert "could not be written" in capsys.readouterr().err
