"""Doors of the components that speak a protocol of their own, or have an interface of their own over HTTP."""

import random as chance

import messages
from process import Finding, Service, free_port


def watched(program, words, scratch, port, round, alive, exchange, asks):
    """Runs a component, has `round` send to it, and asks whether it still answers; then it must stop, and start again."""
    service = Service(program, words, scratch, port)
    try:
        round(service)
        request, expected = alive
        if not asks(port, request, expected):
            raise Finding("hang", f"{words[0]} answers no more", service.sent, service.log())
        service.stop()
        again = Service(program, words, scratch, port)
        try:
            again.check(service.sent)
            if not asks(port, request, expected):
                raise Finding("hang", f"{words[0]} does not answer after a restart", service.sent, service.log())
            again.stop(service.sent)
        finally:
            again.end()
    finally:
        service.end()


# The gateway with all that a route can be; `@port@` is its own, so that it stands in front of itself.
GATEWAY = """
trusted_proxies: [127.0.0.0/8]
server_timing: true
jwt: {keys: jwks.json, cache: 4}
api_keys: {keys: [{name: alice, sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b}]}
introspection: {url: "http://127.0.0.1:@port@/open/introspect", timeout: 200ms}
services:
  self: {servers: ["127.0.0.1:@port@"], max_connections: 5, health_check: {path: /open, interval: 1s}}
  none: {url: "http://127.0.0.1:1", connect_timeout: 100ms}
routes:
- {path: /open/*, auth: none, redirect: {prefix: /elsewhere}, cors: {origins: ["https://*.shop.lab"], credentials: true}}
- {path: /open/*, name: open-2, version: v2, auth: none, service: none, rate_limit: 100/second}
- {path: /deep/*, auth: none, service: self, strip: /deep, retry_on: [502, 503], mirror: none, timeout: 1s}
- {path: /api/*, auth: [jwt, api-key], service: self, rewrite: {prefix: /deep}, rate_limit_by_address: 500/second, timeout: 1s}
- {path: /keys/*, auth: api-key, service: self, rewrite: {match: "^/keys/(.*)", with: "/open/$1"}, timeout: 1s}
- {path: /opaque/*, auth: introspection, service: none}
- {path: /split/*, auth: none, split: {self: 50, none: 50}, sticky: {cookie: id}, strip: /split, timeout: 1s}
- {path: "~ /re/[0-9]+/.*", auth: none, service: self, headers: {X-Beta: "1"}, rewrite: {path: /open}, max_body: 10}
- path: /dashboard
  auth: none
  aggregate:
    timeout: 500ms
    parts: [{group: a, service: self, path: /open/me}, {group: b, service: none, path: "/x?u={a.id}"}]
- {path: /old/*, auth: none, redirect: {prefix: /open, status: 308}}
"""
# RFC 8037's key.
GATEWAY_KEYS = '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'


