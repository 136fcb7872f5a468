"""The limits that whole networks keep, for a CPU of two cores."""

from benchmarks.contestant import NotRun, Timing
from benchmarks.harness import median, ratio

REFERENCE_SECONDS = {"14 layers master": 1.17, '14 layers master, feedback "two"': 1.69}
REFERENCE_PEAK_GB = 2.0
ABSENT = NotRun("left out of this run")


def claims(report, groups):
    """Adds every limit to the report.

    Args:
        report: a `Report`.
        groups: "six", "master", "aide" and "fourteen", each with `training` and `memory` as in `step.Group`.
    """
    six, master, aide, fourteen = (groups[name] for name in ("six", "master", "aide", "fourteen"))
    _ratio(report, six.training, "EncapNet-6 master", "PlainCNN same_shape", 1.5)
    _ratio(report, six.training, "EncapNet-6 master/aide", "PlainCNN same_shape", 2.35)
    _ratio(report, master.training, "EncapNet-18 master", "ResNet18", 0.6)
    _share_of_dense_speed(report, aide.training)
    for group, name, limit in ((aide, "EncapNet-18 master/aide", 1.15), (master, "EncapNet-18 master", 1.3)):
        _ratio(report, group.training, f'{name}, feedback "two"', name, limit)
    name = '14 layers master, feedback "two"'
    batch, peak = fourteen.memory.get(name, (None, ABSENT))
    value = None if isinstance(peak, NotRun) else peak["resident"] / 1e9
    report.claim(
        f"{name}, peak memory at batch {batch}, GB", value, REFERENCE_PEAK_GB, reason=getattr(peak, "reason", "")
    )
    for name, limit in REFERENCE_SECONDS.items():
        timing = fourteen.training.get(name, ABSENT)
        text = f"{name}, seconds a training step at batch {fourteen.batch} (reference {limit}; aim {limit / 1.5:.2f})"
        report.claim(text, median(timing), limit, reason=getattr(timing, "reason", ""))


def _ratio(report, results, name, other, limit):
    pair = {which: results.get(which, ABSENT) for which in (name, other)}
    found = ratio(*pair.values())
    text = f"training step, {name} / {other}"
    if found is None:
        reasons = (f"{which}: {result.reason}" for which, result in pair.items() if isinstance(result, NotRun))
        report.claim(text, None, limit, reason=next(reasons))
    else:
        report.claim(f"{text} (median of the rounds' ratios {found[1]:.3g})", found[0], limit)


def _share_of_dense_speed(report, results):
    pair = [results["EncapNet-18 master/aide"], results["dense convolutions"]]
    text = "EncapNet-18 master/aide: its FLOP/s / those of its dense convolutions alone"
    if all(isinstance(timing, Timing) for timing in pair):
        ours, dense = (timing.facts["flops"] / median(timing) for timing in pair)
        report.claim(text, ours / dense, 0.75, at_least=True)
    else:
        reason = next(timing.reason for timing in pair if isinstance(timing, NotRun))
        report.claim(text, None, 0.75, at_least=True, reason=reason)
