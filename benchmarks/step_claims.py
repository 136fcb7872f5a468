"""Benchmark that checks the training time and memory of networks against limits for a two-core CPU."""

from benchmarks.harness.contestant import NotRun, Timing
from benchmarks.harness.timing import median, ratio

# Of the released code, measured on another machine; results/released_code.md has both on one machine.
REFERENCE_SECONDS = {"14 layers master": 1.17, '14 layers master, feedback "two"': 1.69}
REFERENCE_PEAK_GB = 2.0
LEFT_OUT = NotRun("left out of this run")


def add_claims(report, groups):
    """Report whether networks stay within fixed limits on training time and memory.

    Args:
        report: a `Report`.
        groups: "six", "master", "aide" and "fourteen", each with `training` and `memory` as in `step.Group`.
    """
    six, master, aide, fourteen = (groups[name] for name in ("six", "master", "aide", "fourteen"))
    _claim_ratio(report, six.training, "EncapNet-6 master", other="PlainCNN same_shape", limit=1.5)
    _claim_ratio(report, six.training, "EncapNet-6 master/aide", other="PlainCNN same_shape", limit=2.35)
    _claim_ratio(report, master.training, "EncapNet-18 master", other="ResNet18", limit=0.6)
    _claim_share_of_dense_speed(report, aide.training)
    for group, name, limit in ((aide, "EncapNet-18 master/aide", 1.15), (master, "EncapNet-18 master", 1.3)):
        _claim_ratio(report, group.training, f'{name}, feedback "two"', other=name, limit=limit)
    name = '14 layers master, feedback "two"'
    batch, peak = fourteen.memory.get(name, (None, LEFT_OUT))
    value = None if isinstance(peak, NotRun) else peak["resident"] / 1e9
    report.claim(
        f"{name}, peak memory at batch {batch}, GB", value, REFERENCE_PEAK_GB, reason=getattr(peak, "reason", "")
    )
    for name, limit in REFERENCE_SECONDS.items():
        timing = fourteen.training.get(name, LEFT_OUT)
        text = (
            f"{name}, seconds a training step at batch {fourteen.batch} (the released code's on another machine: "
            f"{limit}; aim {limit / 1.5:.2f})"
        )
        report.claim(text, median(timing), limit, reason=getattr(timing, "reason", ""))


def _claim_ratio(report, results, name, *, other, limit):
    pair = {key: results.get(key, LEFT_OUT) for key in (name, other)}
    ratios = ratio(*pair.values())
    text = f"training step, {name} / {other}"
    if ratios is None:
        reasons = (f"{key}: {result.reason}" for key, result in pair.items() if isinstance(result, NotRun))
        report.claim(text, None, limit, reason=next(reasons))
    else:
        report.claim(f"{text} (median of the rounds' ratios {ratios[1]:.3g})", ratios[0], limit)


def _claim_share_of_dense_speed(report, results):
    pair = [results["EncapNet-18 master/aide"], results["dense convolutions"]]
    text = "EncapNet-18 master/aide: its FLOP/s / those of its dense convolutions alone"
    if all(isinstance(timing, Timing) for timing in pair):
        ours, dense = (timing.facts["flops"] / median(timing) for timing in pair)
        report.claim(text, ours / dense, 0.75, at_least=True)
    else:
        reason = next(timing.reason for timing in pair if isinstance(timing, NotRun))
        report.claim(text, None, 0.75, at_least=True, reason=reason)
