"""The course as web pages: what is on them, that every link leads somewhere, and how they do in a real browser."""

import functools
import html
import http.server
import importlib
import inspect
import re
import sys
import threading
import types
from configparser import ConfigParser

import nbformat
import pytest
from fastcore.docments import docments

import runner
import web
import web_check
from notebooks import NBS, ROOT, lessons
from test_browser import CHROMIUM, SCREENS, browser  # noqa: F401, a fixture

config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
NOTEBOOKS = lessons()
NUMBERED = [lesson for lesson in NOTEBOOKS if re.match(r"\d\d_", lesson) and not lesson.startswith("00")]
SAMPLE = ["00_start", "04_halving", "14_darts", "exercises/04_halving", "solutions/04_halving"]
MODULES = sorted(path.stem for path in (ROOT / cfg["lib_path"]).glob("[!_]*.py"))
pytestmark = pytest.mark.filterwarnings("ignore:'myst_parser")  # it uses what the next Sphinx but one won't have
AGAIN = ROOT / ".cache" / "web-again"
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The folder of the pages, and what was wrong with them."
    folder = tmp_path_factory.mktemp("web")
    faults = web.build(folder / "pages", folder / "work")
    return folder / "pages", faults


@pytest.fixture(scope="module")
def page_of(site):
    "The text of a page's file."
    return functools.cache(lambda name: (site[0] / f"{name}.html").read_text(encoding="utf-8"))


def web_name(lesson): return "index" if lesson == "00_start" else lesson


def plain(text): return re.sub(r"[\W_]", "", html.unescape(re.sub(r"<[^>]+>", "", text)))


def test_builds_without_a_finding(site):
    assert not site[1], f"{len(site[1])} findings:\n" + "\n".join(site[1])


def beside(lesson):
    "Build once more, in a process with other hashes; beside the other tests."
    return runner.call([sys.executable, "-c", f"import pathlib, web; web.build(*map(pathlib.Path, {[f'{AGAIN}/pages', f'{AGAIN}/work']}))"], ROOT / "tools", PYTHONHASHSEED="1")


@pytest.mark.full
def test_building_again_gives_the_same(beside, site):
    assert beside[0] == 0, beside[1]
    first, second = ({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} for folder in (site[0], AGAIN / "pages"))
    assert first.keys() == second.keys() and not (changed := [path for path in first if first[path] != second[path]]), changed


@pytest.mark.parametrize("lesson", NOTEBOOKS)
def test_shows_the_code_that_a_reader_should_see(lesson, page_of):
    shown = [html.unescape(re.sub(r"<[^>]+>", "", code)) for code in re.findall(r'<div class="cell_input.*?<pre>(.*?)</pre>', page_of(web_name(lesson)), re.S)]
    cells = [cell for cell in nbformat.read(NBS / f"{lesson}.ipynb", as_version=4).cells if cell.cell_type == "code"]
    expected = [re.sub(r"\A(\s*#\s*\|.*(\n|\Z))+", "", cell.source).strip() for cell in cells if not re.match(r"#\s*\|\s*(hide|default_exp)\b", cell.source)]
    assert [code.strip() for code in shown] == [code for code in expected if code]


@pytest.mark.parametrize("lesson", NOTEBOOKS)
def test_every_plot_has_its_text(lesson, page_of):
    found = re.findall(r'<img alt="([^"]*)" src="[^"]*_images/[0-9a-f]{64}\.png"', page_of(web_name(lesson)))
    expected = []
    for cell in nbformat.read(NBS / f"{lesson}.ipynb", as_version=4).cells:
        text = re.search(r"^#\| fig-alt: (.*)", cell.source, re.M)
        expected += [text and text[1]] * sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    assert [html.unescape(alt) if text else None for alt, text in zip(found, expected, strict=True)] == expected


def test_a_plot_without_text_is_found(tmp_path, monkeypatch):
    plot = nbformat.v4.new_output("display_data", {"image/png": "aaaa"})
    cells = [nbformat.v4.new_code_cell(source, outputs=[plot]) for source in ("#| export\n#| fig-alt: A line: it \"rises\".\nplot()", "draw()")]
    (tmp_path / "nbs").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), *cells]), tmp_path / "nbs/x.ipynb")
    monkeypatch.setattr(web, "ROOT", tmp_path)
    shown = web.prepared("nbs/x.ipynb", faults := [])
    assert [cell.metadata.mystnb.image.alt for cell in shown.cells if cell.cell_type == "code"] == ['A line: it "rises".', ""]
    assert faults == ["nbs/x.ipynb: a plot without `#| fig-alt:`, made by: draw()"]


