"""The six tasks of benchmarks/automl.py: two bundled with scikit-learn, four generated.

`task(name, seed)` gives training rows, training target, test rows, test target and "classification" or "regression".
The rows are DataFrames: numbers, pandas categories and missing values. A generated table is always the same one; the seed decides which of its rows train and which test.
Nothing in this course is tuned on these four formulas. `python benchmarks/automl_tasks.py` describes the tasks.
"""
import numpy as np, pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

TEST_ROWS = 10_000                                                   # of a generated task; a bundled set gives up 30% of its rows


def _common_first(rng, n, levels):
    "n codes; the k-th level is about 1/k as common as the first."
    weights = 1 / np.arange(1, levels + 1)
    return rng.choice(levels, n, p=weights / weights.sum())


def _category(prefix, codes, missing=False):
    "Codes as a pandas category; rows where `missing` is true have no value."
    return pd.Categorical.from_codes(np.where(missing, -1, codes), [f"{prefix}{i}" for i in range(codes.max() + 1)])


def _logistic(x): return 1 / (1 + np.exp(-x))


def credit(rng, n):
    """Will the loan default? Two classes, 15% and 85%, 12 numbers and 8 categories.

    Hard: a model that maximises accuracy hardly ever says "default"; the label is a coin thrown with the risk and one in fifty is wrong; 50 branches that differ; the income of those who earn much is missing more often."""
    income, debt, limit = rng.lognormal(10.3, 0.6, n), rng.lognormal(8.6, 1.1, n), rng.lognormal(9, 0.5, n)
    age, years, utilisation = rng.uniform(19, 78, n), rng.exponential(6, n), rng.beta(1.3, 2.2, n)
    late, enquiries = rng.negative_binomial(1, 0.6, n), rng.poisson(1.5, n)
    rate, term = rng.normal(9, 2.5, n), rng.choice([12, 24, 36, 48, 60], n)
    savings, weekday_share = rng.gamma(0.5, 6000, n), rng.random(n)
    branch, job, home, purpose = _common_first(rng, n, 50), _common_first(rng, n, 14), _common_first(rng, n, 4), _common_first(rng, n, 9)
    channel, education, partner, app = _common_first(rng, n, 3), rng.integers(0, 5, n), rng.integers(0, 2, n), rng.integers(0, 6, n)
    branch_risk, job_risk = rng.normal(0, 0.5, 50), rng.normal(0, 0.4, 14)

    burden = np.log(debt / income)                                    # a ratio of two columns
    risk = 0.55 * burden + 1.6 * np.maximum(utilisation - 0.7, 0) / 0.3 + 0.7 * np.sqrt(late)
    risk += 0.8 * (rate > 11) * (term >= 48)                          # steps that count together only
    risk += 0.35 * enquiries * (years < 2) - 0.6 * np.log1p(savings / 2000) * (home != 0)
    risk += 1.1 * np.cos(age / 9) * (channel == 1) + branch_risk[branch] + job_risk[job] * (1 + partner)
    risk = 2 * (risk - np.quantile(risk, 0.905))
    default = rng.random(n) < _logistic(risk)
    default ^= rng.random(n) < 0.02

    high = income > np.quantile(income, 0.75)
    X = pd.DataFrame(dict(
        income=np.where(rng.random(n) < np.where(high, 0.4, 0.05), np.nan, income), debt=debt, limit=limit, age=age,
        years=np.where(rng.random(n) < 0.12, np.nan, years), utilisation=utilisation, late=late.astype(float), enquiries=enquiries.astype(float),
        rate=rate, term=term.astype(float), savings=np.where((savings < 300) & (rng.random(n) < 0.6), np.nan, savings), weekday_share=weekday_share,
        branch=_category("branch ", branch), job=_category("job ", job, rng.random(n) < 0.08), home=_category("home ", home), purpose=_category("purpose ", purpose),
        channel=_category("channel ", channel), education=_category("level ", education, rng.random(n) < 0.15), partner=_category("partner ", partner), app=_category("app ", app)))
    return X, default.astype(int)


def grades(rng, n):
    """Which of five grades? An ordered score cut unevenly, 10 numbers and 5 categories.

    Hard: the commonest grade is five times as common as the rarest, neighbouring grades overlap, and each school marks on a scale of its own."""
    ability, effort, rest = rng.normal(size=n), rng.beta(2, 2, n), rng.normal(7, 1.2, n)
    school, subject, teacher = _common_first(rng, n, 24), rng.integers(0, 7, n), rng.integers(0, 40, n)
    language, transport = _common_first(rng, n, 5), rng.integers(0, 3, n)
    tests = ability[:, None] * rng.uniform(0.5, 1, 4) + rng.normal(0, 0.7, (n, 4))  # four views of one hidden number
    travel, absent = rng.gamma(2, 12, n), rng.poisson(4 * (1 - effort))
    strictness, spread = rng.normal(0, 0.7, 24), rng.uniform(0.6, 1.5, 24)
    fit = rng.normal(0, 0.5, (7, 5))

    score = spread[school] * (ability + 1.3 * effort * (ability > 0) - 0.25 * (rest - 7.5)**2 + fit[subject, language])
    score += strictness[school] - 0.09 * absent - 0.012 * travel * (transport == 2) + rng.normal(0, 0.3, n)
    y = np.searchsorted(np.quantile(score, [0.08, 0.28, 0.66, 0.90]), score)

    X = pd.DataFrame(tests, columns=[f"test{i}" for i in range(1, 5)]).mask(rng.random((n, 4)) < 0.1)
    X["effort"], X["rest"], X["travel"], X["absent"] = effort, np.where(rng.random(n) < 0.2, np.nan, rest), travel, absent.astype(float)
    X["shoe"], X["month"] = rng.normal(40, 3, n), rng.integers(1, 13, n).astype(float)
    X["school"], X["subject"], X["teacher"] = _category("school ", school), _category("subject ", subject), _category("teacher ", teacher)
    X["language"], X["transport"] = _category("language ", language, rng.random(n) < 0.06), _category("by ", transport)
    return X, y


