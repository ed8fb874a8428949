"""Processor time a request, beside the best known program for the same job.

Both sides run at the same time and are asked by the same client in turn (A B A B ...), so that a slow minute of the
machine hits both; the result is the median of the pairs' ratios. Processor time is user and kernel time of all the
processes of a side, from /proc. Absolute times are only good for comparisons within one run.
"""

import argparse
import ctypes
import datetime
import http.client
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CONNECTIONS = 32
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
DEADLINE_SECONDS = 15


class Failure(Exception):
    """Something that makes the measurement worthless; the text is for the user."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """For a child: if this program is killed the hard way, it goes, too."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Server:
    """A program under test or one that it needs: its process, those that this one started, and its port."""

    def __init__(self, name, command, port, log):
        self.name, self.port = name, port
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                preexec_fn=die_with_parent)

    def wait_until_ready(self, bodies):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended at once:\n{self.log.read_text(errors='replace')}")
            try:
                return self.verify(bodies)
            except (OSError, http.client.HTTPException, Failure) as error:
                if time.monotonic() > deadline:
                    raise Failure(f"{self.name} does not answer as it should: {error}") from error
                time.sleep(0.02)

    def verify(self, bodies):
        """Asks twice as often as there are expected bodies; each must come, and nothing else, with status 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            seen = set()
            for _ in range(2 * len(bodies)):
                connection.request("GET", "/")
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or body not in bodies:
                    raise Failure(f"{self.name} answered {response.status} {body[:80]!r}")
                seen.add(body)
            if seen != bodies:
                raise Failure(f"{self.name} never answered {bodies - seen}")
        finally:
            connection.close()

    def cpu_seconds(self):
        """In user mode and in the kernel."""
        ticks = [self._ticks(process) for process in self._processes()]
        return [sum(column) / TICKS_PER_SECOND for column in zip(*ticks)]

    def _processes(self):
        found = [self.process.pid]
        for process in found:
            for children in pathlib.Path(f"/proc/{process}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    @staticmethod
    def _ticks(process):
        # The second field is the name in parentheses and may hold blanks: count from the last parenthesis.
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]), int(fields[12])

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Bench:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.servers = []
        self.clients = []

    def start(self, name, command, port):
        server = Server(name, command, port, self.directory / f"{name.replace(' ', '-')}.log")
        self.servers.append(server)
        return server

    def stop(self):
        for process in self.clients:
            if process.poll() is None:
                process.kill()
                process.wait()
        for server in reversed(self.servers):
            server.stop()

    def nginx(self, letter, name="nginx"):
        port = free_port()
        place = self.directory / f"nginx-{letter}"
        place.mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "".join(
            f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (place / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log; {user}
            events {{ worker_connections 4096; }}
            http {{
                access_log off; keepalive_requests 100000000; default_type text/plain; {temporary}
                server {{ listen 127.0.0.1:{port}; location / {{ return 200 "Response from {letter}\\n"; }} }}
            }}
        """)
        command = [executable("nginx"), "-p", str(place), "-e", f"{place}/error.log", "-c", f"{place}/nginx.conf"]
        return self.start(name, command, port)

    def backend(self):
        port = free_port()
        return self.start("sdlab backend", [self.program, "backend", "--port", str(port), "--name", "A"], port)

    def haproxy(self, backends):
        port = free_port()
        servers = "\n".join(
            f"    server s{number} 127.0.0.1:{backend.port} check inter 5s fall 3 rise 2"
            for number, backend in enumerate(backends))
        # What our balancer does at any rate, it does here, too: health checks and X-Forwarded-For.
        configuration = self.directory / "haproxy.cfg"
        configuration.write_text(f"""
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 60s
    option http-keep-alive
    option forwardfor
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    balance roundrobin
    http-reuse always
    option httpchk GET /
{servers}
""")
        return self.start("haproxy", [executable("haproxy"), "-db", "-f", str(configuration)], port)

    def balancer(self, backends):
        port = free_port()
        ports = ",".join(str(backend.port) for backend in backends)
        command = [self.program, "loadbalancer", "--backends", ports, "--port", str(port), "--mode", "http"]
        return self.start("sdlab loadbalancer", command, port)

    def measure(self, server, seconds, bodies):
        """One run of the client: CPU seconds per 100,000 requests, all and in user mode; requests a second."""
        server.verify(bodies)
        before = server.cpu_seconds()
        client = subprocess.Popen(
            [executable("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{server.port}/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=die_with_parent)
        self.clients.append(client)
        output, _ = client.communicate(timeout=seconds + DEADLINE_SECONDS)
        user, system = (after - start for after, start in zip(server.cpu_seconds(), before))
        server.verify(bodies)
        requests = re.search(r"(\d+) requests in ", output)
        if client.returncode != 0 or not requests or int(requests[1]) == 0:
            raise Failure(f"wrk on {server.name} failed:\n{output}")
        if trouble := re.search(r"(Socket errors|Non-2xx).*", output):
            raise Failure(f"{server.name} is not measured by wrong answers: {trouble[0]}")
        rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
        scale = 100_000 / int(requests[1])
        return {"cpu": (user + system) * scale, "user": user * scale, "rate": float(rate[1])}


def executable(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Failure(f"{name} is missing; scripts/setup bench installs it")
    return found


def version(command):
    """The first line of what a program says about its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} x {model[1] if model else platform.machine()}, Linux {platform.release()}"


def report(result):
    ours, theirs = result["sides"]
    lines = [
        f"{result['bench']}: {ours} beside {theirs}, {result['pairs']} pairs of {result['seconds']} s,"
        f" wrk -t1 -c{CONNECTIONS}",
        f"{result['date']}; {result['machine']}",
        *(f"{name}: {text}" for name, text in result["versions"].items()),
        "",
        f"{'':>4}  {'CPU s per 100 k requests':^31}  {'of that, user':^19}  {'requests/s':^21}",
        f"{'pair':>4}  {'sdlab':>9} {theirs:>9} {'ratio':>11}  {'sdlab':>9} {theirs:>9}  {'sdlab':>10} {theirs:>10}",
    ]
    for number, (a, b) in enumerate(result["runs"], 1):
        lines.append(
            f"{number:>4}  {a['cpu']:>9.3f} {b['cpu']:>9.3f} {a['cpu'] / b['cpu']:>11.3f}"
            f"  {a['user']:>9.3f} {b['user']:>9.3f}  {a['rate']:>10.0f} {b['rate']:>10.0f}")
    for what in ("cpu", "rate"):
        ratio = result[f"{what}_ratio"]
        name = {"cpu": "CPU a request", "rate": "requests/s"}[what]
        lines.append(f"{name}: {ratio['median']:.3f} x {theirs} (median; {ratio['min']:.3f} to {ratio['max']:.3f})")
    return "\n".join(lines)


def ratios(runs, what):
    values = [a[what] / b[what] for a, b in runs]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def run(arguments, bench):
    if arguments.what == "http":
        bodies = {b"Response from A\n"}
        sides = [bench.backend(), bench.nginx("A")]
        peer_version = version([executable("nginx"), "-v"])
    else:
        bodies = {b"Response from A\n", b"Response from B\n"}
        backends = [bench.nginx(letter, f"nginx {letter}") for letter in "AB"]
        for letter, backend in zip("AB", backends):
            backend.wait_until_ready({f"Response from {letter}\n".encode()})
        sides = [bench.balancer(backends), bench.haproxy(backends)]
        peer_version = version([executable("haproxy"), "-v"])
    for side in sides:
        side.wait_until_ready(bodies)
        bench.measure(side, 1, bodies)
    runs = []
    for number in range(arguments.pairs):
        runs.append([bench.measure(side, arguments.seconds, bodies) for side in sides])
        a, b = runs[-1]
        print(f"pair {number + 1} of {arguments.pairs}: {a['cpu'] / b['cpu']:.3f}", file=sys.stderr, flush=True)
    return {
        "bench": arguments.what,
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "sides": [side.name for side in sides],
        "versions": {"sdlab": version([arguments.program, "--version"]), sides[1].name: peer_version},
        "pairs": arguments.pairs,
        "seconds": arguments.seconds,
        "runs": runs,
        "cpu_ratio": ratios(runs, "cpu"),
        "rate_ratio": ratios(runs, "rate"),
    }


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("program", help=argparse.SUPPRESS)
    parser.add_argument("what", choices=["http", "lb"])
    parser.add_argument("--pairs", type=positive, default=5)
    parser.add_argument("--seconds", type=positive, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()

    def stop(number, _):
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as directory:
        bench = Bench(arguments.program, pathlib.Path(directory))
        try:
            result = run(arguments, bench)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            bench.stop()
    text = json.dumps(result, indent=2) if arguments.json else report(result)
    print(text)
    results = pathlib.Path(__file__).resolve().parent.parent / "bench-results"
    results.mkdir(exist_ok=True)
    name = f"{result['date'][:19].replace(':', '')}-{arguments.what}"
    (results / f"{name}.{'json' if arguments.json else 'txt'}").write_text(text + "\n")


main()
