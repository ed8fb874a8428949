"""What the whole shop does on one machine: checkouts a second through the gateway with every one traced, how long they
take at half of that, what the idle platform holds in memory, and how soon it is ready. And the same platform with many
more nodes in a lab in memory: what a node costs, and how long a minute of its life takes."""

import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

from servers import DEADLINE_SECONDS, Failure, die_with_parent, executable, occasion, options, publish

SCALED = ["products", "inventory", "orders", "payments", "users", "notifications"]
# A checkout, as often as it is wanted and at most so often; the token and the pause are put in. The pauses are of any
# length up to twice the mean one: with equal ones all connections, which begin together, ask together ever after, and
# what is measured is how long the last of so many waits for the others.
LUA = """
wrk.method = "POST"
wrk.path = "/checkout"
wrk.body = '{"items": [{"product_id": "p4"}], "payment_method": "card_xxx"}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
function delay() return math.random(0, 2 * %d) end
"""


class Platform:
    """`docker-compose up` on sockets and files of this machine."""

    def __init__(self, program, directory):
        self.root = directory / "lab"
        self.root.mkdir()
        self.log = directory / "lab.log"
        command = [program, "--no-rc", "--root", str(self.root)]
        subprocess.run([*command, "-c", "docker-compose init"], check=True, stdout=subprocess.DEVNULL)
        gateway = self.root / "gateway.yaml"
        # One customer buys everything, and is not to be stopped.
        gateway.write_text(re.sub(r"rate_limit: \d+/min", "rate_limit: 100000000/min", gateway.read_text()))
        script = "\n".join([
            "echo BEGIN", "docker-compose up", "echo READY", "nodes --json",
            "curl -s -X PUT http://inventory:8083/stock/p4 -d '{\"available\": 100000000}'", "echo STOCKED",
            "sleep 100000", ""])
        output = open(self.log, "wb")
        self.process = subprocess.Popen(
            [*command, "--net", "loopback", "--clock", "real"], stdin=subprocess.PIPE, stdout=output, stderr=output,
            preexec_fn=die_with_parent)
        self.process.stdin.write(script.encode())
        self.process.stdin.close()
        began = self.wait_for("BEGIN")
        self.ready_seconds = self.wait_for("READY") - began
        self.wait_for("STOCKED")
        found = re.search(r"^\[\{.*\}\]$|^\{.*\}$", self.text(), re.M)
        nodes = json.loads(found[0]) if found else []
        self.addresses = {one["node"]: one["address"] for one in (nodes if isinstance(nodes, list) else nodes["nodes"])}

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, word):
        deadline = time.monotonic() + 4 * DEADLINE_SECONDS
        while True:
            if re.search(rf"^{word}$", self.text(), re.M):
                return time.monotonic()
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"the platform did not say {word}:\n{self.text()[-2000:]}")
            time.sleep(0.005)

    def resident_bytes(self):
        pages = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, node, path, body=None):
        """Over the gateway's TLS for `api`, whose certificate is the lab's own."""
        scheme, port = ("https", 443) if node == "api" else ("http", {"orders": 8084, "jaeger": 16686}[node])
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(
            f"{scheme}://{self.addresses[node]}:{port}{path}", data=body and json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS, context=context) as answer:
            return answer.read().decode()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()


def count(platform, name):
    for line in platform.ask("orders", "/metrics").splitlines():
        if line.startswith(name + " "):
            return int(float(line.split()[-1]))
    return 0


