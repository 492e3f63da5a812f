"""The course as web pages (`make web`): made from the notebooks as they were last run, with Sphinx. Nothing is run, nothing is fetched.

`sources` writes what Sphinx reads into .cache/web: notebooks without what a reader needn't see, the API reference, the pages that list others.
`build` has Sphinx make _docs/ of it, and web_check goes through every link of the result. Any finding is an error."""

import ast
import io
import os
import re
import shutil
import sys
import time
from configparser import ConfigParser
from importlib.metadata import files
from pathlib import Path, PurePosixPath

import nbformat

from notebooks import NBS, ROOT, lessons
from web_api import Reference
from web_check import check

WORK, OUT = ROOT / ".cache" / "web", ROOT / "_docs"
PARTS = {"I. What AutoML automates": range(1, 8), "II. Augmented machine learning": range(8, 11),
         "III. Architecture search": range(11, 15), "IV. Putting it together": range(15, 17)}
LISTS = {"exercises": "Exercises", "solutions": "Solutions", "api": "API reference", "benchmarks": "Benchmarks"}  # folders with a page that lists theirs
SHOWN_MARKS = ("export", "exporti", "data", "slow", "cuda")  # beside a cell, in place of its directives

config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
SOURCE = f"{cfg['git_url']}/blob/{cfg['branch']}"
COLAB = f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}"


def place(path):
    "Where a file of the repository stands among the pages: nbs/ is the root, and the front page is the index."
    path = path.removeprefix("nbs/")
    return {"00_start.ipynb": "index.ipynb", "README.md": "readme.md"}.get(path, path)


