# SPDX-License-Identifier: GPL-2.0
"""What the tool prints for Prometheus, taken apart; Prometheus itself, which is
run where it lies."""

import collections
import urllib.error
import urllib.parse
import urllib.request

from lib import *

PROMETHEUS = os.path.join(os.environ.get("BHSEC_CACHE", ""), "prometheus/usr/bin")
PROMTOOL = f"{PROMETHEUS}/promtool"

METADATA = re.compile(r"# (HELP|TYPE|UNIT) (\w+) (.+)")
SAMPLE = re.compile(r"(\w+)\{(.*)\} (\d+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?')

Metric = collections.namedtuple("Metric", "said samples")


def labels_of(text):
    check_equal(LABEL.sub("", text), "", f"what is no label in {text}")
    return frozenset((name, re.sub(r"\\(.)", r"\1", value))
                     for name, value in LABEL.findall(text))


def take_apart(text):
    """{name: (what is said of it, {labels: value})}; each in one piece."""
    metrics, lines = {}, text.splitlines()
    check_equal(lines.pop(), "# EOF", "last line")
    for line in lines:
        if match := METADATA.fullmatch(line):
            metric = metrics.setdefault(match[2], Metric({}, {}))
            check(match[1] not in metric.said and not metric.samples,
                  f"too late: {line}")
            metric.said[match[1]] = match[3]
        else:
            match = SAMPLE.fullmatch(line)
            check(match, f"neither sample nor metadata: {line}")
            check_equal(match[1], [*metrics][-1], "whose sample")
            samples, labels = metrics[match[1]].samples, labels_of(match[2])
            check(labels not in samples, f"twice: {line}")
            samples[labels] = int(match[3])
    return metrics


def scrape(ns, *words):
    return take_apart(ns.cli("show", *words, "--openmetrics").stdout)


def sample(metrics, name, **labels):
    return metrics[name].samples[frozenset(labels.items())]


def by(metrics, name, label, **labels):
    """{that label: value} of the samples that have the others."""
    return {dict(one)[label]: value for one, value
            in metrics[name].samples.items()
            if labels.items() <= dict(one).items()}


def promtool(*words, **kw):
    """What it says, if it is content."""
    done = subprocess.run([PROMTOOL, *words], text=True, check=False,
                          timeout=10 * PATIENCE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **kw)
    check_equal(done.returncode, 0, f"{words}: {done.stdout}")
    return done.stdout
