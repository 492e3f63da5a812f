"""What does it cost to have trials run for you: `minimize` with its journal, beside Optuna's studies and Ray Tune.

    python benchmarks/scaling.py                   # about a quarter of an hour on two quiet cores; goes on after the last whole repetition
    python benchmarks/scaling.py --again           # throws the raw results away first
    python benchmarks/scaling.py --repetitions 1   # a trial round

Ray Tune takes part where it is installed (`pip install "ray[tune]"`); the package and its tests don't need it.

Everywhere the same: random search over six floats in [0, 1], the same objective (`work` in scaling_tools.py), which workers import from a module.
The objectives:
  empty    a sum of six numbers, so that what is timed is the tool: 200 trials
  10 ms    the same after a fixed amount of work (rounds of PBKDF2) that takes 10 ms of one quiet core: 100 trials
  100 ms   ten times that work: 30 trials
The amount of work is calibrated once, before the first measurement (the fastest of 15 tries), and kept in the raw results. It is an amount of work and not
of processor time: a loop that spins until it has had 100 ms of the processor does less work when two busy cores slow each other down, and would show
a perfect two for one where a training gets less. The price is that the machine's own limit is in the figures. So the same work is also done with no
tool at all, in one bare process and in two that begin together, in the same repetition: "no tool" is what the machine gives, and what other
processes took from it meanwhile. The work runs in a C function that lets other threads run, as numerical libraries do.

The tools, with one worker and with two:
  no tool                     a bare loop that draws configurations and works; two: half of the trials in each of two processes
  minimize, in the driver     no executor; a journal, each line of it flushed to the operating system (the default)
  minimize, ProcessWorkers    `ProcessWorkers(1)` and `ProcessWorkers(2)`; the same journal
  minimize, Dask              `LocalCluster` with as many worker processes of one thread, `Client.get_executor(pure=False)`; the same journal
  Optuna, RDB storage         `study.optimize` with RandomSampler and a SQLite file; two: two processes that share it, half of the trials each, as Optuna recommends
  Optuna, journal storage     the same with JournalStorage on a JournalFileBackend
  Ray Tune                    `Tuner` with `tune.uniform`, on loopback with num_cpus one or two, and actors that are used again (`reuse_actors=True`, not its
                              default, is the faster way); what it saves by default, it saves here. `max_concurrent_trials` isn't set: it would leave
                              Ray without waiting trials, and then Ray keeps only one free actor. Its first trials wait until all actors have started, which takes
                              seconds: without that, short trials would all go to the first one
Progress bars and logs are off everywhere. Beside these, with the empty objective only: `minimize` without a journal and with `fsync=True` (each line is
on the disk itself before the search goes on, which is what Optuna's two storages promise), and Optuna's study in memory. What Optuna's storages do and a journal doesn't: every step of a trial, its start and each
of its six parameters included, is written at once, so that other processes see it; hence several transactions a trial.

Timed is the steady state, by the clock on the wall. Each measurement has a process of its own and new files in the system's temporary folder. Workers first run four
trials each; then each objective's trials are timed from the call to its return; for Optuna's and the bare pairs from when both begin together (they meet at
a barrier) until the later one ends; for Ray Tune, whose call includes its start and its end, from when each actor has done its warming
trials until as many trials later. Start-up is reported apart: from the start of the measurement's process (of the two
processes, where they are a pair), before anything is imported, until the warming trials are over.

Statistics and rules, fixed before the run. A repetition takes every tool once, in an order drawn anew (seed: the repetition's number), and its rows are
kept when it is whole. What is compared with itself on one and two workers runs back to back, as do the five that aim 2 needs (no tool, the driver, ProcessWorkers), since the load of
a machine changes; this was not so in a provisional repetition on a machine whose cores were taken, whose order and figures showed the need.
A first run of seven repetitions under these rules reached both aims; it was made again, and no other rule changed, because it used Ray with two workers badly (with `max_concurrent_trials`). Figures are medians over seven repetitions, with the smallest and largest beside them. Ratios are taken within a repetition, then their median.
Before each measurement half a second is spent asleep, and the share of the cores that other processes used in it is recorded; no measurement is left out.
One that breaks (Ray gives up where its processes need more than 30 s to start, which a loaded machine does to it) is made again, up to twice; if Ray doesn't
start then either, it is missing in this repetition, and the table says so. Any other tool that breaks three times ends the run.
With fewer than five repetitions the table calls itself provisional.
  Aim 1, overhead: `minimize` with its journal on needs at most a tenth of the ms per empty trial of Optuna's RDB storage. Reached if the median ratio is at most 0.1 both
         in the driver beside one process of Optuna's, and with ProcessWorkers(2) beside two. The same with fsync=True is reported and decides nothing.
  Aim 2, two workers: ProcessWorkers(2) does at least 1.9 times as many 100 ms trials per second as `minimize` in the driver (which has no dispatch to pay, so this is
         the harder reading; beside ProcessWorkers(1) it is reported too). Reached if the median ratio is at least 1.9, whatever the machine gives with no tool."""