@pytest.mark.parametrize("lesson", NOTEBOOKS)
def test_leads_to_colab_to_the_notebook_and_to_what_belongs_to_it(lesson, page_of, site):
    links = re.findall(r'href="([^"]*)"', page_of(web_name(lesson)))
    assert f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/nbs/{lesson}.ipynb" in links
    up, name = "../" * lesson.count("/"), lesson.rpartition("/")[2]
    assert f"{up}notebooks/{lesson}.ipynb" in links
    assert (site[0] / "notebooks" / f"{lesson}.ipynb").read_bytes() == (NBS / f"{lesson}.ipynb").read_bytes()
    family = [other for other in (name, f"exercises/{name}", f"solutions/{name}") if other in NOTEBOOKS and other != lesson] if lesson in NUMBERED or "/" in lesson else []
    assert not (missing := [other for other in family if not any(re.sub(r"(\.\./)+", "", link).split("#")[0] == f"{other}.html" or link == f"{name}.html" for link in links)]), missing
    if lesson in NUMBERED: assert any(link.startswith(f"api/{name.partition('_')[2]}.html") for link in links)


def test_next_leads_through_the_lessons_in_order(page_of):
    name, seen = "index", []
    for _ in NUMBERED:
        name = re.search(r'<a class="next-page" href="([^"]*)\.html"', page_of(name))[1]
        seen.append(name)
        assert 'class="prev-page"' in page_of(name)
    assert seen[:16] == NUMBERED[:16]


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_has_every_public_name_with_what_its_parameters_mean(module, page_of):
    page, found = page_of(f"api/{module}"), importlib.import_module(f"{cfg['lib_path']}.{module}")
    text, missing = plain(page), []
    for name in found.__all__:
        if f'id="{found.__name__}.{name}"' not in page: missing.append(name)
        thing = getattr(found, name)
        for cls in [cls for cls in getattr(thing, "__mro__", ()) if cls.__module__ == found.__name__ and (cls is thing or cls.__name__[0] == "_")]:
            missing += [f"{name}.{part}" for part, member in vars(cls).items() if part[0] != "_" and isinstance(member, (property, types.FunctionType)) and f'id="{found.__name__}.{name}.{part}"' not in page]
        if not inspect.isfunction(thing) and not (inspect.isclass(thing) and "__init__" in vars(thing)): continue
        for parameter, given in docments(thing, full=True, returns=True).items():
            if isinstance(given.get("docment"), str) and plain(given["docment"].replace("<", "&lt;")) not in text: missing.append(f"{name}, {parameter}: {given['docment']}")
        if inspect.getdoc(thing) and inspect.isfunction(thing) and plain(inspect.getdoc(thing).split("\n")[0].replace("<", "&lt;")) not in text: missing.append(f"{name}: its docstring")
    assert not missing, "\n".join(missing)


def test_a_folded_answer_may_have_formulas_and_code():
    assert web.unfolded("<details><summary>Answer</summary>$x$ is `y`.</details>").split("\n\n")[1] == "$x$ is `y`."


def test_code_in_prose_leads_to_the_reference(page_of):
    assert re.search(r'<a class="reference internal" href="api/search\.html#course_lib\.search\.minimize"><code', page_of("04_halving"))
    assert 'href="../08_lr_finder.html#lr_find"' in page_of("api/lr_finder") and 'id="lr_find"' in page_of("08_lr_finder")


