"""A lesson as a reader meets it: JupyterLab, a real browser, Run All in a fresh kernel.

Screenshots of the whole notebook, screen by screen, are kept in .cache/screens/."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest

from notebooks import NBS, ROOT, left_out, lessons

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
SCREENS = ROOT / ".cache" / "screens"
QUIET = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-quic"]
START, RUN = 90, 600  # seconds for the server or a page to come up, and for a lesson to run
NOTEBOOK = ".jp-Notebook"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is missing: install it (Debian: apt install chromium fonts-dejavu-core)")


def strip_left_out(path):
    "Empty the cells that a run leaves out (slow, cuda, and data without COURSE_DATA): Run All would run them."
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if left_out(cell, ["data"] if os.environ.get("COURSE_DATA") else []): cell.source = ""
        if cell.cell_type == "code": cell.outputs = []
    nbformat.write(notebook, path)


class Lab:
    "A JupyterLab of its own on this machine's loopback: a copy of nbs/, its own settings, a token."

    def __init__(self, folder):
        self.nbs, self.log, self.token = folder / "nbs", folder / "lab.log", secrets.token_hex(16)
        shutil.copytree(NBS, self.nbs)
        if (ROOT / "benchmarks").exists(): shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
        for path in self.nbs.rglob("*.ipynb"): strip_left_out(path)
        news = folder / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        news.parent.mkdir(parents=True)
        news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))  # no pop-up over the page
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        own = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "JUPYTER_CONFIG_DIR": "config",
               "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
        env = {**os.environ, **{name: str(folder / sub) for name, sub in own.items()}, "OMP_NUM_THREADS": "1"}
        env.pop("MPLBACKEND", None)
        self.server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
             "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.nbs}"],
            env=env, stdout=self.log.open("w"), stderr=subprocess.STDOUT)

    def api(self, path):
        request = urllib.request.Request(f"{self.base}/api/{path}", headers={"Authorization": f"token {self.token}"})
        return json.load(urllib.request.urlopen(request, timeout=10))

    def wait_until_up(self):
        end = time.time() + START
        while True:
            try: return self.api("status")
            except OSError: assert self.server.poll() is None and time.time() < end, f"JupyterLab didn't start:\n{self.log.read_text()}"
            time.sleep(0.3)

    def kernel_is_idle(self):
        try: kernels = self.api("kernels")
        except urllib.error.HTTPError: return False  # the server fails to list kernels while one of them ends: ask again
        return bool(kernels) and all(k["execution_state"] == "idle" and k["connections"] for k in kernels)

    def end_kernels(self):
        for session in self.api("sessions"):
            urllib.request.urlopen(urllib.request.Request(f"{self.base}/api/sessions/{session['id']}", method="DELETE",
                                                          headers={"Authorization": f"token {self.token}"}), timeout=30)

    def close(self):
        self.server.terminate()
        try: self.server.wait(20)
        except subprocess.TimeoutExpired: self.server.kill()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("browser"))
    try:
        lab.wait_until_up()
        yield lab
    finally: lab.close()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


def wait(page, what, condition, seconds):
    "Wait until `condition()` holds. A dialog that needs an answer, or too long a wait, fails."
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, f"{what}: not within {seconds} s"
        assert not (dialog := page.locator(".jp-Dialog").all_inner_texts()), f"{what}: a dialog is in the way: {dialog}"
        page.wait_for_timeout(300)


def cells_of(path): return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code" and c.source.strip()]


def saved(page, path):
    "Save, and say whether every cell has run or one has failed. The page itself holds only the cells in view, so the file is read."
    page.keyboard.press("Control+s")
    page.wait_for_timeout(700)
    cells = cells_of(path)
    return all(c.execution_count for c in cells) or any(o.output_type == "error" for c in cells for o in c.outputs)


def photograph(page, name):
    "The notebook from top to bottom, screen by screen."
    for old in SCREENS.glob(f"{name}-*.png"): old.unlink()
    scroller = page.locator(f"{NOTEBOOK} .jp-WindowedPanel-outer").first
    scroller.evaluate("e => e.scrollTo(0, 0)")
    for n in range(200):
        page.wait_for_timeout(400)
        page.screenshot(path=SCREENS / f"{name}-{n:02}.png")
        before, after = scroller.evaluate("e => { const y = e.scrollTop; e.scrollBy(0, e.clientHeight - 80); return [y, e.scrollTop] }")
        if after - before < 2: return


def open_notebook(page, lab, name):
    "Open nbs/NAME.ipynb alone on the page and wait until its kernel is ready."
    page.goto(f"{lab.base}/doc/tree/{name}.ipynb?token={lab.token}", wait_until="domcontentloaded")
    page.wait_for_selector(f"{NOTEBOOK} .jp-Cell", timeout=START * 1000)
    # The page shows "Idle" before there is a kernel, and Run All would then ask for one: so the server is asked, then the page
    wait(page, "kernel", lab.kernel_is_idle, START)
    page.wait_for_function("!/No Kernel|Connecting|Initializing|Starting|Unknown/.test(document.querySelector('#jp-main-statusbar').innerText)")


def run_all(page):
    page.click('li.lm-MenuBar-item:has-text("Run")')
    page.click('li.lm-Menu-item[data-command="runmenu:run-all"]')


@pytest.mark.parametrize("lesson", [pytest.param(x, marks=[] if x.startswith("02") else pytest.mark.full) for x in lessons() if "/" not in x])
def test_run_all(lesson, lab, browser):
    SCREENS.mkdir(parents=True, exist_ok=True)
    path = lab.nbs / f"{lesson}.ipynb"
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    try:
        open_notebook(page, lab, lesson)
        if cells_of(path):
            run_all(page)
            wait(page, f"{lesson}, Run All", lambda: lab.kernel_is_idle() and saved(page, path), RUN)
        photograph(page, lesson)
        outputs = [output for cell in cells_of(path) for output in cell.outputs]
        errors = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
        assert not errors, f"{lesson} fails in JupyterLab: {errors[0]}"
        plots = sum("image/png" in o.get("data", {}) for o in outputs)
        print(f"{lesson}: {plots} plots; screenshots in {SCREENS.relative_to(ROOT)}")
        assert plots or lesson.startswith(("00", "17")), f"{lesson} shows no plot in JupyterLab"
    except BaseException:
        page.screenshot(path=SCREENS / f"{lesson}-failed.png")
        raise
    finally:
        page.close()
        lab.end_kernels()


WRONG = """def successive_halving(n, max_budget, eta):
    plan, budget = [], max_budget
    while budget >= 1:
        plan.append((n, budget))
        budget //= eta
    return plan
