"What every benchmark shares: resumable raw results, the conditions they were made under, and the table made from them."
import argparse, csv, json, pathlib, subprocess, sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


class Rows:
    "A CSV file that grows a row at a time; a run that was broken off goes on where it stopped."
    def __init__(self, name, keys, values):
        self.path, self.keys, self.columns = HERE / f"{name}.csv", keys, [*keys, *values]
        self.rows = list(csv.DictReader(self.path.open())) if self.path.exists() else []
        self.done = {tuple(row[k] for k in keys) for row in self.rows}

    def __contains__(self, key): return tuple(map(str, key)) in self.done

    def add(self, **row):
        new = not self.path.exists()
        with self.path.open("a", newline="") as f:
            writer = csv.DictWriter(f, self.columns, lineterminator="\n")
            if new: writer.writeheader()
            writer.writerow(row)
        self.rows.append({k: str(v) for k, v in row.items()})
        self.done.add(tuple(str(row[k]) for k in self.keys))

    def drop(self, **values):
        "Take out the rows that have these values, to make them again; their number."
        left = [row for row in self.rows if any(row[k] != str(v) for k, v in values.items())]
        if dropped := len(self.rows) - len(left):
            with self.path.open("w", newline="") as f:
                writer = csv.DictWriter(f, self.columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(left)
            self.rows, self.done = left, {tuple(row[k] for k in self.keys) for row in left}
        return dropped


def write_conditions(name, *packages):
    "Note date, machine, versions and commit of the run that produced the raw results."
    from course_lib.data import run_conditions
    git = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    (HERE / f"{name}.json").write_text(json.dumps(dict(conditions=run_conditions(*packages), commit=commit), indent=1) + "\n")


def conditions(name):
    saved = json.loads((HERE / f"{name}.json").read_text())
    return f"{saved['conditions']} · commit {saved['commit']}"


def markdown_table(header, rows):
    "A Markdown table; the first column is text, the others are numbers."
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def main(name, run, table, options=None, pictures=None):
    """Command line: run what is missing, then write the table; `--table` only the table; `--check` compare it.

    `options(parser)` adds arguments, which `run(args)` then takes; `pictures()` is called whenever the table is written."""
    parser = argparse.ArgumentParser(description=f"benchmarks/{name}.py: raw results in {name}*.csv, table in {name}.md")
    parser.add_argument("--table", action="store_true", help="only write the table from the raw results")
    parser.add_argument("--check", action="store_true", help="fail if the table is not what the raw results give")
    if options: options(parser)
    args = parser.parse_args()
    path = HERE / f"{name}.md"
    if not (args.table or args.check): run(*[args] if options else [])
    text = table()
    if args.check and path.read_text() != text:
        sys.exit(f"{path.name} is not what the raw results give: run `python benchmarks/{name}.py --table` and commit it.")
    if not args.check:
        path.write_text(text)
        if pictures: pictures()
