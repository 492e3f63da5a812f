"""Go through built pages: every link, anchor, image, script and style must be there, and nothing may come from another host."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("audio", "src"), ("embed", "src"), ("object", "data")}


class Page(HTMLParser):
    "The anchors of a page, what it links to, what it loads, and its images' texts."

    def __init__(self, path):
        super().__init__()
        self.path, self.ids, self.links, self.loads, self.images = path, {"", "top"}, [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and "href" in given: self.links.append(given["href"])
        if tag == "img": self.images.append((given.get("src", ""), (given.get("alt") or "").strip()))
        self.loads += [value for key, value in attributes if (tag, key) in LOADED]
        self.loads += styled(given.get("style") or "")

    def handle_data(self, data):
        if self.get_starttag_text() and self.get_starttag_text().startswith("<style"): self.loads += styled(data)


def styled(css): return [a or b for a, b in re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", css)]


def check(folder):
    "All that is wrong with the pages in `folder`, one line each."
    folder, faults = Path(folder), []
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}

    def report(path, what): faults.append(f"{path.relative_to(folder)}: {what}")

    def look(path, address, what):
        "Is the local `address`, as written in the file `path`, there?"
        parts = urlsplit(address)
        target = (path.parent / unquote(parts.path) if parts.path else path).resolve()
        if target.is_dir(): target /= "index.html"
        if not target.is_file(): report(path, f"{what} to {address}, which isn't there")
        elif target in pages and unquote(parts.fragment) not in pages[target].ids: report(path, f"{what} to {address}, but the page has no such anchor")

    def load(path, address):
        if address.startswith("data:"): return
        if address.startswith("//") or urlsplit(address).scheme: report(path, f"loads {address} from another host")
        else: look(path, address, "refers")

    for page in pages.values():
        for address in page.links:
            if not urlsplit(address).scheme: look(page.path, address, "links")
        for address in page.loads: load(page.path, address)
        for source, alt in page.images:
            if not alt or alt.endswith(Path(urlsplit(source).path).name): report(page.path, f"the image {source} has no text to read in its place")
    for path in sorted(folder.rglob("*.css")):
        for address in styled(path.read_text(encoding="utf-8")): load(path, address)
    return faults
