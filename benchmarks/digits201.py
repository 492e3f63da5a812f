"""Every distinct cell of NAS-Bench-201's space, trained on scikit-learn's digits: the table behind `course_lib.nas.digits201()`.

    python benchmarks/digits201.py            # about two hours of processor time; goes on where it stopped
    python benchmarks/digits201.py --workers 1
    python benchmarks/digits201.py --table    # pack the asset and write the report

Of each class of isomorphic cells (6,466 by Dong & Yang's rule) the first in the order of `cell201_space().grid()` is trained, by
`train_digits201`, twice: 3 epochs (the cheap search signal) and, from the start again, 10 epochs (the full training). Seed 0 for all,
seeds 1 and 2 as well for 1,000 of them, drawn before anything was trained by NumPy's generator with seed 201.
One thread per worker. digits201.csv holds how many of the 359 validation and 359 test images were named rightly, parameters, multiply-adds
and seconds of processor time. It is packed into course_lib/assets/digits201.csv.gz, which ships (its digest stands in nbs/12_nas.ipynb).

Stale norms (digits201_stale.csv): of the first 500 cells the validation accuracy of the short training again, with batch norm's running statistics as
training leaves them (`fresh_norms=False`). The first run of this script was made in that way; it was broken off when two fifths of the
cells turned out to have a signal near chance after three epochs, and all was trained again.

Two skeletons (digits201_skeletons.csv): 40 other random classes (seed 202), seeds 0 and 1, ten epochs, once in `digits201_network` and once in NAS-Bench-201's
own skeleton made small (`network201` with 8 channels and one cell a stage: a 3×3 stem and residual blocks with 3×3 convolutions between the stages).
Reported: range of the test accuracy, its standard deviation between cells and between seeds, and Spearman's correlation between the seeds."""
import gzip, os, sys, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np, pandas as pd, torch

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from course_lib.cells import Cell201, cell201_space, digits201_network, network201
from course_lib.nas import train_digits201

EPOCHS, N_IMAGES, N_REPEATED = (3, 10), 359, 1000
SKELETONS = "digits201", "NAS-Bench-201, small"
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
    row = dict(cell=str(cell), seed=seed)
    for epochs in EPOCHS:
        start = time.process_time()
        result = train_digits201(cell, epochs, seed, device="cpu")
        row[f"seconds_{epochs}"] = round(time.process_time() - start, 3)
        row |= {f"{part}_{epochs}": round(result[part]*N_IMAGES) for part in ("valid", "test")}
    return dict(row, params=result["params"], macs=result["macs"])


def in_skeleton(skeleton, cell, seed):
    "One row of digits201_skeletons.csv."
    build = digits201_network if skeleton == SKELETONS[0] else lambda cell: network201(cell, channels=8, n=1, n_in=1)
    result = train_digits201(cell, 10, seed, device="cpu", build=build)
    return dict(skeleton=skeleton, cell=str(cell), seed=seed, **{part: round(result[part]*N_IMAGES) for part in ("valid", "test")}, params=result["params"])


def stale(cell, seed):
    "One row of digits201_stale.csv."
    return dict(cell=str(cell), seed=seed, valid=round(train_digits201(cell, 3, seed, device="cpu", fresh_norms=False)["valid"]*N_IMAGES))


def finish(rows, function, todo, workers):
    "Run what isn't in the rows yet, in processes of one thread each."
    start, n, todo = time.time(), 0, [task for task in todo if task not in rows]
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for future in as_completed([pool.submit(function, *task) for task in todo]):
            rows.add(**future.result())
            n += 1
            if n % 100 == 0: print(f"{n} of {len(todo)}, {(time.time() - start)/n*(len(todo) - n)/60:.0f} minutes left", file=sys.stderr, flush=True)
    return bool(todo)


def table_rows(): return Rows("digits201", ["cell", "seed"], ["params", "macs", *(f"{what}_{e}" for e in EPOCHS for what in ("valid", "test", "seconds"))])
def skeleton_rows(): return Rows("digits201_skeletons", ["skeleton", "cell", "seed"], ["valid", "test", "params"])
def stale_rows(): return Rows("digits201_stale", ["cell", "seed"], ["valid"])


