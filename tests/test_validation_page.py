"""The report in a browser: it opens offline, shows its figures, sorts, filters, fits a phone and paper."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from browser import Browser, chromium
from caloforge.validation.measure import Measure, Number
from caloforge.validation.report.page import Origin, number, page
from caloforge.validation.report.text import cell, floor, rich, value
from validation_charts import NAMES, every_kind, histograms, judged, summary

MANY = 60


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, candidates, many in (("one", 1, 10), ("three", 3, MANY)):
        charts = every_kind(candidates, many)
        made[name] = folder / f"{name}.html"
        made[name].write_text(page(summary(candidates, charts), charts), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def browser():
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture
def view(browser):
    """The browser as a laptop in light colours, without errors so far."""
    browser.errors.clear()
    browser.requests.clear()
    browser.size(1280, 900)
    browser.media(prefers_color_scheme="light")
    yield browser
    assert browser.errors == []


class Page(HTMLParser):
    """Collects tags, links and identifiers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links, self.fetched = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        for key in ("src", "href", "xlink:href", "srcset", "action"):
            value = given.get(key) or ""
            (self.links if value.startswith("#") else self.fetched).extend([value] if value else [])


def count(what: str) -> str:
    return f"document.querySelectorAll({json.dumps(what)}).length"


# The page as text


@pytest.mark.parametrize("name", ["one", "three"])
def test_one_file_that_fetches_nothing_and_whose_links_lead_somewhere(files, name):
    text = files[name].read_text(encoding="utf-8")
    found = Page(text)
    assert found.fetched == []
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert found.tags.count("h1") == 1
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert text.count("<noscript><svg") == text.count('<svg class="plot"') > 10


def test_what_a_user_names_is_text(tmp_path):
    evil = "</script><b>x</b>"
    charts = histograms(1, 2)
    charts[0] = replace(charts[0], title=evil, caption=evil)
    named = replace(judged(0, charts), name=evil, origin=Origin(evil, 10, {"command": evil}))
    text = page(summary(1, charts, candidates=(named,), notes=(evil,)), charts)
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text


def test_a_candidate_without_distances_or_figures():
    bare = replace(judged(0, []), distances=(), findings=())
    text = page(summary(1, [], candidates=(bare,), studies=()), [])
    assert "Visibly different from Geant4" in text
    assert "What is worst" not in text


def test_unknown_numbers_are_dashes():
    nan = float("nan")
    odd = replace(judged(0, []), keys=(Number("auc", "AUC", Measure(nan, nan, nan, nan)),))
    text = page(summary(2, [], candidates=(odd, replace(odd, name="b")), studies=()), [])
    assert ">nan<" not in text
    assert "—" in text


def test_numbers_are_written_to_their_error():
    assert number(0.012345, 0.00214) == "0.0123 ± 0.0021"
    assert number(0.99, 0.1) == "0.99 ± 0.10"
    assert number(29653, 3202) == "29700 ± 3200"
    assert number(3.21e-5, 4.3e-6) == "(3.21 ± 0.43)·10⁻⁵"
    assert number(float("nan"), 1.0) == "—"
    assert number(0.25) == "0.25"
    assert number(-2.0, 0.5, "+") == "−2.00 ± 0.50"
    assert number(0.99999, 1e-24) == "1"
    assert cell((0.5, 0.01)) == "0.500 ± 0.010"
    assert cell(None) == ""


def test_figures_of_merit_have_units_and_signs():
    fpd = Number("fpd", "FPD", Measure(14943.0, 62.0, 4.3, 1.4), "1e-3")
    assert (value(fpd), floor(fpd)) == ("(14943 ± 62)·10⁻³", "(4.3 ± 1.4)·10⁻³")
    response = Number("response", "Response", Measure(2.0, 0.1, -0.01, 0.1), "%", "floor")
    assert (value(response), floor(response)) == ("+2.00 ± 0.10 %", "−0.01 ± 0.10 %")
    similar = Number("ssim", "SSIM", Measure(0.6, 0.01, 0.9, 0.01), "", "floor")
    assert value(similar) == "0.600 ± 0.010"  # no difference: its floor is far from zero
    unknown = Number("x", "x", Measure(float("nan")), "mm")
    assert value(unknown) == "—"


def test_labels_become_html():
    assert rich(r"Width $\sigma_x$, <b>") == "Width σ<sub>x</sub>, &lt;b&gt;"
    assert rich(r"$\langle E_{tot}/E_{inc}\rangle^2$") == "⟨E<sub>tot</sub>/E<sub>inc</sub>⟩<sup>2</sup>"