FAULTS = {
    '<a href="gone.html">x</a>': "links to gone.html, which isn't there",
    '<a href="other.html#gone">x</a>': "links to other.html#gone, but the page has no such anchor",
    '<a href="#gone">x</a>': "links to #gone, but the page has no such anchor",
    '<img src="gone.png" alt="x">': "refers to gone.png, which isn't there",
    '<img src="there.png">': "the image there.png has no text to read in its place",
    '<img src="there.png" alt=" ">': "the image there.png has no text to read in its place",
    '<img src="there.png" alt="there.png">': "the image there.png has no text to read in its place",
    '<img src="https://example.org/x.png" alt="x">': "loads https://example.org/x.png from another host",
    '<img src="//example.org/x.png" alt="x">': "loads //example.org/x.png from another host",
    '<script src="https://example.org/x.js"></script>': "loads https://example.org/x.js from another host",
    '<link rel="stylesheet" href="https://example.org/x.css">': "loads https://example.org/x.css from another host",
    '<script src="gone.js"></script>': "refers to gone.js, which isn't there",
    '<p style="background: url(https://example.org/x.png)">': "loads https://example.org/x.png from another host",
    "<style>@import 'https://example.org/x.css';</style>": "loads https://example.org/x.css from another host",
    "": "",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_finds(fault, tmp_path):
    (tmp_path / "other.html").write_text('<h1 id="here">x</h1><a href="https://example.org">x</a> <a href="page.html">x</a>')
    (tmp_path / "page.html").write_text(f'<p><a href="other.html#here">x</a> <img src="there.png" alt="x"> {fault}</p>')
    (tmp_path / "there.png").touch()
    assert web_check.check(tmp_path) == ([f"page.html: {FAULTS[fault]}"] if fault else [])


def test_the_check_reads_style_sheets(tmp_path):
    (tmp_path / "x.css").write_text("a { src: url('https://example.org/font.woff') } b { background: url(gone.png) }")
    assert web_check.check(tmp_path) == ["x.css: loads https://example.org/font.woff from another host", "x.css: refers to gone.png, which isn't there"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope="module")
def base(site):
    "The address at which the pages are served."
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site[0]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def windows(browser, base):  # noqa: F811
    "A window of each width, with the list of what goes wrong in it."
    SCREENS.mkdir(parents=True, exist_ok=True)
    opened = {}
    for width, (x, y) in WIDTHS.items():
        page, wrong = browser.new_page(viewport={"width": x, "height": y}), []
        page.on("console", lambda message, wrong=wrong: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
        page.on("requestfailed", lambda request, wrong=wrong: wrong.append(f"{request.url} failed"))
        page.on("response", lambda response, wrong=wrong: wrong.append(f"{response.url}: {response.status}") if response.status >= 400 else None)
        page.on("request", lambda request, wrong=wrong: wrong.append(f"asks for {request.url}") if not request.url.startswith((base, "data:")) else None)
        opened[width] = page, wrong
    return opened


LOOK = """async () => {
    if (window.MathJax) await MathJax.startup.promise
    const text = document.querySelector("article").cloneNode(true), found = []
    text.querySelectorAll("pre, code, script, style, mjx-container").forEach(e => e.remove())
    if (document.documentElement.scrollWidth > innerWidth) found.push(`scrolls sideways: ${document.documentElement.scrollWidth} pixels`)
    for (const image of document.images) if (!image.naturalWidth) found.push(`no image ${image.src}`)
    for (const formula of document.querySelectorAll("article .math")) if (!formula.querySelector("mjx-container")) found.push(`not rendered: ${formula.innerText}`)
    if (document.querySelector("mjx-merror")) found.push(`a formula is wrong: ${document.querySelector("mjx-merror").innerText}`)
    if (/\\$\\$|\\\\\\(|\\$\\\\/.test(text.innerText)) found.push("a formula stands there as it is written")
    return found
}"""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="Chromium is missing: install it (Debian: apt install chromium fonts-dejavu-core)")


def look(name, windows, base):
    "Open the page `name` at both widths; what is wrong with it."
    found = []
    for width, (page, wrong) in windows.items():
        wrong.clear()
        page.goto(f"{base}{name}.html", wait_until="load")
        found += [f"{name}, {width}: {what}" for what in page.evaluate(LOOK) + wrong]
        page.screenshot(path=SCREENS / f"web-{name.replace('/', '-')}-{width}.png")
    return found


@needs_chromium
@pytest.mark.parametrize("lesson", [pytest.param(lesson, marks=[] if lesson in SAMPLE else pytest.mark.full) for lesson in NOTEBOOKS])
def test_in_the_browser(lesson, windows, base):
    assert not (found := look(web_name(lesson), windows, base)), "\n".join(found)


@needs_chromium
@pytest.mark.parametrize("pages", ["api/search lessons", pytest.param("", marks=pytest.mark.full)], ids=["sample", "all"])
def test_other_pages_in_the_browser(pages, windows, base, site):
    names = {str(path.relative_to(site[0]).with_suffix("")) for path in site[0].rglob("*.html")} - set(map(web_name, NOTEBOOKS))
    assert not (found := [what for name in sorted(pages.split() or names) for what in look(name, windows, base)]), "\n".join(found)


@needs_chromium
@pytest.mark.parametrize("width", WIDTHS)
def test_search_finds_darts(width, windows, base):
    page, wrong = windows[width]
    wrong.clear()
    page.goto(f"{base}index.html")
    if width == "phone": page.locator("label[for=__navigation]:visible").first.click()
    page.locator(".sidebar-search").fill("DARTS")
    page.keyboard.press("Enter")
    page.wait_for_selector('#search-results li a[href*="14_darts.html"]')  # the results come one after the other
    assert not wrong
    page.screenshot(path=SCREENS / f"web-search-{width}.png")


@needs_chromium
@pytest.mark.parametrize("width", WIDTHS)
def test_dark_and_light(width, windows, base):
    page, _ = windows[width]
    page.goto(f"{base}04_halving.html")
    colours = set()
    for _ in range(3):
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.screenshot(path=SCREENS / f"web-{page.evaluate('document.body.dataset.theme')}-{width}.png")
        page.locator(".theme-toggle:visible").first.click()
    assert len(colours) == 2


@needs_chromium
def test_a_folded_answer_opens(windows, base):
    page, _ = windows["phone"]
    page.goto(f"{base}09_one_cycle.html")
    answer = page.locator("details:has(code)").first
    assert not answer.locator("code").first.is_visible()
    answer.locator("summary").click()
    assert answer.locator("code").first.is_visible()
