"""The metrics collector beside Prometheus: both are sent the same samples by remote write, asked the same queries, let
scrape the same page, killed, and started again. Their answers are compared before anything is said about their cost."""

import http.client
import http.server
import json
import os
import pathlib
import random
import signal
import struct
import sys
import tempfile
import threading
import time
import urllib.parse

from servers import DEADLINE_SECONDS, Failure, Farm, executable, free_port, occasion, options, publish

STEP_MILLISECONDS = 15_000
SAMPLES_A_REQUEST = 2000
SAMPLES_TOGETHER = 10
# Half an hour in steps of 30 seconds, and single moments.
QUERIES = [
    ("range", "sum by (job) (rate(requests_total[5m]))"),
    ("range", "max_over_time(temperature{job=\"job-3\"}[10m])"),
    ("range", "topk(5, rate(requests_total[1m]))"),
    ("range", "sum(rate(requests_total{status=\"500\"}[5m])) / sum(rate(requests_total[5m]))"),
    ("range", "avg by (instance) (temperature) > on (instance) group_left () quantile by (instance) (0.5, temperature)"),
    ("instant", "count by (status) (requests_total)"),
    ("instant", "histogram_quantile(0.9, sum by (le) (rate(latency_bucket[5m])))"),
    ("instant", "{__name__=~\"temp.*\", instance=~\".*7:9100\"}"),
]


# Just enough of protobuf and of snappy: what a sender of samples needs.


