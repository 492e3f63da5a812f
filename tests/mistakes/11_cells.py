"Wrong answers to lesson 11's exercises, and what each is told."
from course_lib.cells import Cell201

PATHS = ("0-3",), ("0-1", "1-3"), ("0-2", "2-3"), ("0-1", "1-2", "2-3")
CONV, POOL, SKIP, NONE, ONE = "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none", "nor_conv_1x1"


def cost(k, channels): return k*k*channels + channels*channels


def one_convolution(k, channels, side, stride): return (-(-side//stride))**2*cost(k, channels)


def at_the_input(k, channels, side, stride): return 2*side**2*cost(k, channels)


def second_is_large(k, channels, side, stride): return ((-(-side//stride))**2 + side**2)*cost(k, channels)


def full_convolutions(k, channels, side, stride): return 2*(-(-side//stride))**2*k*k*channels**2


def weights(k, channels, side, stride): return 2*cost(k, channels)


def rounds_down(k, channels, side, stride): return 2*(side//stride)**2*cost(k, channels)


def depthwise_only(k, channels, side, stride): return 2*(-(-side//stride))**2*k*k*channels


def longest(cell, pick=max, wide="3x3", paths=PATHS, cut=True):
    ops = cell.to_config()
    found = [sum(ops[edge].endswith(wide) for edge in path) for path in paths if not cut or all(ops[edge] != NONE for edge in path)]
    return pick(found) if found else None


def sees(**how):
    def cell_sees(cell): return 0 if (n := longest(cell, **how)) is None else 1 + 2*n
    return cell_sees


def counts_operations(cell): return longest(cell) or 0


def three_for_each(cell): return 3*(longest(cell) or 0) or (0 if longest(cell) is None else 1)


def all_edges(cell): return 0 if longest(cell) is None else 1 + 2*sum(op.endswith("3x3") for op in cell.ops)


def itself_at_least(cell): return 1 + 2*(longest(cell) or 0)


def values(config, key): return tuple(config[key.replace(f".{edge}.", f".{x}.")] for edge in "ab" if f".{edge}." in key for x in "ab")


def sorts_apart(config): return {key: sorted(values(config, key), key=str)[".b." in key] for key in config}


def unchanged(config): return config


def in_order(config, by, kinds=("normal", "reduce")):
    done = dict(config)
    for kind in kinds:
        for j in {int(key.split(".")[1]) for key in config}:
            pairs = sorted(((config[f"{kind}.{j}.{edge}.op"], config[f"{kind}.{j}.{edge}.from"]) for edge in "ab"), key=by)
            for edge, (op, source) in zip("ab", pairs): done |= {f"{kind}.{j}.{edge}.op": op, f"{kind}.{j}.{edge}.from": source}
    return done


def by_input(config): return in_order(config, lambda pair: pair[1])


def by_operation(config): return in_order(config, lambda pair: pair[0])


def normal_only(config): return in_order(config, lambda pair: pair, ("normal",))


def one_pair_for_both(config): return {key: value for key, value in config.items() if ".b." not in key}


def a_cell(*ops):
    def small_cell(): return Cell201(ops)
    return small_cell


MISTAKES = {
    "sep_conv_macs": [
        (one_convolution, "you count one separable convolution"),
        (at_the_input, "at the pixels of the input"),
        (second_is_large, "works at the input's size"),
        (full_convolutions, "what a full convolution costs"),
        (weights, "the number of weights"),
        (rounds_down, "and the operation gives 8"),
        (depthwise_only, "one of the two steps"),
    ],
    "cell_sees": [
        (counts_operations, "you count the operations that look around"),
        (three_for_each, "three pixels are counted for each operation"),
        (all_edges, "you add up all edges"),
        (itself_at_least, "sees nothing: no way leads"),
        (sees(cut=False), "you follow a way that is cut by a `none`"),
        (sees(wide="nor_conv_3x3"), "you leave out the pooling"),
        (sees(wide=("3x3", "1x1")), "as if it looked around"),
        (sees(pick=min), "the way that sees least"),
    ],
    "sorted_pairs": [
        (sorts_apart, "sorted apart"),
        (unchanged, "come back as they went in"),
        (by_input, "both read the same node"),
        (by_operation, "both apply the same one"),
        (normal_only, "the reduction cell isn't"),
        (one_pair_for_both, "The keys stay as they are"),
    ],
    "small_cell": [
        (a_cell(CONV, NONE, CONV, SKIP, NONE, SKIP), "has 6,242 parameters, and 4,000 are allowed"),
        (a_cell(POOL, NONE, ONE, NONE, NONE, POOL), "It has no 3×3 convolution"),
        (a_cell(*[NONE]*6), "nothing arrives at its output"),
        (a_cell(CONV, NONE, NONE, SKIP, NONE, NONE), "on no way from the input to the output"),
        (a_cell(CONV, NONE, NONE, SKIP, SKIP, NONE), "It sees 3×3 pixels"),
        (a_cell(CONV, NONE, POOL, SKIP, NONE, SKIP), "It sees 5×5 pixels"),
        (lambda: "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|", "and a `Cell201` is asked for"),
    ],
    "entrances_guess": [(41, "Do you mean 41%"), ("a tenth", "where a number is asked for")],
    "wider_stem_guess": [(99, "Do you mean 99%"), (-0.1, "the answer lies between 0 and 1")],
}