NOTEBOOKS = [f"nbs/{lesson}.ipynb" for lesson in lessons()]
REPORTS = sorted(f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.md"))
PAGES = {*NOTEBOOKS, *REPORTS, *(path.name for path in ROOT.glob("*.md"))}


def split(source):
    "A cell's directives, each with what stands behind it, and its code."
    directives = {}
    while line := re.match(r"\s*#\s*\|\s*([\w-]+):?(.*)\n?", source):
        directives[line[1]], source = line[2].strip(), source[line.end():]
    return directives, source.strip()


def slug(title): return re.sub(r"[^\w\- ]", "", title.strip().lower().replace(" ", "-"))


def moved(text, source):
    "Links of the repository's file `source` as they are among the pages: to other pages, to images, or to the repository itself."
    def link(match):
        path, _, anchor = match[1].partition("#")
        if ":" in path: return match[0]
        target = os.path.normpath(os.path.join(os.path.dirname(source), path)) if path else source
        if target not in PAGES and not target.endswith(".png"): return f"({SOURCE}/{target})" if (ROOT / target).exists() else match[0]
        relative = os.path.relpath(place(target), os.path.dirname(place(source))) if path else ""
        return f"({relative}{'#' + slug(anchor) if anchor else ''})"
    return re.sub(r"(?<=\])\(([^\s()]+)\)", link, text)


def unfolded(text):
    "Folded answers with their Markdown apart from the HTML around it, without which it isn't read as Markdown."
    return re.sub(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", r"<details><summary>\1</summary>\n\n\2\n\n</details>\n", text, flags=re.S)


def defined(cell):
    "The names that a cell defines; a method that it adds to a class as Class.method."
    for node in ast.parse(cell.source).body:
        if isinstance(node, ast.Assign): yield from (part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name))
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield (f"{ast.unparse(node.args.args[0].annotation)}." if "patch" in map(ast.unparse, node.decorator_list) else "") + node.name


def actions(source):
    "The line under a notebook's title."
    path = PurePosixPath(place(source))
    up, name = "../" * (len(path.parts) - 1), path.name
    links = [f"[Open in Colab]({COLAB}/{source})", f'<a href="{up}notebooks/{source.removeprefix("nbs/")}" download>Download notebook</a>']
    if name == "index.ipynb": links.append(f"[Repository]({cfg['git_url']})")
    else:
        others = {"Lesson": f"nbs/{name}", "Exercises": f"nbs/exercises/{name}", "Solutions": f"nbs/solutions/{name}"}
        links += [f"[{label}]({up}{place(other)})" for label, other in others.items() if other in NOTEBOOKS and other != source]
        module = path.stem.partition("_")[2]
        if (ROOT / cfg["lib_path"] / f"{module}.py").exists(): links.append(f"[`{cfg['lib_path']}.{module}`]({up}api/{module}.md)")
    return "{.actions}\n" + "\n".join(links)


def prepared(source, faults):
    "The notebook `source` as it is shown: a copy without hidden cells and directives. Plots without a text to read in their place are `faults`."
    notebook = nbformat.read(ROOT / source, as_version=4)
    notebook.metadata.language_info = {"name": "python"}
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            directives, cell.source = split(cell.source)
            if not cell.source or {"hide", "default_exp"} & directives.keys(): continue
            cell.metadata.tags = [mark for mark in SHOWN_MARKS if mark in directives]
            if "export" in directives and "/" not in place(source):
                cells.append(nbformat.v4.new_markdown_cell("".join(f'<span id="{name}"></span>' for name in defined(cell) if not name.startswith("_"))))
            alt = directives.get("fig-alt", "")
            if any("image/png" in output.get("data", {}) for output in cell.outputs):
                if not alt: faults.append(f"{source}: a plot without `#| fig-alt:`, made by: {cell.source.splitlines()[-1][:100]}")
                cell.metadata.mystnb = {"image": {"alt": alt}}
            for output in cell.outputs:
                data = output.get("data", {})
                if data.pop("application/vnd.jupyter.widget-view+json", None): data["text/markdown"] = "*Here is a slider when the notebook runs.*"
                if "text/markdown" in data: data["text/markdown"] = moved(data["text/markdown"], source)
        else: cell.source = moved(unfolded(cell.source), source)
        cells.append(cell)
        tables = [output for output in cell.get("outputs", []) if ".ipynb)" in output.get("data", {}).get("text/markdown", "")]
        for table in tables:  # links in an output stay as they are, and in a cell of text they lead to the pages
            cell.outputs.remove(table)
            cells.append(nbformat.v4.new_markdown_cell(table.data["text/markdown"]))
    title, _, rest = cells[0].source.partition("\n")
    cells[0].source = f"{title}\n\n{actions(source)}\n{rest}"
    if place(source) == "index.ipynb": cells.append(nbformat.v4.new_markdown_cell(contents()))
    for n, cell in enumerate(cells): cell.id = f"cell-{n}"
    notebook.cells = cells
    return notebook


def toctree(pages, caption="", *options):
    return "\n".join(["```{toctree}", *([f":caption: {caption}"] if caption else []), *options, "", *pages, "```"])


def docs(folder=""): return [os.path.splitext(place(page))[0] for page in NOTEBOOKS if os.path.dirname(place(page)) == folder]


def contents():
    "The sidebar: lessons by parts, then exercises, solutions, and what one looks up."
    numbered = {doc: int(doc[:2]) for doc in docs() if re.match(r"\d\d_", doc)}
    trees = [toctree([doc for doc, n in numbered.items() if n in part], caption, ":hidden:") for caption, part in PARTS.items()]
    trees.append(toctree([f"{folder}/index" for folder in ("exercises", "solutions") if docs(folder)], "Exercises", ":hidden:") if docs("exercises") else "")
    rest = [doc for doc, n in numbered.items() if not any(n in part for part in PARTS.values())]
    rest += [page[:-3] for page in sorted(PAGES - {"README.md", "lessons.md"}) if "/" not in page]
    return "\n\n".join([*trees, toctree(["readme", "lessons", *rest, "api/index", "benchmarks/index"], "Reference", ":hidden:")])


def sources(work):
    "Write the folder that Sphinx reads; return what is wrong with the notebooks, and the API reference."
    shutil.rmtree(work, ignore_errors=True)
    faults, texts = [], {}
    for page in sorted(PAGES):
        if page in NOTEBOOKS:
            texts[place(page)] = nbformat.writes(prepared(page, faults))
            copy(ROOT / page, work / "extra/notebooks" / page.removeprefix("nbs/"))
        else: texts[place(page)] = moved((ROOT / page).read_text(encoding="utf-8"), page)
    texts["readme.md"] = "# Install and use\n" + texts["readme.md"].partition("\n")[2]
    lesson = {name.partition("_")[2]: name for name in docs()}
    def links(module, name, line): return f'<a href="../{lesson[module.name]}.html#{name}">lesson {lesson[module.name][:2]}</a> · [source]({SOURCE}/{cfg["lib_path"]}/{module.name}.py#L{line})'
    reference = Reference(ROOT / cfg["lib_path"], links)
    for module in sorted(reference.modules, key=lambda module: lesson[module.name]): texts[f"api/{module.name}.md"] = reference.page(module)
    about = {f"api/{module.name}.md": ast.get_docstring(module.tree) for module in reference.modules}
    for folder, title in LISTS.items():
        pages = [PurePosixPath(page).name for page in texts if page.startswith(f"{folder}/")]
        rows = "\n".join(f"- [](./{page}) {about.get(f'{folder}/{page}', '')}" for page in pages)
        if pages: texts[f"{folder}/index.md"] = f"# {title}\n\n{rows}\n\n" + toctree(pages, "", ":hidden:", ":titlesonly:") + "\n"
    for name, text in texts.items():
        (work / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (work / "source" / name).write_text(text, encoding="utf-8")
    for image in (NBS / "images").glob("*.png"): copy(image, work / "source/images" / image.name)
    return faults, reference


def names_in(source, reference):
    "What code in the prose of `source` may mean: what its lesson defines and what it imports; on other pages, what only one module defines, and isn't a module's name."
    homes = {}
    for module in reference.modules:
        for name in module.names: homes.setdefault(name, []).append(module.name)
    modules = {module.name for module in reference.modules}
    if source not in NOTEBOOKS or place(source) == "index.ipynb": return {name: home[0] for name, home in homes.items() if len(home) == 1 and name not in modules}
    code = "\n".join(cell.source for cell in nbformat.read(ROOT / source, as_version=4).cells if cell.cell_type == "code")
    imports = re.findall(rf"from {cfg['lib_path']}\.(\w+) import ([\w, ]+|\([^)]+\))", code)
    imported = {name: module for module, names in imports for name in re.findall(r"\w+", names) if module in homes.get(name, [])}
    own = PurePosixPath(source).stem.partition("_")[2]
    return imported | {name: own for name, home in homes.items() if own in home}


def link_names(app, doctree, page, names):
    "Let code in prose that is a public name lead to its place in the API reference."
    from docutils import nodes
    objects = app.env.get_domain("py").objects
    for node in list(doctree.findall(nodes.literal)):
        parents = [parent := node.parent]
        while parent.parent is not None: parents.append(parent := parent.parent)
        text = re.sub(r"\(.*", "", node.astext())
        found = objects.get(text) or objects.get(f"{cfg['lib_path']}.{names.get(text.partition('.')[0])}.{text}")
        if not found or any(isinstance(parent, (nodes.reference, nodes.title)) for parent in parents): continue
        address = app.builder.get_relative_uri(page, found.docname) + "#" + found.node_id
        node.replace_self(nodes.reference("", "", node.deepcopy(), internal=True, refuri=address))


def copy(file, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)


def build(out=OUT, work=WORK):
    "Make the pages; return all that is wrong with them."
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils
    faults, reference = sources(work)
    mathjax = next(file.locate() for file in files("sphinx-mathjax-offline") if file.name == "tex-chtml.js")
    settings = dict(
        project=cfg["title"], html_title=cfg["title"], author=cfg["author"], language="en", root_doc="index", nitpicky=True, smartquotes=False,
        extensions=["myst_nb"], nb_execution_mode="off", nb_merge_streams=True, nb_render_markdown_format="gfm",
        myst_enable_extensions=["dollarmath", "amsmath", "colon_fence", "attrs_block"], myst_heading_anchors=4,
        myst_dmath_allow_digits=False, myst_dmath_allow_space=True,
        html_theme="furo", html_static_path=[str(ROOT / "tools/web"), str(mathjax.parent.parent)], html_css_files=["course.css"], html_favicon=str(ROOT / "tools/web/favicon.svg"),
        html_extra_path=[str(work / "extra")], mathjax_path="mathjax/tex-chtml.js", html_copy_source=False, html_show_sourcelink=False,
        html_show_sphinx=False, html_show_copyright=False, toc_object_entries_show_parents="hide", add_module_names=False,
        python_maximum_signature_line_length=88)
    names = {os.path.splitext(place(page))[0]: names_in(page, reference) for page in PAGES}
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(work / "source", None, work / "html", work / "doctrees", "html", settings, status=None, warning=warnings)
        app.connect("doctree-resolved", lambda app, doctree, page: link_names(app, doctree, page, names.get(page, {})))
        app.build()
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(work / "html", out)
    (out / ".buildinfo").unlink()  # only a hash of paths
    return faults + re.sub(r"\x1b\[[\d;]*m", "", warnings.getvalue()).splitlines() + check(out)


if __name__ == "__main__":
    start = time.time()
    faults = build()
    for fault in faults: print(fault)
    print(f"{OUT.relative_to(ROOT)}/index.html: {sum(1 for _ in OUT.rglob('*.html'))} pages in {time.time() - start:.0f} s, {len(faults)} faults")
    sys.exit(bool(faults))