import os
os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np

from common import Rows, conditions, main, markdown_table, write_conditions

NAME, REPETITIONS, ENOUGH = "scaling", 7, 5
KEYS, VALUES = ["tool", "workers", "kind", "repetition"], ["trials", "rounds", "seconds", "others"]
KINDS = {"empty": (0, 200), "10 ms": (0.01, 100), "100 ms": (0.1, 30)}       # seconds of work, trials
OVERHEAD, SPEEDUP = 0.1, 1.9


def options(parser):
    parser.add_argument("--again", action="store_true", help="throw the raw results away first")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help=f"how many (default {REPETITIONS})")


def run(args):
    from scaling_tools import ASIDE, BARE, DRIVER, PROCESSES, TOOLS, WORKERS, installed, rounds_for
    rows = Rows(NAME, KEYS, VALUES)
    if args.again and rows.path.exists():
        rows.path.unlink()
        rows = Rows(NAME, KEYS, VALUES)
    rounds = {r["kind"]: int(r["rounds"]) for r in rows.rows}                # as calibrated before
    if not rounds:
        second = rounds_for(1)
        rounds = {kind: round(seconds * second) for kind, (seconds, _) in KINDS.items()}
    groups = [(BARE, DRIVER, PROCESSES), *([tool] for tool in (*TOOLS, *ASIDE) if tool not in (BARE, DRIVER, PROCESSES) and installed(tool))]
    groups = [[(tool, workers) for tool in group for workers in WORKERS.get(tool, [1, 2])] for group in groups]
    for repetition in range(args.repetitions):
        if str(repetition) in {r["repetition"] for r in rows.rows}: continue
        found, rng = [], np.random.default_rng(repetition)
        for i in rng.permutation(len(groups)):
            for j in rng.permutation(len(groups[i])): found += measured(*groups[i][j], repetition, rounds)
        for row in found: rows.add(**row)
        write_conditions(NAME, "optuna", "distributed", "ray", "sqlalchemy", "numpy")


def measured(tool, workers, repetition, rounds):
    "The rows of one tool in one repetition."
    import psutil
    from scaling_tools import ASIDE, RAY, measure
    kinds = ["empty"] if tool in ASIDE else [*KINDS]
    others = psutil.cpu_percent(0.5) / 100
    try: startup, seconds = measure(tool, workers, [(rounds[kind], KINDS[kind][1]) for kind in kinds])
    except RuntimeError as e:
        if tool != RAY: raise
        print(e, flush=True)
        return []
    rows = [dict(kind="start-up", trials=0, rounds=0, seconds=startup), *(dict(kind=kind, trials=KINDS[kind][1], rounds=rounds[kind], seconds=s) for kind, s in zip(kinds, seconds))]
    print(f"{repetition} {tool}, {workers}:", *(f"{r['kind']} {r['seconds']:.2f} s" for r in rows), f"(others {others:.0%})", flush=True)
    return [dict(r, tool=tool, workers=workers, repetition=repetition, seconds=f"{r['seconds']:.6f}", others=f"{others:.3f}") for r in rows]


# ---- the table ----

def spread(values, digits):
    "Median, and smallest to largest."
    return f"{np.median(values):.{digits}f}", f"{np.min(values):.{digits}f} to {np.max(values):.{digits}f}"