"""
RIGHT = """def successive_halving(n, max_budget, eta):
    plan = []
    while n >= 1:
        plan.append((n, max_budget // n))
        n //= eta
    return plan
"""


@pytest.mark.lesson("exercises/04_halving")
def test_an_exercise_as_a_learner_does_it(lab, browser):
    "An untouched stub, a wrong answer and its hint, a right answer; and the front page in another tab sees it without being run again."
    SCREENS.mkdir(parents=True, exist_ok=True)
    front, page = (browser.new_page(viewport={"width": 1280, "height": 1400}) for _ in range(2))
    row = front.locator(".jp-OutputArea-output tr", has_text="04_halving")
    try:
        open_notebook(front, lab, "00_start")
        run_all(front)
        row.wait_for(timeout=START * 1000)
        assert "0 of 6" in row.inner_text()
        open_notebook(page, lab, "exercises/04_halving")
        run_all(page)
        stub = page.locator(f"{NOTEBOOK} .jp-CodeCell", has_text="def successive_halving").first
        checked = page.locator(f"{NOTEBOOK} .jp-CodeCell", has_text="check.successive_halving(").first

        def says(words):
            checked.locator(".jp-OutputArea-output", has_text=words).wait_for(timeout=START * 1000)
            checked.scroll_into_view_if_needed()
            page.screenshot(path=SCREENS / f"exercise-{words.strip(':').replace(' ', '-')}.png")

        def answer(code):
            stub.locator(".cm-content").click()
            page.keyboard.press("Control+a")
            page.keyboard.insert_text(code)
            page.keyboard.press("Shift+Enter")
            checked.locator(".cm-content").click()
            page.keyboard.press("Shift+Enter")

        says("not yet:")
        answer(WRONG)
        says("hint:")
        assert "not right:" in checked.inner_text() and "0 of 6" in row.inner_text()
        answer(RIGHT)
        says("correct:")
        front.locator(".jp-OutputArea-output tr", has_text="04_halving").filter(has_text="1 of 6").wait_for(timeout=10_000)
        row.scroll_into_view_if_needed()
        front.screenshot(path=SCREENS / "exercise-progress.png")
        assert list(json.loads((lab.nbs / "progress.json").read_text())["done"]) == ["04.successive_halving"]
    except BaseException:
        page.screenshot(path=SCREENS / "exercise-failed.png")
        raise
    finally:
        page.close()
        front.close()
        lab.end_kernels()
