"""What a redirect costs: the shortener with a link in memory, whose clicks are written down and counted, beside nginx's
`return 301`, which counts nothing.

Both run at the same time and take turns (A B A B ...). Processor time is user and kernel time of all processes of a side.
After the rounds the shortener's own count has to be the number of requests that its clients have seen answered."""

import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from servers import (
    DEADLINE_SECONDS, Failure, Farm, die_with_parent, executable, free_port, occasion, options, pair_line, publish)

TARGET = "https://example.com/a/path/as/they/are?with=parameters"


def ask(server, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.getheader("Location"), response.read()
    finally:
        connection.close()


def start(farm):
    port = free_port()
    ours = farm.start("sdlab", [
        farm.program, "urlshortener", "--port", str(port), "--db", str(farm.directory / "links.db"),
        "--clicks", str(farm.directory / "clicks")], port)
    peer = farm.redirector(TARGET)
    deadline = time.monotonic() + DEADLINE_SECONDS
    body = json.dumps({"url": TARGET, "alias": "go"})
    while True:
        try:
            if ask(ours, "POST", "/api/shorten", body)[0] in (201, 409) and ask(peer, "GET", "/go")[0] == 301:
                return [ours, peer]
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise Failure("the servers do not answer")
        time.sleep(0.05)


def measure(server, connections, seconds):
    """CPU us a redirect, redirects a second, and how many there were."""
    status, location, _ = ask(server, "HEAD", "/go")
    if (status, location) != (301, TARGET):
        raise Failure(f"{server.name} answers {status} {location}")
    before = sum(server.cpu_seconds())
    client = subprocess.run(
        [executable("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{server.port}/go"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + DEADLINE_SECONDS,
        preexec_fn=die_with_parent)
    used = sum(server.cpu_seconds()) - before
    found = re.search(r"(\d+) requests in ", client.stdout)
    if not found or re.search(r"Socket errors|Non-2xx", client.stdout):
        raise Failure(f"wrk on {server.name} failed:\n{client.stdout}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", client.stdout)[1])
    return {"cost": used / int(found[1]) * 1e6, "rate": rate, "count": int(found[1])}


def main():
    parser = options("url")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    arguments = parser.parse_args()
    lines = [
        f"url: redirects; {arguments.pairs} rounds of {arguments.seconds} s",
        occasion(), "",
        "CPU us a redirect (redirects/s), medians; ratios of CPU and of rates (smallest, largest)",
        f"{'':<16} {'sdlab':>16} {'nginx':>16} {'CPU':>18} {'rate':>18}",
    ]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        farm = Farm(arguments.program, None, pathlib.Path(name))
        try:
            sides = start(farm)
            served = 0
            for connections in (1, 32):
                for side in sides:
                    served += measure(side, connections, 1)["count"] if side is sides[0] else 0
                rounds = [[measure(side, connections, arguments.seconds) for side in sides]
                          for _ in range(arguments.pairs)]
                served += sum(round_[0]["count"] for round_ in rounds)
                lines.append(pair_line(f"{connections} connections", rounds, 16))
                print(lines[-1], file=sys.stderr, flush=True)
            clicks = json.loads(ask(sides[0], "GET", "/api/stats/go")[2])["clicks"]
            # What was on its way when a client stopped was a visit, too.
            if not served <= clicks <= served + 64 * (arguments.pairs + 1):
                raise Failure(f"{served} redirects were seen, and {clicks} clicks counted")
            lines.append(f"{served} redirects were seen by their clients, {clicks} clicks counted")
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            farm.stop()
    publish(lines, "url")


main()