def load(platform, token, directory, connections, seconds, pause_milliseconds=0):
    """Confirmed checkouts a second, and milliseconds of the 50th and 99th of a hundred."""
    script = directory / "checkout.lua"
    script.write_text(LUA % (token, pause_milliseconds))
    before, began = count(platform, "orders_confirmed_total"), time.monotonic()
    client = subprocess.run(
        [executable("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s",
         str(script), f"https://{platform.addresses['api']}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=seconds + 4 * DEADLINE_SECONDS, preexec_fn=die_with_parent)
    passed = time.monotonic() - began
    if trouble := re.search(r"(Socket errors|Non-2xx).*", client.stdout):
        raise Failure(f"not measured by wrong answers: {trouble[0]}\n{platform.text()[-500:]}")

    def percentile(which):
        found = re.search(rf"{which}%\s+([\d.]+)(us|ms|s)", client.stdout)
        return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000}[found[2]] if found else float("nan")

    confirmed = count(platform, "orders_confirmed_total") - before
    return confirmed / passed, percentile(50), percentile(99)


def whole(arguments, directory, lines):
    platform = Platform(arguments.program, directory)
    try:
        lines.append(f"docker-compose up to ready: {platform.ready_seconds:.2f} s, {len(platform.addresses)} nodes")
        time.sleep(5)
        used, began = platform.cpu_seconds(), time.monotonic()
        time.sleep(5)
        idle = (platform.cpu_seconds() - used) / (time.monotonic() - began)
        resident = platform.resident_bytes() / 1e6
        lines.append(f"idle: {resident:.0f} MB of the whole platform, {idle * 100:.1f} % of a core")
        token = json.loads(platform.ask("api", "/register", {"email": "bench@example.com"}))["token"]
        load(platform, token, directory, 16, 2)
        used = platform.cpu_seconds()
        before = count(platform, "orders_confirmed_total")
        rate, median, last = load(platform, token, directory, arguments.connections, arguments.seconds)
        cost = (platform.cpu_seconds() - used) / max(1, count(platform, "orders_confirmed_total") - before)
        lines.append(
            f"checkouts, all traced: {rate:.0f} a second over {arguments.connections} connections, median "
            f"{median:.0f} ms, p99 {last:.0f} ms, {cost * 1e3:.2f} ms of processor time each")
        pause = round(32 / max(1, rate / 2) * 1000)
        rate, median, last = load(platform, token, directory, 32, arguments.seconds, pause)
        lines.append(f"at half of it: {rate:.0f} a second, median {median:.1f} ms, p99 {last:.1f} ms")
        lines.append(f"afterwards: {platform.resident_bytes() / 1e6:.0f} MB")
        traces = json.loads(platform.ask("jaeger", "/api/traces?service=api&operation=POST%20%2Fcheckout&limit=1"))
        spans = traces["data"][0]["spans"] if traces["data"] else []
        lines.append(f"the last trace has {len(spans)} spans")
    finally:
        platform.stop()


def lab(command, script):
    """Seconds, processor time, peak bytes and output of a lab that is given a script."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(script.encode())
        given.seek(0)
        pid = os.posix_spawn(
            command[0], command, os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, given.fileno(), 0), (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                          (os.POSIX_SPAWN_DUP2, output.fileno(), 2)])
        _, status, usage = os.wait4(pid, 0)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if status != 0:
        raise Failure(f"the lab ended with {os.waitstatus_to_exitcode(status)}:\n{text[-2000:]}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, text


def scaled(arguments, total):
    """A lab in memory with so many nodes: with a minute of virtual time and without it."""
    fixed = 17
    each, rest = divmod(max(0, total - fixed), len(SCALED))
    scale = " ".join(
        f"--scale {name}={1 + each + (1 if index < rest else 0)}" for index, name in enumerate(SCALED))
    command = [arguments.program, "--no-rc", "--net", "memory", "--clock", "virtual"]
    begin = f"docker-compose up {scale} > up.log\nadvance 20s > more.log\n"
    end = "nodes --json | jq length\n"
    _, start_cpu, _, _ = lab(command, begin + end)
    _, all_cpu, peak, text = lab(command, begin + "advance 60s > minute.log\n" + end)
    return int(text.split()[-1]), start_cpu, all_cpu - start_cpu, peak


def many(arguments, lines):
    rows = [scaled(arguments, total) for total in arguments.nodes]
    first = rows[0]
    for count_, start, minute, peak in rows:
        line = (f"{count_} nodes in memory: started in {start:.1f} s, a minute of their life in {minute:.2f} s, "
                f"{minute / count_ * 1e3:.1f} ms and {peak / count_ / 1e6:.2f} MB a node")
        if count_ > first[0]:
            # What each further node adds, beside what the program itself takes.
            line += f"; each further one {(peak - first[3]) / (count_ - first[0]) / 1e6:.2f} MB"
        lines.append(line)


def main():
    parser = options("shop")
    parser.add_argument("--connections", type=int, default=64, help="that ask at the same time (64)")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement (10)")
    parser.add_argument("--nodes", type=int, nargs="*", default=[50, 250, 1000], help="of the lab in memory")
    parser.add_argument("--only", choices=["whole", "many"], help="one of both parts")
    arguments = parser.parse_args()
    lines = [
        "the whole shop in one process: gateway with TLS, six services, database, queue, cache, registry, traces, "
        "metrics",
        occasion(), ""]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        try:
            if arguments.only != "many":
                whole(arguments, pathlib.Path(name), lines)
            if arguments.only != "whole":
                many(arguments, lines)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
    publish(lines, "shop")


main()
