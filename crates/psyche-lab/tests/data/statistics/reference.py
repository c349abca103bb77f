"""Writes the cases of this directory: inputs, and what SciPy, statsmodels and pymannkendall make of them.

Run it with `cargo xtask statistics`; a clean tree afterwards shows that the expected values are theirs.
"""

import json
import pathlib

import numpy as np
import pymannkendall
import statsmodels.api as sm
from scipy import stats
from scipy.signal import lfilter
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

HERE = pathlib.Path(__file__).parent
draw = np.random.default_rng(20260101)


def numbers(values):
    return [round(float(v), 6) for v in values]


def normal(n, mean=0.0, sd=1.0):
    return numbers(draw.normal(mean, sd, n))


def grades(n, low, high):
    return [float(v) for v in draw.integers(low, high, n)]


def shortened(value):
    """Twelve digits: the last ones depend on the processor."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, list):
        return [shortened(v) for v in value]
    if isinstance(value, dict):
        return {key: shortened(v) for key, v in value.items()}
    return value


def write(name, cases):
    cases = shortened(cases)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def pair(interval):
    return [float(interval[0]), float(interval[1])]


SERIES = {
    "noise": normal(40),
    "rising": numbers(np.linspace(0, 2, 50) + draw.normal(0, 0.7, 50)),
    "falling with ties": numbers(np.round(np.linspace(5, 0, 60) + draw.normal(0, 1.5, 60))),
    "autocorrelated": numbers(lfilter([1], [1, -0.7], draw.normal(0, 1, 120))),
    "autocorrelated and rising": numbers(lfilter([1], [1, -0.6], draw.normal(0, 1, 80)) + np.linspace(0, 4, 80)),
    "short": normal(8, 3, 2),
}

SAMPLES = {
    "same": (normal(12), normal(15)),
    "shifted": (normal(9, 1.2), normal(11)),
    "unequal spread": (normal(25, 0.4, 3), normal(7)),
    "small": (normal(3, 2), normal(4)),
    "ties": (grades(14, 1, 6), grades(18, 2, 7)),
    "large": (normal(120, 0.2), normal(90)),
}

PAIRED = {
    "no difference": normal(12),
    "shifted": normal(15, 0.8),
    "ties and zeros": grades(20, -2, 4),
    "large": normal(70, 0.3),
}


def describe():
    cases = []
    for name, values in SERIES.items():
        interval = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        quantiles = {str(q): float(np.quantile(values, q)) for q in (0, 0.05, 0.25, 0.5, 0.9, 0.95, 1)}
        cases.append({
            "name": name, "values": values, "mean": float(np.mean(values)), "variance": float(np.var(values, ddof=1)),
            "mean_interval": pair(interval), "quantiles": quantiles,
        })
    write("describe", cases)
    write("proportion", [
        {"name": f"{k} of {n}", "successes": k, "trials": n,
         "interval": pair(proportion_confint(k, n, method="wilson"))}
        for k, n in ((0, 10), (3, 10), (10, 10), (47, 112), (1, 1000))
    ])


def trends():
    cases = []
    for name, values in SERIES.items():
        plain = pymannkendall.original_test(values)
        slope = stats.theilslopes(values)
        case = {
            "name": name, "values": values, "tau": float(plain.Tau), "z": float(plain.z), "p": float(plain.p),
            "slope": float(slope.slope), "intercept": float(slope.intercept),
            "slope_interval": [float(slope.low_slope), float(slope.high_slope)],
        }
        for lag in (1, 3, 10):
            if lag >= len(values):
                continue
            corrected = pymannkendall.hamed_rao_modification_test(values, lag=lag)
            if corrected.var_s >= plain.var_s:
                case[f"lag_{lag}"] = {"z": float(corrected.z), "p": float(corrected.p),
                                      "inflation": float(corrected.var_s / plain.var_s)}
        x = np.arange(len(values))
        line = sm.OLS(values, sm.add_constant(x)).fit()
        ahead = line.get_prediction([[1, len(values) + 2]]).summary_frame(alpha=0.05)
        case["forecast_3"] = {"value": float(ahead["mean"].iloc[0]),
                              "interval": [float(ahead["obs_ci_lower"].iloc[0]), float(ahead["obs_ci_upper"].iloc[0])]}
        cases.append(case)
    write("trend", cases)


def two_samples():
    cases = []
    for name, (a, b) in SAMPLES.items():
        welch = stats.ttest_ind(a, b, equal_var=False)
        g, variance = effectsize_smd(np.mean(a), np.std(a, ddof=1), len(a), np.mean(b), np.std(b, ddof=1), len(b))
        half = stats.norm.ppf(0.975) * np.sqrt(variance)
        case = {
            "name": name, "a": a, "b": b, "t": float(welch.statistic), "welch_p": float(welch.pvalue),
            "welch_interval": pair(welch.confidence_interval(0.95)),
            "g": float(g), "g_interval": [float(g - half), float(g + half)],
        }
        normal_ = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=True)
        case["u"] = float(normal_.statistic)
        case["u_normal_p"] = float(normal_.pvalue)
        case["auc"] = float(normal_.statistic / (len(a) * len(b)))
        if len(set(a + b)) == len(a + b) and len(a) + len(b) <= 50:
            case["u_exact_p"] = float(stats.mannwhitneyu(a, b, method="exact").pvalue)
        cases.append(case)
    write("two_samples", cases)


def paired():
    cases = []
    for name, differences in PAIRED.items():
        t = stats.ttest_1samp(differences, 0)
        approximate = stats.wilcoxon(differences, method="asymptotic", correction=True)
        case = {
            "name": name, "differences": differences, "t": float(t.statistic), "t_p": float(t.pvalue),
            "t_interval": pair(t.confidence_interval(0.95)),
            "w": float(approximate.statistic), "w_normal_p": float(approximate.pvalue),
        }
        magnitudes = [abs(d) for d in differences]
        if 0 not in magnitudes and len(set(magnitudes)) == len(magnitudes) and len(magnitudes) <= 50:
            case["w_exact_p"] = float(stats.wilcoxon(differences, method="exact").pvalue)
        cases.append(case)
    write("paired", cases)


def correlations():
    cases = []
    for name, n, slope in (("none", 30, 0.0), ("strong", 25, 1.5), ("negative", 60, -0.6), ("few", 5, 0.5)):
        x = normal(n)
        y = numbers(slope * np.array(x) + draw.normal(0, 1, n))
        r = stats.pearsonr(x, y)
        rho = stats.spearmanr(x, y)
        cases.append({
            "name": name, "x": x, "y": y, "r": float(r.statistic), "r_p": float(r.pvalue),
            "r_interval": pair(r.confidence_interval(0.95)), "rho": float(rho.statistic), "rho_p": float(rho.pvalue),
        })
    write("correlation", cases)


def multiplicity():
    lists = {"mixed": [0.01, 0.04, 0.03, 0.005, 0.8], "equal": [0.02, 0.02, 0.02], "one": [0.3],
             "many": numbers(draw.uniform(0, 0.2, 30))}
    write("multiplicity", [
        {"name": name, "p": p, "holm": [float(v) for v in multipletests(p, method="holm")[1]],
         "benjamini_hochberg": [float(v) for v in multipletests(p, method="fdr_bh")[1]]}
        for name, p in lists.items()
    ])


class Given(np.random.Generator):
    """A generator that hands out the indices it was given, so that both sides resample alike."""

    def __init__(self, batches):
        super().__init__(np.random.PCG64(0))
        self.batches = list(batches)

    def integers(self, *_, **__):
        return np.array(self.batches.pop(0))


def hedges(a, b, axis=-1):
    n_a, n_b = a.shape[axis], b.shape[axis]
    pooled = ((n_a - 1) * np.var(a, axis=axis, ddof=1) + (n_b - 1) * np.var(b, axis=axis, ddof=1)) / (n_a + n_b - 2)
    return (1 - 3 / (4 * (n_a + n_b) - 9)) * (np.mean(a, axis=axis) - np.mean(b, axis=axis)) / np.sqrt(pooled)


def bootstraps():
    count = 400
    cases = []
    skewed = numbers(draw.exponential(1.0, 14))
    for name, values, statistic in (("mean of a skewed sample", skewed, np.mean),
                                    ("variance", normal(20), lambda x, axis=-1: np.var(x, axis=axis, ddof=1))):
        indices = draw.integers(0, len(values), (count, len(values)))
        result = stats.bootstrap((values,), statistic, n_resamples=count, method="BCa", rng=Given([indices]))
        cases.append({"name": name, "values": values, "statistic": name.split()[0], "resamples": indices.tolist(),
                      "interval": pair(result.confidence_interval)})
    a, b = normal(10, 1), normal(12)
    of_a, of_b = (draw.integers(0, len(s), (count, len(s))) for s in (a, b))
    result = stats.bootstrap((a, b), hedges, n_resamples=count, method="BCa", rng=Given([of_a, of_b]))
    cases.append({"name": "Hedges' g", "a": a, "b": b, "resamples_a": of_a.tolist(), "resamples_b": of_b.tolist(),
                  "interval": pair(result.confidence_interval)})
    write("bootstrap", cases)


def mixed():
    cases = []
    for name, sizes, sd, slope in (("balanced", [8] * 12, 1.0, 0.5), ("unbalanced", [3, 9, 5, 14, 7, 4, 11], 0.6, -0.3),
                                   ("little between", [15] * 20, 0.4, 0.2)):
        groups = [g for g, size in enumerate(sizes) for _ in range(size)]
        level = draw.normal(0, sd, len(sizes))
        x = normal(len(groups))
        values = numbers(2 + slope * np.array(x) + level[np.array(groups)] + draw.normal(0, 1, len(groups)))
        model = sm.MixedLM(np.array(values), sm.add_constant(np.array(x)), groups=np.array(groups))
        # Its own choice, L-BFGS, leaves the region where this model is defined.
        fit = model.fit(reml=True, method="powell", xtol=1e-12, ftol=1e-14)
        # The usual covariance of the estimates, (X'V^-1X)^-1, at its variances. Its own bse_fe comes from the observed
        # information of all parameters together and is up to 0.4 % larger on these cases.
        same = np.equal.outer(np.array(groups), np.array(groups))
        weights = np.linalg.inv(fit.scale * np.eye(len(groups)) + np.asarray(fit.cov_re)[0, 0] * same)
        errors = np.sqrt(np.diag(np.linalg.inv(model.exog.T @ weights @ model.exog)))
        p = 2 * stats.norm.sf(np.abs(fit.fe_params / errors))
        cases.append({
            "name": name, "values": values, "x": x, "groups": groups,
            "estimates": [float(v) for v in fit.fe_params], "standard_errors": [float(v) for v in errors],
            "p": [float(v) for v in p], "between": float(np.asarray(fit.cov_re)[0, 0]),
            "within": float(fit.scale),
        })
    write("mixed", cases)


for part in (describe, trends, two_samples, paired, correlations, multiplicity, bootstraps, mixed):
    part()
