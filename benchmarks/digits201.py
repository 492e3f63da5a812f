"""Every distinct cell of NAS-Bench-201's space, trained on scikit-learn's digits: the table behind `course_lib.nas.digits201()`.

    python benchmarks/digits201.py            # about two hours on two cores; goes on where it stopped
    python benchmarks/digits201.py --workers 1

Of each class of isomorphic cells (6,466 by Dong & Yang's rule) the first in the order of `cell201_space().grid()` is trained, by
`train_digits201`, twice: 3 epochs (the cheap search signal) and, from the start again, 10 epochs (the full training). Seed 0 for all,
seeds 1 and 2 as well for 1,000 of them, drawn before anything was trained by NumPy's generator with seed 201.
One thread per worker. digits201.csv holds how many of the 359 validation and 359 test images were named rightly, parameters, multiply-adds
and seconds of processor time; --table packs it into course_lib/assets/digits201.csv.gz, which ships, and writes digits201.md."""
import gzip, os, sys, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np, pandas as pd

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from course_lib.cells import EDGES, Cell201, cell201_space

EPOCHS, N_IMAGES, N_REPEATED = (3, 10), 359, 1000
ASSET = HERE.parent / "course_lib" / "assets" / "digits201.csv.gz"


def representatives():
    "The first cell of every class, in the order of the space."
    first = {}
    for config in cell201_space().grid():
        cell = Cell201.from_config(config)
        first.setdefault(cell.unique, cell)
    return list(first.values())


def tasks():
    "Pairs of cell and seed, in the order in which they are trained: shuffled, so that any part of the table is a fair sample."
    cells, rng = representatives(), np.random.default_rng(201)
    order = rng.permutation(len(cells))
    return [(cells[i], 0) for i in order] + [(cells[i], seed) for i in order[:N_REPEATED] for seed in (1, 2)]


def trained(cell, seed):
    "One row of digits201.csv."
    import torch
    from course_lib.nas import train_digits201
    torch.set_num_threads(1)
    row = dict(cell=str(cell), seed=seed)
    for epochs in EPOCHS:
        start = time.process_time()
        result = train_digits201(cell, epochs, seed, device="cpu")
        row[f"seconds_{epochs}"] = round(time.process_time() - start, 3)
        row |= {f"{part}_{epochs}": round(result[part]*N_IMAGES) for part in ("valid", "test")}
    return dict(row, params=result["params"], macs=result["macs"])


def run(args):
    rows = Rows("digits201", ["cell", "seed"], ["params", "macs", *(f"{what}_{e}" for e in EPOCHS for what in ("valid", "test", "seconds"))])
    todo = [(cell, seed) for cell, seed in tasks() if (str(cell), seed) not in rows]
    if not todo: return
    start, n = time.time(), 0
    with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(trained, *task) for task in todo]):
            rows.add(**future.result())
            n += 1
            if n % 100 == 0: print(f"{n} of {len(todo)}, {(time.time() - start)/n*(len(todo) - n)/60:.0f} minutes left", file=sys.stderr, flush=True)
    write_conditions("digits201", "torch", "numpy")


if __name__ == "__main__":
    main("digits201", run, lambda: "", lambda parser: parser.add_argument("--workers", type=int, default=2, help="processes with one thread each"))