# The page in a browser


@pytest.mark.parametrize("name", ["one", "three"])
def test_it_opens_quickly_and_asks_nobody(view, files, name):
    view.open(files[name])
    assert [url for url in view.requests if not url.startswith(("file:", "about:"))] == []
    assert len([url for url in view.requests if url.startswith("file:")]) == 1
    assert view.run(count(".page.open")) == 1
    assert view.run("document.querySelector('.page.open').id") == "summary"
    assert view.run("document.querySelector('h1').getBoundingClientRect().top") < 200


def test_figures_appear_when_their_page_is_opened(view, files):
    view.open(files["three"])
    view.wait(f"{count('#pareto svg.plot')} === 1")
    assert view.run(count("#lateral svg.plot")) == 0
    view.run("document.querySelector('nav a[data-page=lateral]').click()")
    view.wait(f"{count('#lateral svg.plot')} > 2")
    far = view.run(count("#lateral noscript"))
    assert far > 0  # those below wait
    view.run("scrollTo(0, document.body.scrollHeight)")
    view.wait(f"{count('#lateral noscript')} < {far}")
    height = view.run("document.querySelector('#lateral svg.plot').getBoundingClientRect().height")
    assert height > 200
    assert view.run("document.querySelector('nav a[aria-current]').dataset.page") == "lateral"


def test_words_of_figures_are_drawn(view, files):
    view.open(files["one"], "#fig-width_x_0")
    view.wait(f"{count('#fig-width_x_0 svg.plot use')} > 20")
    inside = "[...document.querySelectorAll('#fig-width_x_0 use')].every((u) => u.getBBox().width > 0)"
    assert view.run(inside)


def test_a_link_to_a_figure_opens_its_page_there(view, files):
    view.open(files["three"], "#fig-width_x_9")
    view.wait(f"{count('#fig-width_x_9 svg.plot')} === 1")
    assert view.run("document.querySelector('.page.open').id") == "lateral"
    view.wait("Math.abs(document.getElementById('fig-width_x_9').getBoundingClientRect().top) < 200")
    view.run("location.hash = '#summary'")
    view.wait("document.querySelector('.page.open').id === 'summary'")
    view.run("document.querySelector('.finding.fault a').click()")
    view.wait("document.querySelector('figure.lit')?.id === 'fig-width_x_0'")
    view.run("history.back()")
    view.wait("document.querySelector('.page.open').id === 'summary'")


def test_findings_without_a_chart_have_no_link(view, files):
    view.open(files["one"])
    assert view.run(count(".finding.warning")) == 1
    assert view.run(count(".finding.warning a")) == 0
    kinds = view.run("[...document.querySelectorAll('#summary .finding')].map((f) => f.classList[1])")
    assert kinds == ["note", "fault", "warning", "note"]  # the report's note, then faults first


def type_into(view, what: str, text: str) -> None:
    view.run(f"(() => {{ const e = document.querySelector({json.dumps(what)}); e.value = {json.dumps(text)};"
             "e.dispatchEvent(new Event('input', {bubbles: true})); })()")  # fmt: skip


def test_the_filter_finds_by_name_layer_and_floor(view, files):
    view.open(files["three"], "#lateral")
    shown = "[...document.querySelectorAll('#lateral figure:not([hidden])')].map((f) => f.dataset.name)"
    every = view.run(shown)
    assert len(every) == 2 * MANY // 5
    type_into(view, "#filter", "width_x layer 3")
    assert view.run(shown) == ["width_x_3"]
    assert view.run("document.getElementById('shown').textContent") == f"1 of {len(every)} figures"
    assert view.run("document.querySelector('nav a[data-page=energy] .count').textContent").startswith("0/")
    type_into(view, "#filter", "layer 1")  # and not 10 or 11
    assert view.run(shown) == ["width_x_1", "width_y_1"]
    type_into(view, "#filter", "nothing like it")
    assert view.run("!document.querySelector('#lateral .none').hidden")
    type_into(view, "#filter", "")
    view.run("document.getElementById('beyond').click()")
    assert all(name.startswith("width_x") for name in view.run(shown))
    assert len(view.run(shown)) == MANY // 5
    view.run("document.getElementById('beyond').click()")
    assert view.run(shown) == every


