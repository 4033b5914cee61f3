#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""Prometheus scrapes bhsec by the units that are installed, its rules fire, and
the dashboard asks for what there is."""

import shlex
import shutil

from libmetrics import *
from libunits import *

NOBODY = 65534
# Exposure by systemd-analyze, in tenths; others are at 90.
EXPOSED = 15

a, b = Ns("a"), Ns("b")
t = tunnel_bhsec(a, b, veth(a, b))
udp_echo(b, t.b_inner4)
a.bhsec("peer add bh0 idle selectors 10.77.0.0/24\n")


# What is installed

SERVICES = "bhsec-metrics@.service", "bhsec-textfile.service"


@case("make install installs units that systemd has nothing to say about")
def _():
    installed()
    names = [name for name in os.listdir(UNITS) if not name.endswith(".d")]
    check_equal(len(names), 6, f"units: {names}")
    _, said = analyze("verify", "--man=no", *(f"{UNITS}/{name}" for name in names))
    check_equal([line for line in said.splitlines() if "bhsec" in line], [],
                "remarks")


@case("a service may do nothing but ask the kernel")
def _():
    for name in SERVICES:
        confined(name, EXPOSED)


@case("make uninstall removes what was installed")
def _():
    subprocess.run(["make", "-s", "-C", TOP, "uninstall", "DESTDIR=/tmp/root"],
                   check=True, capture_output=True)
    left = [f"{path}/{name}" for path, _, names in os.walk("/tmp/root")
            for name in names]
    check_equal(left, [], "files")


# By HTTP

def without_privilege(*command):
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
            "--clear-groups", "--bounding-set=-all", "--no-new-privs", *command]


def serve(address, path=None):
    """As the socket's unit does, with no privilege as its service has none."""
    env = os.environ | {"PATH": path} if path else None
    a.popen(without_privilege(
        "systemd-socket-activate", "--accept", "--inetd", "-l", address,
        unit("bhsec-metrics@.service", "ExecStart")), env=env,
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host, port = address.split(":")
    wait_for(lambda: listens(host, int(port)), LIMIT, "the socket")


def listens(host, port):
    with a, open("/proc/thread-self/net/tcp", encoding="ascii") as lines:
        wanted = socket.inet_aton(host)[::-1].hex().upper() + f":{port:04X}"
        return any(row.split()[1] == wanted and row.split()[3] == "0A"
                   for row in lines)


def curl(*words):
    """(status, type, body), as curl has them."""
    done = a.run(["curl", "-sS", "--max-time", str(LIMIT), "-w",
                  "\n%{http_code} %{content_type}", *words], timeout=LIMIT)
    body, _, last = done.stdout.rpartition("\n")
    status, _, kind = last.partition(" ")
    return int(status), kind, body


def http():
    return unit("bhsec-metrics.socket", "ListenStream")


@case("a scrape by HTTP has what the tool prints")
def _():
    udp_exchange(a, t.b_inner4, [100] * 3, t.a_inner4)
    serve(http())
    status, kind, body = curl(f"http://{http()}/metrics")
    check_equal((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"),
                "answer")
    seen, told = take_apart(body), scrape(a)
    check_equal({name: set(metric.samples) for name, metric in seen.items()},
                {name: set(metric.samples) for name, metric in told.items()},
                "samples")
    check_equal(sample(seen, "bhsec_peer_rx_packets_total", device="bh0",
                       peer=t.peer), 3, "packets")
    status, _, body = curl("-I", f"http://{http()}/metrics")
    check_equal((status, "bhsec_" in body), (200, False), "a HEAD request")


@case("what else is asked for is refused by its status")
def _():
    for words, wanted in ((["http://{}/"], 404), (["http://{}/metrics/x"], 404),
                          (["-d", "x", "http://{}/metrics"], 405),
                          (["-X", "DELETE", "http://{}/"], 405),
                          (["http://{}/metrics?name=x"], 200)):
        status, _, body = curl(*(word.format(http()) for word in words))
        check_equal(status, wanted, words)
        check_equal("bhsec_" in body, wanted == 200, "metrics")


@case("where the kernel refuses, the answer is 503 and its sentence")
def _():
    os.mkdir("/tmp/refused")
    with open("/tmp/refused/bhsec", "w", encoding="ascii") as tool:
        tool.write("#!/bin/sh\necho bhsec_device_up 1\necho It is refused. >&2\n"
                   "exit 1\n")
    os.chmod("/tmp/refused/bhsec", 0o755)
    serve("127.0.0.1:9451", f"/tmp/refused:{os.environ['PATH']}")
    status, _, body = curl("http://127.0.0.1:9451/metrics")
    check_equal(status, 503, body)
    check("It is refused." in body, body)


# By a file

@case("node exporter takes the file that the timer's service writes")
def _():
    service = "bhsec-textfile.service"
    place = unit(service, "ConditionPathIsDirectory")
    runtime = f"/run/{unit(service, 'RuntimeDirectory')}"
    os.makedirs(place)
    os.mkdir(runtime)
    os.chown(runtime, NOBODY, NOBODY)
    begin = shlex.split(unit(service, "ExecStart"))
    a.run(without_privilege(*begin),
          env=os.environ | {"RUNTIME_DIRECTORY": runtime})
    then = [line.lstrip("+").split() for line in settings(service, "ExecStartPost")]
    check_equal(then[-1][-1], f"{place}/bhsec.prom", "what is read")
    # what somebody has put there is not written to
    os.symlink("/etc/hostname", then[0][-1])
    with open("/etc/hostname", encoding="ascii") as file:
        before = file.read()
    for command in then:
        subprocess.run(command, check=True)
    with open("/etc/hostname", encoding="ascii") as file:
        check_equal(file.read(), before, "what a link led to")
    a.popen([f"{PROMETHEUS}/prometheus-node-exporter",
             "--collector.disable-defaults", "--collector.textfile",
             f"--collector.textfile.directory={place}",
             "--web.listen-address=127.0.0.1:9100", "--log.level=error"])
    wait_for(lambda: listens("127.0.0.1", 9100), LIMIT, "node exporter")
    _, _, body = curl("http://127.0.0.1:9100/metrics")
    check("node_textfile_scrape_error 0" in body, body[-2000:])
    told = scrape(a)
    check_equal(dict(re.findall(r"^# TYPE (bhsec_\w+) (\w+)$", body, re.M)),
                {name: metric.said["TYPE"] for name, metric in told.items()},
                "types")
    check_equal({(name, labels_of(labels)) for name, labels in
                 re.findall(r"^(bhsec_\w+){(.*)} ", body, re.M)},
                {(name, labels) for name, metric in told.items()
                 for labels in metric.samples}, "samples")


# By Prometheus

CONFIG = """
global: {{scrape_interval: 10s, evaluation_interval: 10s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: bhsec
    static_configs: [targets: ["{target}"]]
"""


def ask(what, **query):
    """Prometheus' API."""
    words = urllib.parse.urlencode(query)
    with a, urllib.request.urlopen(
            f"http://127.0.0.1:9090/api/v1/{what}?{words}", timeout=LIMIT) as reply:
        return json.load(reply)["data"]


def value(expr):
    """Of one sample, as a number."""
    found = ask("query", query=expr)["result"]
    return float(found[0]["value"][1]) if len(found) == 1 else None


def answers():
    try:
        return ask("query", query="up{job='bhsec'}")["result"]
    except OSError:
        return None


@case("Prometheus scrapes all that there is, and knows what each is")
def _():
    with open("/tmp/prometheus.yml", "w", encoding="ascii") as file:
        file.write(CONFIG.format(target=http(),
                                 rules="/usr/local/share/bhsec/alerts.yml"))
    with open("/tmp/prometheus.log", "wb") as log:
        a.popen([f"{PROMETHEUS}/prometheus", "--config.file=/tmp/prometheus.yml",
                 "--storage.tsdb.path=/tmp/tsdb", "--log.level=warn",
                 "--web.listen-address=127.0.0.1:9090"], stdout=log, stderr=log)
    wait_for(answers, LIMIT, "a scrape")
    wait_for(lambda: value("up{job='bhsec'}") == 1, LIMIT,
             lambda: ask("targets")["activeTargets"])
    told = scrape(a)
    kinds = wait_for(lambda: ask("metadata"), LIMIT, "metadata")
    check_equal({name: kinds[name][0]["type"] for name in told},
                {name: metric.said["TYPE"] for name, metric in told.items()},
                "types")
    series = ask("query", query='{job="bhsec", __name__=~"bhsec_.*"}')["result"]
    check_equal(len(series), sum(len(one.samples) for one in told.values()),
                "series")
    check_equal(value(f'bhsec_peer_up{{peer="{t.peer}"}}'), 1, "up")
    check_equal(value('bhsec_peer_up{peer="idle"}'), 0, "one never heard")


def moved_on():
    """Waits for a scrape that began later than now and got something."""
    now = time.time()
    wait_for(lambda: (value("timestamp(bhsec_device_up)") or 0) > now, LIMIT,
             "a scrape")


@case("Prometheus sees a peer go down and come up, which stays there")
def _():
    for word, wanted in ("down", 0), ("up", 1):
        a.ip(f"link set bh0 {word}\n")
        moved_on()
        for level in "device", "peer":
            more = f', peer="{t.peer}"' if level == "peer" else ""
            check_equal(value(f'bhsec_{level}_up{{device="bh0"{more}}}'), wanted,
                        f"{level}, set {word}")
        check_equal(value(f'bhsec_peer_configured{{peer="{t.peer}"}}'), 1,
                    "configured")


# What watches

def read(name):
    with open(f"{SOURCE['userspace']}/{name}", encoding="utf-8") as file:
        return file.read()


@case("promtool takes the alert rules, and they fire for what they are for")
def _():
    promtool("check", "rules", f"{SOURCE['userspace']}/alerts.yml")
    os.mkdir("/tmp/rules")
    shutil.copy(f"{SOURCE['userspace']}/alerts.yml", "/tmp/rules/alerts")
    shutil.copy(f"{TESTS}/alerts.yml", "/tmp/rules/test.yml")
    promtool("test", "rules", "test.yml", cwd="/tmp/rules")


@case("Prometheus takes the alert rules, and evaluates each")
def _():
    def rules():
        group, = ask("rules")["groups"]
        return group["rules"]
    wait_for(lambda: all(rule["health"] == "ok" for rule in rules()), LIMIT, rules)
    check_equal({rule["name"] for rule in rules()},
                set(re.findall(r"alert: (\w+)", read("alerts.yml"))), "rules")


def panels():
    return json.loads(read("dashboard.json"))["panels"]


def expressions():
    """Of the dashboard, each with what it shall show."""
    for panel in panels():
        for target in panel["targets"]:
            expr = target["expr"].replace("$__rate_interval", "5m")
            yield panel["title"], re.sub(r"\$(instance|device|peer)", ".*", expr)


# What is dropped, refused or wrong: nothing need be.
SILENT = re.compile("down|Drops|ICMP|Silent")


@case("Prometheus answers what each panel asks")
def _():
    moved_on()
    for title, expr in expressions():
        found = ask("query", query=expr)["result"]
        check(found or SILENT.search(title), f"{title}: nothing by {expr}")


@case("every metric that a panel or a rule names is in a scrape")
def _():
    known = set(scrape(a))
    texts = {"alerts.yml": read("alerts.yml"),
             "dashboard.json": read("dashboard.json")}
    for name, text in texts.items():
        named = set(re.findall(r"\bbhsec_\w+", text))
        check(named, f"{name} names none")
        check_equal(named - known, set(), f"unknown in {name}")
    check_equal(known - set(re.findall(r"\bbhsec_\w+", "".join(texts.values()))),
                set(), "metrics that nobody asks for")


@case("labels that a panel or a rule selects by are in a scrape")
def _():
    causes = {cause for level in ("peer", "device", "underlay") for cause in
              by(scrape(a), f"bhsec_{level}_dropped_packets_total", "cause")}
    for name in "alerts.yml", "dashboard.json":
        text = read(name).replace('\\"', '"')
        for words in re.findall(r'cause!?=~?"([^"]+)"', text):
            check_equal(set(words.split("|")) - causes, set(), f"causes in {name}")


def overlaps(one, other):
    return all(one[at] < other[at] + other[size]
               and other[at] < one[at] + one[size]
               for at, size in (("x", "w"), ("y", "h")))


@case("the dashboard has the form that Grafana wants")
def _():
    board = json.loads(read("dashboard.json"))
    check(board["title"] and board["uid"] and board["schemaVersion"] >= 36, "head")
    names = {one["name"] for one in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board["panels"])))
    check_equal(used - names, {"__rate_interval"}, "variables that it lacks")
    check_equal(names - used, set(), "variables that no panel uses")
    check_equal(len({panel["id"] for panel in panels()}), len(panels()), "ids")
    for panel in panels():
        at = panel["gridPos"]
        check(panel["title"] and panel["description"] and panel["targets"], panel)
        check(panel["type"] in ("stat", "table", "timeseries"), panel["type"])
        check(panel["datasource"]["uid"] == "${datasource}", panel)
        check(0 <= at["x"] and at["x"] + at["w"] <= 24, f"width of {panel}")
        letters = [target["refId"] for target in panel["targets"]]
        check_equal(letters, list("ABC")[:len(letters)], "refIds")
        check_equal([other["title"] for other in panels() if other["id"] != panel["id"]
                     and overlaps(at, other["gridPos"])], [], "lies over")


tell_end_of("/tmp/prometheus.log")
main()