def number(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(tag, payload):
    return number(tag << 3 | 2) + number(len(payload)) + payload


def snappy(raw):
    """As literals only: nothing is packed, and every reader takes it."""
    out = bytearray(number(len(raw)))
    for start in range(0, len(raw), 65536):
        piece = raw[start:start + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


class Mix:
    """Series as services have them: counters, gauges, and a histogram's buckets."""

    def __init__(self, series, chance):
        self.chance, self.labels, self.values = chance, [], []
        for index in range(series):
            where = {"job": f"job-{index % 7}", "instance": f"node-{index // 20}:9100"}
            kind = index % 20
            if kind < 8:
                name, more = "requests_total", {"status": ["200", "404", "500", "503"][kind % 4], "path": f"/{kind // 4}"}
            elif kind < 14:
                name, more = "temperature", {"sensor": f"{kind}"}
            else:
                name, more = "latency_bucket", {"le": ["0.1", "0.5", "1", "5", "10", "+Inf"][kind - 14]}
            labels = sorted({"__name__": name, **where, **more}.items())
            self.labels.append(b"".join(
                field(1, field(1, key.encode()) + field(2, value.encode())) for key, value in labels))
            self.values.append(float(chance.randrange(1000)))

    def samples(self, index, times):
        """One series' next samples."""
        out, value, kind = bytearray(), self.values[index], index % 20
        for moment in times:
            if kind < 8:
                value += self.chance.randrange(20)
            elif kind < 14:
                value = round(20 + self.chance.gauss(0, 3), 1)
            else:
                value += self.chance.randrange(kind)
            out += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + number(moment))
        self.values[index] = value
        return bytes(out)


def make_requests(series, count, end):
    mix = Mix(series, random.Random(7))
    times = [end - (count - 1 - index) * STEP_MILLISECONDS for index in range(count)]
    together = max(1, SAMPLES_A_REQUEST // SAMPLES_TOGETHER)
    for first in range(0, count, SAMPLES_TOGETHER):
        some = times[first:first + SAMPLES_TOGETHER]
        for start in range(0, series, together):
            body = b"".join(field(1, mix.labels[index] + mix.samples(index, some))
                            for index in range(start, min(series, start + together)))
            yield snappy(body)


class Page(http.server.BaseHTTPRequestHandler):
    """A page of samples of which a tenth changes each time."""
    series, round = 10_000, 0
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        Page.round += 1
        lines = ["# TYPE page_total counter"]
        lines += [f'page_total{{instance_of="{index // 100}",item="{index}",method="GET"}} '
                  f"{index + (Page.round if index % 10 == 0 else 0)}" for index in range(self.series)]
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Side:
    """A collector with its directory."""

    def __init__(self, farm, name, directory):
        self.farm, self.name, self.place = farm, name, directory / name
        self.place.mkdir()
        self.configuration = self.place / "collector.yaml"
        self.configuration.write_text("global: {scrape_interval: 1h}\n")
        self.connection = self.server = None

    def start(self):
        """Seconds until it is ready."""
        self.port = free_port()
        if self.name == "sdlab":
            command = [self.farm.program, "metrics-collector", "--config", str(self.configuration), "--port", str(self.port),
                       "--data-dir", str(self.place / "data"), "--retention", "0s"]
        else:
            command = [executable("prometheus"), f"--config.file={self.configuration}",
                       f"--web.listen-address=127.0.0.1:{self.port}", f"--storage.tsdb.path={self.place}/data",
                       "--storage.tsdb.retention.time=10y", "--web.enable-remote-write-receiver", "--log.level=error"]
        began = time.monotonic()
        self.server = self.farm.start(self.name, command, self.port)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS * 6)
        while True:
            try:
                if self.ask("GET", "/-/ready")[0] == 200:
                    return time.monotonic() - began
            except OSError:
                self.connection.close()
            if self.server.process.poll() is not None:
                raise Failure(f"{self.name} ended: {self.server.log.read_text(errors='replace')[-2000:]}")
            if time.monotonic() - began > 300:
                raise Failure(f"{self.name} is not ready after five minutes")
            time.sleep(0.02)

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return response.status, response.read()

    def cpu(self):
        return sum(self.server.cpu_seconds())

    def write(self, requests):
        """Processor seconds for all of them."""
        before = self.cpu()
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                   "X-Prometheus-Remote-Write-Version": "0.1.0"}
        for request in requests:
            status, answer = self.ask("POST", "/api/v1/write", request, headers)
            if status not in (200, 204):
                raise Failure(f"{self.name} answered {status} to samples: {answer[:200]}")
        return self.cpu() - before

    def query(self, kind, text, end, rounds):
        """The answer, and the processor seconds of one asking."""
        if kind == "range":
            parameters = {"query": text, "start": end - 1800, "end": end, "step": 30}
        else:
            parameters = {"query": text, "time": end}
        path = f"/api/v1/query{'_range' if kind == 'range' else ''}?{urllib.parse.urlencode(parameters)}"
        before = self.cpu()
        for _ in range(rounds):
            status, answer = self.ask("GET", path)
            if status != 200:
                raise Failure(f"{self.name} answered {status} to {text}: {answer[:300]}")
        return answer, (self.cpu() - before) / rounds

    def stored_bytes(self):
        return sum(file.stat().st_size for file in (self.place / "data").rglob("*") if file.is_file())

    def kill(self):
        os.killpg(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait()
        self.connection.close()

    def stop(self):
        self.server.stop()
        self.connection.close()


def rounded(text):
    """A number as far as two programs that add in another order agree."""
    value = float(text)
    return text if value != value or value in (float("inf"), float("-inf")) else f"{value:.9g}"


def canonical(answer):
    """What an answer says, in an order of its own, numbers rounded."""
    result = json.loads(answer)["data"]["result"]
    rows = []
    for row in result:
        values = row.get("values") or [row["value"]]
        rows.append((sorted(row["metric"].items()), [(moment, rounded(text)) for moment, text in values]))
    return sorted(rows)


def compare_queries(sides, end, rounds):
    lines, costs = [], {side.name: 0.0 for side in sides}
    for kind, text in QUERIES:
        found = [side.query(kind, text, end, 1) for side in sides]
        answers = [canonical(answer) for answer, _ in found]
        if answers[0] != answers[1]:
            raise Failure(f"the two answer differently to {text}")
        if not answers[0]:
            raise Failure(f"nothing is found by {text}")
        used = {side.name: side.query(kind, text, end, rounds)[1] for side in sides}
        for name, cost in used.items():
            costs[name] += cost
        lines.append(f"  {used['sdlab'] * 1e3:8.2f} {used['prometheus'] * 1e3:8.2f} ms  {kind:7} {text}")
    ratio = costs["sdlab"] / max(1e-9, costs["prometheus"])
    return [f"queries: {costs['sdlab'] * 1e3:.1f} ms of processor time for all, Prometheus {costs['prometheus'] * 1e3:.1f}: "
            f"{ratio:.2f} of it (goal 0.8); both gave the same answers"] + lines


def compare_scrapes(sides, seconds):
    """Processor time of a scrape of 10,000 series, every second."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lines = []
    for side in sides:
        side.configuration.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: page, static_configs: "
            f"[{{targets: [\"127.0.0.1:{server.server_port}\"]}}]}}]\n")
        side.stop()
        side.start()
        time.sleep(3)
        before, first = side.cpu(), Page.round
        time.sleep(seconds)
        count = max(1, Page.round - first)
        lines.append((side.name, (side.cpu() - before) / count * 1e3, count))
        side.stop()
    server.shutdown()
    return ["scrape of 10,000 series: " + ", ".join(f"{name} {cost:.2f} ms ({count} scrapes)" for name, cost, count in lines)
            + " (goal 5 ms)"]


def measure(sides, arguments):
    end = time.time_ns() // 10**6 // STEP_MILLISECONDS * STEP_MILLISECONDS
    requests = list(make_requests(arguments.series, arguments.samples, end))
    total = arguments.series * arguments.samples
    lines, used, memory = [], {}, {}
    for side in sides:
        side.start()
        empty = side.server.memory_bytes()
        used[side.name] = side.write(requests)
        memory[side.name] = (side.server.memory_bytes() - empty) / arguments.series
    lines.append(
        f"ingest: {total / used['sdlab'] / 1e3:.0f} k samples a second of processor time (goal 500), Prometheus "
        f"{total / used['prometheus'] / 1e3:.0f} k")
    lines.append(
        f"memory: {memory['sdlab']:.0f} bytes a series with {arguments.samples} samples, Prometheus "
        f"{memory['prometheus']:.0f}: {memory['sdlab'] / memory['prometheus']:.2f} of it (goal 0.6)")
    lines += compare_queries(sides, end // 1000, arguments.rounds)
    starts = {}
    running = {side.name: side.stored_bytes() / total for side in sides}
    for side in sides:
        side.kill()
        killed = side.start()
        side.stop()
        stored = side.stored_bytes()
        clean = side.start()
        starts[side.name] = (killed, clean, stored / total)
    ours, theirs = starts["sdlab"], starts["prometheus"]
    lines.append(
        f"start with {total / 1e6:.1f} M samples: after a kill {ours[0]:.2f} s, Prometheus {theirs[0]:.2f}; after a clean "
        f"stop {ours[1]:.2f} s, Prometheus {theirs[1]:.2f}")
    lines.append(
        f"disk: {running['sdlab']:.2f} bytes a sample, log included, Prometheus {running['prometheus']:.2f}: "
        f"{running['sdlab'] / running['prometheus']:.2f} of it; after a clean stop {ours[2]:.2f} and {theirs[2]:.2f}: "
        f"{ours[2] / theirs[2]:.2f}")
    return lines + compare_scrapes(sides, arguments.seconds)


def measure_starts(side, arguments):
    """So many series that memory and starts are what counts, without the other side."""
    end = time.time_ns() // 10**6 // STEP_MILLISECONDS * STEP_MILLISECONDS
    total = arguments.series * arguments.samples
    side.start()
    empty = side.server.memory_bytes()
    used = side.write(make_requests(arguments.series, arguments.samples, end))
    memory = side.server.memory_bytes() - empty
    before = canonical(side.query("instant", "count by (job) ({__name__=~\".+\"})", end // 1000, 1)[0])
    lines = [f"ingest: {total / used / 1e3:.0f} k samples a second of processor time",
             f"memory: {memory / 2**20:.0f} MiB, {memory / arguments.series:.0f} bytes a series"]
    for name, stop, goal in (("a kill", side.kill, 10), ("a clean stop", side.stop, 2)):
        stop()
        took = side.start()
        used = side.cpu()
        if canonical(side.query("instant", "count by (job) ({__name__=~\".+\"})", end // 1000, 1)[0]) != before:
            raise Failure(f"series are missing after {name}")
        lines.append(f"start after {name}: {took:.2f} s, {used:.2f} of processor time (goal {goal} s)")
    lines.append(f"log and blocks: {side.stored_bytes() / 2**20:.0f} MiB")
    return lines


def main():
    parser = options("metrics")
    parser.add_argument("--series", type=int, default=20_000, help="how many (20,000)")
    parser.add_argument("--samples", type=int, default=240, help="of each, 15 s apart (240: an hour)")
    parser.add_argument("--starts", action="store_true", help="only ours, its memory and its starts")
    parser.add_argument("--rounds", type=int, default=10, help="askings of each query (10)")
    parser.add_argument("--seconds", type=int, default=10, help="of scraping (10)")
    arguments = parser.parse_args()
    lines = [f"metrics: {arguments.series} series, {arguments.samples} samples each",
             occasion(), ""]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        directory = pathlib.Path(name)
        farm = Farm(arguments.program, None, directory)
        try:
            if arguments.starts:
                lines += measure_starts(Side(farm, "sdlab", directory), arguments)
            else:
                lines += measure([Side(farm, "sdlab", directory), Side(farm, "prometheus", directory)], arguments)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            farm.stop()
    publish(lines, "metrics")


main()