def test_figures_sort_by_excess_and_back(view, files):
    view.open(files["three"], "#lateral")
    order = "[...document.querySelectorAll('#lateral figure')].map((f) => f.dataset.name)"
    before = view.run(order)
    sort = "document.getElementById('sort')"
    choose = f"{sort}.value = '{{}}'; {sort}.dispatchEvent(new Event('change'))"
    view.run(choose.format("excess"))
    excess = view.run("[...document.querySelectorAll('#lateral figure')].map((f) => +f.dataset.excess)")
    assert excess == sorted(excess, reverse=True)
    assert excess[0] > excess[-1]
    view.run(choose.format("order"))
    assert view.run(order) == before


def test_tables_sort_by_number_and_search(view, files):
    view.open(files["three"], "#numbers")
    table = "document.querySelectorAll('#numbers table')[1]"
    column = f"[...{table}.tBodies[0].rows].map((r) => +r.cells[3].dataset.value)"
    click = f"{table}.tHead.rows[0].cells[3].querySelector('button').click()"
    view.run(click)
    assert view.run(column) == sorted(view.run(column), reverse=True)
    assert view.run(f"{table}.tHead.rows[0].cells[3].getAttribute('aria-sort')") == "descending"
    view.run(click)
    assert view.run(column) == sorted(view.run(column))
    assert view.run(column)[0] < view.run(column)[-1]
    type_into(view, "input[data-search]", "width_x_3")
    assert view.run(count("#numbers tbody tr:not([hidden])")) == 1


def test_several_candidates_are_compared_and_the_best_marked(view, files):
    view.open(files["three"])
    heads = view.run("[...document.querySelectorAll('.compare thead th')].map((t) => t.textContent.trim())")
    assert heads == ["Number", *NAMES[:3], "Floor"]
    best = view.run(
        "[...document.querySelectorAll('.compare tbody tr')]"
        ".map((r) => [...r.cells].findIndex((c) => c.classList.contains('best')))"
    )
    assert best == [1, 2, 3]  # lowest AUC; response nearest to its floor; highest coverage
    assert view.run(count("article.verdict")) == 3


def saved(view, figure: str, kind: str) -> str:
    """Return what a click on one of the figure's small buttons saves."""
    view.run(
        "window.kept = null;"
        "URL.createObjectURL = (blob) => { blob.text().then((t) => { window.kept = t; }); return '#'; }"
    )
    view.run("HTMLAnchorElement.prototype.click = function () { window.keptName = this.download; }")
    view.run(f"document.querySelector('#fig-{figure} [data-save={kind}]').click()")
    view.wait("window.kept !== null")
    return str(view.run("window.kept"))


def test_data_and_picture_of_a_figure_are_saved(view, files):
    from caloforge.validation.report.export import chart_csv, chart_data

    chart = histograms(3, 3)[2]
    view.open(files["three"], "#fig-width_x_0")
    assert json.loads(saved(view, "width_x_0", "json")) == chart_data(chart)
    assert view.run("window.keptName") == "width_x_0.json"
    assert saved(view, "width_x_0", "csv") == chart_csv(chart_data(chart))
    picture = saved(view, "width_x_0", "svg")
    assert picture.startswith("<svg")
    assert "var(" not in picture
    from xml.etree import ElementTree

    tree = ElementTree.fromstring(picture)
    names = {node.get("id") for node in tree.iter("{http://www.w3.org/2000/svg}path")} - {None}
    used = {node.get("href")[1:] for node in tree.iter("{http://www.w3.org/2000/svg}use")}
    assert used <= names


def test_showers_turn_in_space_and_rest_when_asked(view, files):
    picture = "document.querySelector('#fig-cloud_0 canvas').toDataURL()"
    view.open(files["three"], "#fig-cloud_0")
    view.wait(f"{count('#fig-cloud_0 canvas')} === 4")
    view.wait(f"{picture}.length > 3000")
    view.run(f"window.before = {picture}")
    view.wait(f"window.before !== {picture}")  # turns by itself
    view.media(prefers_reduced_motion="reduce")
    view.open(files["three"], "#fig-cloud_0")
    view.wait(f"{count('#fig-cloud_0 canvas')} === 4 && {picture}.length > 3000")
    view.run(f"window.before = {picture}")
    assert view.run(f"new Promise((r) => setTimeout(() => r(window.before === {picture}), 300))")
    view.run(
        "document.querySelector('#fig-cloud_0 canvas')"
        ".dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}))"
    )
    assert view.run(f"window.before !== {picture}")  # but by hand, too