def make(exchange, asks):
    """The doors, on the two functions by which all doors speak to a service."""

    def pieces(random, service, port, message, count):
        for _ in range(count):
            exchange(service, port, message(random))
            service.check()

    def cache(program, source, seed, scratch):
        """Commands of all types to the cache node, and memcached's."""
        random, port, other = chance.Random(seed), free_port(), free_port()
        words = ["cache-node", "--port", str(port), "--memcached-port", str(other), "--maxmemory", "16MiB", "--maxmemory-policy", random.choice(["allkeys-lru", "allkeys-lfu", "volatile-ttl", "noeviction"])]
        if random.random() < 0.3:
            words += ["--cluster-port", str(free_port())]

        def round(service):
            pieces(random, service, port, lambda r: [messages.cache(r) for _ in range(r.randrange(1, 20))], 50)
            pieces(random, service, other, lambda r: [messages.memcached(r) for _ in range(r.randrange(1, 8))], 20)

        watched(program, words, scratch, port, round, (b"PING\r\n", b"+PONG"), exchange, asks)

    def amqp(program, source, seed, scratch):
        """Connections to the broker, with a log on the disk or without."""
        random, port = chance.Random(seed), free_port()
        words = ["messageq", "--port", str(port), "--management", str(free_port())] + random.choice([[], ["--data-dir", str(scratch / "mq")]])
        watched(
            program, words, scratch, port, lambda service: pieces(random, service, port, messages.amqp, 50),
            (b"AMQP\0\0\x09\x01", b"\x01\0\0"), exchange, asks)

    def sql(program, source, seed, scratch):
        """Connections to the database."""
        random, port = chance.Random(seed), free_port()
        words = ["postgres", "--port", str(port), "--data-dir", str(scratch / "pg"), "--statement-timeout", "5s"]
        start = b"\0\x03\0\0user\0postgres\0\0"
        alive = ((len(start) + 4).to_bytes(4, "big") + start, b"R")
        watched(program, words, scratch, port, lambda service: pieces(random, service, port, messages.postgres, 40), alive, exchange, asks)

    def apis(program, source, seed, scratch):
        """Each component's own interface over HTTP."""
        random, port = chance.Random(seed), free_port()
        kind = random.choice(sorted(name for name in messages.APIS if name != "api-gateway" and not name.startswith("shop-")))
        (scratch / "c.yaml").write_text(f"scrape_configs: [{{job_name: a, scrape_interval: 1s, static_configs: [{{targets: ['localhost:{port}']}}]}}]\n")
        words = {
            "metrics-collector": ["--config", "c.yaml", "--data-dir", str(scratch / "m")], "feature-flags": ["--data-dir", str(scratch / "f")], "urlshortener": ["--db", str(scratch / "u.db"), "--clicks", str(scratch / "clicks")],
            "log-collector": ["--storage", str(scratch / "logs"), "--http-port", str(port)], "jaeger": ["--storage", str(scratch / "t"), "--otlp-port", str(free_port())], "toxiproxy": [],
            "registry": ["--dns-port", str(free_port())], "lockserver": ["--peers", f"localhost:{port}", "--id", "1", "--data-dir", str(scratch / "l")], "messageq": ["--management", str(port)],
        }[kind]
        words = [kind] + words + ["--port", str(free_port() if kind in ("messageq", "log-collector") else port)]
        watched(
            program, words, scratch, port,
            lambda service: pieces(random, service, port, lambda r: [messages.api(r, kind) for _ in range(r.randrange(1, 5))], 60),
            (b"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 "), exchange, asks)

    def gateway(program, source, seed, scratch):
        """Requests through the API gateway, which has itself behind it."""
        random, port = chance.Random(seed), free_port()
        (scratch / "gateway.yaml").write_text(GATEWAY.replace("@port@", str(port)))
        (scratch / "jwks.json").write_text(GATEWAY_KEYS)
        watched(
            program, ["api-gateway", "--config", "gateway.yaml", "--port", str(port)], scratch, port,
            lambda service: pieces(random, service, port, lambda r: [messages.api(r, "api-gateway") for _ in range(r.randrange(1, 5))], 60),
            (b"GET /old/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 308"), exchange, asks)

    def shop(program, source, seed, scratch):
        """The interfaces of the shop's services, on a database of the lab."""
        random, port, place = chance.Random(seed), free_port(), free_port()
        kind = random.choice(sorted(name for name in messages.APIS if name.startswith("shop-")))
        database = Service(program, ["postgres", "--port", str(place), "--data-dir", str(scratch / "pg")], scratch, place)
        try:
            words = [kind, "--port", str(port), "--db", f"postgres://127.0.0.1:{place}/{kind[5:]}"]
            words += {"shop-products": ["--inventory", "127.0.0.1:1", "--demo"], "shop-orders": ["--mq", "127.0.0.1:1"]}.get(kind, [])
            watched(
                program, words, scratch, port,
                lambda service: pieces(random, service, port, lambda r: [messages.api(r, kind) for _ in range(r.randrange(1, 5))], 60),
                (b"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 "), exchange, asks)
            database.check(b"")
        finally:
            database.end()

    def dns(program, source, seed, scratch):
        """Questions to the registry, over UDP."""
        random, port, place = chance.Random(seed), free_port(), free_port()

        def round(service):
            for _ in range(100):
                exchange(service, place, [messages.dns(random)], udp=True)
                service.check()

        watched(
            program, ["registry", "--port", str(port), "--dns-port", str(place)], scratch, port, round,
            (b"GET /v1/status/leader HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"HTTP/1.1 "), exchange, asks)

    return {"cache": cache, "amqp": amqp, "sql": sql, "apis": apis, "gateway": gateway, "shop": shop, "dns": dns}