def run(args):
    new = finish(table_rows(), trained, tasks(), args.workers)
    new |= finish(stale_rows(), stale, tasks()[:500], args.workers)
    cells = representatives()
    chosen = [cells[i] for i in np.random.default_rng(202).permutation(len(cells))[:40]]
    new |= finish(skeleton_rows(), in_skeleton, [(s, c, seed) for s in SKELETONS for c in chosen for seed in (0, 1)], args.workers)
    if new: write_conditions("digits201", "torch", "numpy")


def packed(df):
    "The shipped file: rows in the order of the space, compressed so that the same rows give the same bytes."
    order = {str(cell): i for i, cell in enumerate(representatives())}
    text = df.sort_values(["seed", "cell"], key=lambda c: c.map(order) if c.name == "cell" else c).to_csv(index=False, lineterminator="\n")
    return gzip.compress(text.encode(), mtime=0)


def summary(df, part, epochs):
    "Range of the accuracy over cells, and deviation and rank correlation between seeds 0 and 1 where both are there."
    both = (df.pivot(index="cell", columns="seed", values=f"{part}_{epochs}")/N_IMAGES).dropna()
    first = df[df.seed == 0][f"{part}_{epochs}"]/N_IMAGES
    noise = np.sqrt(((both[0] - both[1])**2/2).mean())
    return [f"{part}, {epochs} epochs", f"{first.min():.1%}", f"{first.median():.1%}", f"{first.max():.1%}", f"{100*first.std():.1f}", f"{100*noise:.2f}", f"{both[0].corr(both[1], method='spearman'):.2f}"]


HEADER = ["", "lowest", "median", "highest", "deviation between cells, points", "between seeds, points", "rank correlation between seeds"]


def table():
    df = pd.DataFrame(table_rows().rows).astype(dict.fromkeys(["seed", "params", "macs", *(f"{p}_{e}" for p in ("valid", "test") for e in EPOCHS)], int)
                                                | {f"seconds_{e}": float for e in EPOCHS})
    small = pd.DataFrame(skeleton_rows().rows).astype(dict(seed=int, valid=int, test=int))
    norms = pd.DataFrame(stale_rows().rows).astype(dict(seed=int, valid=int)).merge(df, on=["cell", "seed"])
    data = packed(df)
    if "--check" in sys.argv:
        if gzip.decompress(ASSET.read_bytes()) != gzip.decompress(data): sys.exit(f"{ASSET.name} is not what the raw results give")
    else: ASSET.write_bytes(data)
    hours = df[[f"seconds_{e}" for e in EPOCHS]].sum().sum()/3600
    skeletons = [[name, *summary(d.rename(columns={"test": "test_10"}), "test", 10)[1:]] for name, d in small.groupby("skeleton")]
    return f"""# digits201: every distinct cell of NAS-Bench-201's space, trained on digits

{conditions("digits201")}

`python benchmarks/digits201.py` made the raw results (digits201.csv, digits201_skeletons.csv). Its docstring says what was trained and how. {len(df):,} rows of two trainings each took {hours:.1f} hours of processor time. The packed table is course_lib/assets/digits201.csv.gz.

## The table

{df[df.seed == 0].shape[0]:,} cells with seed 0; deviation and correlation between seeds over the {(df.seed == 1).sum():,} cells with more than one.

{markdown_table(HEADER, [summary(df, part, e) for e in EPOCHS for part in ("valid", "test")])}
## Stale norms

The search signal of {len(norms)} cells, three epochs and seed 0, with batch norm's statistics as training leaves them, and taken anew from the training images.

{markdown_table(["", "cells below 15%", "median validation accuracy", "rank correlation with the test accuracy after ten epochs"],
                [[name, (d < 0.15).sum(), f"{d.median():.1%}", f"{d.corr(norms.test_10, method='spearman'):.2f}"] for name, d in (("as training leaves them", norms.valid/N_IMAGES), ("taken anew", norms.valid_3/N_IMAGES))])}
## Two skeletons

40 cells, test accuracy after ten epochs, seeds 0 and 1.

{markdown_table(HEADER, skeletons)}"""


if __name__ == "__main__": main("digits201", run, table, lambda parser: parser.add_argument("--workers", type=int, default=2, help="processes with one thread each"))