@pytest.mark.parametrize(("width", "height"), [(390, 844), (768, 1024), (1280, 900)])
@pytest.mark.parametrize("name", ["one", "three"])
def test_nothing_leaves_the_window(view, files, width, height, name):
    view.size(width, height, phone=width < 600)
    view.open(files[name])
    for place in view.run("[...document.querySelectorAll('.page')].map((p) => p.id)"):
        view.run(f"location.hash = '#{place}'")
        view.wait(f"document.querySelector('.page.open').id === '{place}'")
        assert view.run("document.documentElement.scrollWidth") <= width, place
        over = (
            "[...document.querySelectorAll('.page.open :is(figure, .scroll, svg.plot, .measures)')]"
            ".filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5).length"
        )
        assert view.run(over) == 0, place


def test_light_and_dark(view, files):
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('#fig-width_x_0 svg.plot path')).fill"
    view.open(files["one"], "#fig-width_x_0")
    view.wait(f"{count('#fig-width_x_0 svg.plot')} === 1")
    light = view.run(f"[{ground}, {ink}]")
    view.media(prefers_color_scheme="dark")
    dark = view.run(f"[{ground}, {ink}]")
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    view.run("document.querySelector('button.theme').click()")
    assert view.run(f"[{ground}, {ink}]") == light
    view.run("localStorage.clear()")


def test_text_has_contrast_in_both_themes(view, files):
    view.open(files["one"])
    for theme in ("light", "dark"):
        view.media(prefers_color_scheme=theme)
        for name in ("ink", "soft", "accent", "off", "fine", "warn"):
            pair = view.run(
                f"((s) => [s.getPropertyValue('--{name}'), s.getPropertyValue('--raised')])"
                "(getComputedStyle(document.documentElement))"
            )
            assert contrast(*pair) > 4.5, (theme, name)


def contrast(first: str, second: str) -> float:
    """Contrast of two colours by WCAG 2."""

    def luminance(text: str) -> float:
        parts = [int(text.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_it_is_read_without_a_mouse(view, files):
    view.open(files["one"], "#lateral")
    nameless = (
        "[...document.querySelectorAll('button, a[href], input, select, canvas')]"
        ".filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length"
    )
    assert view.run(nameless) == 0
    assert view.run(count("svg.plot:not([aria-label])")) == 0
    levels = view.run(
        "[...document.querySelectorAll('.page.open :is(h1, h2, h3, h4)')].map((h) => +h.tagName[1])"
    )
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert view.run("document.documentElement.lang") == "en"


def test_print_shows_everything(view, files, tmp_path):
    view.open(files["three"])
    view.print(tmp_path / "report.pdf")
    assert view.run(count("noscript")) == 0  # all were drawn for the printer
    view.media("print")
    hidden = (
        "[...document.querySelectorAll('.page, figure')]"
        ".filter((e) => e.getBoundingClientRect().height === 0).length"
    )
    assert view.run(hidden) == 0
    assert (tmp_path / "report.pdf").stat().st_size > 100_000


def test_without_javascript_everything_is_shown(view, files):
    view.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        view.call("Page.navigate", url=files["one"].resolve().as_uri())
        view.wait(f"{count('svg.plot')} > 10")
        shown = (
            "[...document.querySelectorAll('.page, svg.plot')]"
            ".every((e) => e.getBoundingClientRect().height > 0)"
        )
        assert view.run(shown)
        assert view.run("getComputedStyle(document.querySelector('.save')).display") == "none"
    finally:
        view.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.slow
def test_three_hundred_figures_are_small_and_quick(view, tmp_path):
    charts = every_kind(6, 300)
    path = tmp_path / "large.html"
    path.write_text(page(summary(6, charts), charts), encoding="utf-8")
    assert path.stat().st_size < 20e6
    view.open(path)
    ready = view.run("performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart")
    assert ready < 5000  # milliseconds, on a busy machine
    view.open(path, "#lateral")
    view.wait(f"{count('#lateral svg.plot')} > 2")


def test_a_plain_headless_browser_draws_it_too(files):
    """No DevTools: what `--dump-dom` sees after the scripts ran."""
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --virtual-time-budget=3000 --dump-dom"
    )
    words = [chromium(), *flags.split(), files["one"].resolve().as_uri() + "#fig-width_x_0"]
    found = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert re.search(r'<section class="page open" id="lateral"', found.stdout)
    assert '<svg class="plot"' in found.stdout