def table():
    from scaling_tools import ASIDE, BARE, DRIVER, FSYNC, FSYNC_PROCESSES, PROCESSES, RAY, RDB, TOOLS
    rows = Rows(NAME, KEYS, VALUES).rows
    n = len({r["repetition"] for r in rows})
    taken = {}                                                # (tool, workers, kind) -> seconds per trial, or of start-up, by repetition
    for r in rows: taken.setdefault((r["tool"], int(r["workers"]), r["kind"]), {})[r["repetition"]] = float(r["seconds"]) / max(int(r["trials"]), 1)
    def times(tool, workers, kind): return np.array([*taken[tool, workers, kind].values()])
    def ratio(ours, theirs, kind):
        "Seconds of ours over seconds of theirs, in the repetitions that have both."
        ours, theirs = taken[(*ours, kind)], taken[(*theirs, kind)]
        return np.array([ours[r] / theirs[r] for r in ours if r in theirs])
    def rate_row(tool, kind):
        two = (tool, 2, kind) in taken
        share = ratio((BARE, 1 + two), (tool, 1 + two), kind)
        more = [f"{np.median(1 / times(tool, 2, kind)):.2f}", *spread(ratio((tool, 1), (tool, 2), kind), 2)] if two else ["", "", ""]
        return [tool, f"{np.median(1 / times(tool, 1, kind)):.2f}", *more, f"{np.median(share):.0%}"]
    def overhead_row(tool, workers):
        ms = 1e3 * times(tool, workers, "empty")
        return [tool, workers, *spread(ms, 3 if np.median(ms) < 1 else 1), *spread(ratio((tool, workers), (RDB, workers), "empty"), 4), f"{np.median(times(tool, workers, 'start-up')):.2f}"]
    overheads = [overhead_row(tool, workers) for tool in (*TOOLS, *ASIDE) for workers in (1, 2) if (tool, workers, "empty") in taken]

    pairs = {1: ((DRIVER, 1), (FSYNC, 1)), 2: ((PROCESSES, 2), (FSYNC_PROCESSES, 2))}
    beside = {workers: [ratio(ours, (RDB, workers), "empty") for ours in pair] for workers, pair in pairs.items()}
    speedups = [1 / ratio((PROCESSES, 2), one, "100 ms") for one in ((DRIVER, 1), (PROCESSES, 1))] + [1 / ratio((BARE, 2), (BARE, 1), "100 ms")]
    def verdict(met): return "open, as there are too few repetitions" if n < ENOUGH else "reached" if met else "not reached"
    def said(values, digits): return "{} ({})".format(*spread(values, digits))
    overhead_met, speedup_met = all(np.median(plain) <= OVERHEAD for plain, _ in beside.values()), np.median(speedups[0]) >= SPEEDUP
    aims = [f"Overhead per trial at most {OVERHEAD} times Optuna's with its RDB storage, the journal on: **{verdict(overhead_met)}**. "
            f"In the driver, beside one process: {said(beside[1][0], 4)}; ProcessWorkers(2), beside two processes: {said(beside[2][0], 4)}. "
            f"With fsync=True, which promises as much as Optuna's storages do: {said(beside[1][1], 4)} and {said(beside[2][1], 4)}.",
            f"ProcessWorkers(2) at least {SPEEDUP} times `minimize` in the driver with 100 ms of work: **{verdict(speedup_met)}**: {said(speedups[0], 3)}, "
            f"at least {SPEEDUP} in {int((speedups[0] >= SPEEDUP).sum())} of {n} repetitions. Beside ProcessWorkers(1): {said(speedups[1], 3)}. Two bare processes beside one, which is what the machine gave: {said(speedups[2], 3)}."]
    others = np.array([float(r["others"]) for r in rows if r["kind"] == "start-up"])
    work = {r["kind"]: int(r["rounds"]) for r in rows}
    text = f"# What a trial costs, beside the trial\n\nMade by benchmarks/scaling.py; what is measured stands at its beginning. {conditions(NAME)}\n\n"
    if n < ENOUGH: text += f"**Provisional**: {n} repetition{'s' if n > 1 else ''}, and the rules want at least {ENOUGH}.\n\n"
    text += (f"Medians over {n} repetitions, smallest to largest in brackets or beside them. Before the measurements, other processes used a median of {np.median(others):.0%} of the cores' time (from {others.min():.0%} to {others.max():.0%}). "
             f"Work: {work['10 ms']:,} and {work['100 ms']:,} rounds.\n\n## The aims\n\n" + "".join(f"- {aim}\n" for aim in aims)
             + "\n## Overhead: an empty objective\n\n" + markdown_table(["tool", "workers", "ms per trial", "range", "times Optuna RDB's", "range", "start-up, s"], overheads)
             + "\nTimes Optuna RDB's: with as many workers, within a repetition.\n")
    for kind in ("10 ms", "100 ms"):
        text += f"\n## Trials per second: {kind} of work\n\n" + markdown_table(["tool", "one worker", "two workers", "two over one", "range", "of no tool's"], [rate_row(tool, kind) for tool in TOOLS if (tool, 1, kind) in taken])
    text += "\nOf no tool's: the rate beside that of as many bare processes (two, where there is a figure for two workers), within a repetition.\n"
    took_part = [len(taken.get((RAY, workers, "empty"), ())) for workers in (1, 2)]
    if any(took_part): text += "\nIn these runs Ray Tune, asked for two trials at once with its actors used again, kept to a single actor. Its rows with two workers say what that setting gives, and not what Ray can do.\n"
    if not any(took_part): text += "\nRay Tune wasn't installed or didn't start, so its rows are missing.\n"
    elif min(took_part) < n: text += f"\nRay Tune didn't start in time in every repetition: its figures are from {took_part[0]} of {n} with one worker and {took_part[1]} with two.\n"
    return text


if __name__ == "__main__": main(NAME, run, table, options)