def prices(rng, n):
    """What does the house cost? A product of effects, 9 numbers and 4 categories with 3, 12, 30 and 150 levels.

    Hard: skewed numbers and a skewed target whose noise grows with it, a map of latitude and longitude with peaks, streets with few rows each; the size of small houses goes missing."""
    area, land, age = rng.lognormal(4.6, 0.4, n), rng.lognormal(6, 0.9, n), rng.gamma(1.4, 25, n)
    north, east, floor = rng.uniform(0, 10, n), rng.uniform(0, 10, n), rng.geometric(0.35, n)
    noise, rooms = rng.gamma(3, 15, n), np.maximum(1, np.round(area / 25 + rng.normal(0, 0.8, n)))
    kind, heating, agent, street = rng.integers(0, 3, n), _common_first(rng, n, 12), rng.integers(0, 30, n), _common_first(rng, n, 150)
    street_effect, heating_effect, ageing = rng.normal(0, 0.18, 150), rng.normal(0, 0.07, 12), np.array([0.004, 0.009, 0.001])

    peaks = sum(height * np.exp(-((north - a)**2 + (east - b)**2) / width) for a, b, height, width in [(3, 4, 0.7, 3), (8, 7, 0.5, 1.5), (6, 1, 0.35, 6)])
    log_price = 5.2 + 0.72 * np.log(area) + 0.1 * np.log(land) * (kind == 2) - ageing[kind] * age + 0.25 * (age > 90) * (kind != 1)
    log_price += peaks + street_effect[street] + heating_effect[heating] + 0.02 * floor * (kind == 1) - 0.0016 * np.maximum(noise - 50, 0)
    y = np.exp(log_price + rng.normal(0, 0.11, n))

    X = pd.DataFrame(dict(area=np.where((area < 80) & (rng.random(n) < 0.35), np.nan, area), land=np.where(kind == 1, np.nan, land), age=age, north=north, east=east,
                          floor=floor.astype(float), noise=np.where(rng.random(n) < 0.25, np.nan, noise), rooms=rooms, views=rng.pareto(1.5, n)))
    X["kind"], X["heating"] = _category("kind ", kind), _category("heating ", heating, rng.random(n) < 0.1)
    X["agent"], X["street"] = _category("agent ", agent), _category("street ", street)
    return X, y


def signals(rng, n):
    """Two classes in 60 sensors; six hidden sources, of which five matter.

    Hard: 50 sensors hear every source at once through noise and ten hear none, so that no single column says much; products of sources are smooth and run across the axes, where a tree needs many steps and a kernel or a network few."""
    sources = rng.normal(size=(n, 6))
    loudness = rng.normal(0, 1, (6, 50))
    wave = sources[:, 0] * sources[:, 1] + sources[:, 2] * sources[:, 3] + 0.5 * sources[:, 4]
    X = np.c_[sources @ loudness + rng.normal(0, 1.5, (n, 50)), rng.normal(0, 2, (n, 10))]
    y = wave + rng.normal(0, 0.2, n) > 0
    return pd.DataFrame(X[:, rng.permutation(60)], columns=[f"s{i}" for i in range(60)]), y.astype(int)


GENERATED = {"credit": (credit, 50_000), "grades": (grades, 8_000), "prices": (prices, 20_000), "signals": (signals, 3_000)}
BUNDLED = {"digits": datasets.load_digits, "diabetes": datasets.load_diabetes}
REGRESSION = {"diabetes", "prices"}
TASKS = [*BUNDLED, *GENERATED]


def kind(name): return "regression" if name in REGRESSION else "classification"


def task(name, seed):
    "Training X and y, test X and y, and the kind of task."
    if name in BUNDLED:
        data = BUNDLED[name](as_frame=True)
        parts = train_test_split(data.data, data.target, test_size=0.3, random_state=seed, stratify=None if name in REGRESSION else data.target)
    else:
        make, n_train = GENERATED[name]
        X, y = make(np.random.default_rng([2026, list(GENERATED).index(name)]), n_train + TEST_ROWS)
        parts = train_test_split(X, pd.Series(y), test_size=TEST_ROWS, random_state=seed, stratify=None if name in REGRESSION else y)
    X, X_test, y, y_test = parts
    return X.reset_index(drop=True), y.to_numpy(), X_test.reset_index(drop=True), y_test.to_numpy(), kind(name)


if __name__ == "__main__":
    for name in TASKS:
        X, y, X_test, y_test, what = task(name, 0)
        target = f"classes {np.round(np.bincount(y) / len(y), 3)}" if what == "classification" else f"mean {y.mean():.4g}, standard deviation {y.std():.4g}"
        print(f"{name:14} {len(X):6,} rows, {len(X_test):6,} of test, {X.shape[1]:2} columns, {X.select_dtypes('category').shape[1]} categories, {X.isna().mean().mean():.1%} missing; {target}")
