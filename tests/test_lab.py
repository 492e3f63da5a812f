"`make lab` really serves the front page, to those who have the token and to nobody else."

import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from notebooks import ROOT

WAIT = 60  # seconds


def listens(address):
    with socket.socket() as s: return s.connect_ex(("127.0.0.1", int(re.search(r":(\d+)/", address)[1]))) == 0


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    "Start `make lab` without a browser, give the address that it prints, and end it."
    logfile = tmp_path_factory.mktemp("lab") / "log.txt"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "JUPYTER_"))}
    with logfile.open("w") as log:
        server = subprocess.Popen(["make", "lab", "ARGS=--no-browser --ip=127.0.0.1"], cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.time() + WAIT
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", logfile.read_text())):
            assert server.poll() is None, f"`make lab` ended:\n{logfile.read_text()}"
            assert time.time() < end, f"`make lab` printed no address within {WAIT} s:\n{logfile.read_text()}"
            time.sleep(0.2)
        while not listens(found[0]):  # it prints the address first
            assert time.time() < end, f"nobody listens at {found[0]} after {WAIT} s"
            time.sleep(0.2)
        yield found[0]
    finally:
        if server.poll() is None: os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def fetch(url): return urllib.request.urlopen(url, timeout=WAIT).read().decode()


def api(address, path): return re.sub(r"/lab.*\?", f"/api/{path}?", address)


def test_the_front_page_is_served_with_the_token(address):
    assert "/lab/tree/nbs/00_start.ipynb?token=" in address
    assert "JupyterLab" in fetch(address)
    assert "00_start.ipynb" in fetch(api(address, "contents/nbs"))


def test_nothing_is_served_without_it(address):
    with pytest.raises(urllib.error.HTTPError, match="403"): fetch(api(address, "contents/nbs").split("?")[0])
