"""Messages of the binary protocols and of the HTTP interfaces that components speak, right in form and odd in content."""

import struct

import mutate

# --- AMQP 0-9-1 -------------------------------------------------------------------------------------------------------

# Class, method, and its arguments: s short text, l long text, o octet, h two bytes, w four, q eight, b bits in a byte, t table.
AMQP_METHODS = {
    "start-ok": (10, 11, "tsls"), "tune-ok": (10, 31, "hwh"), "open": (10, 40, "ssb"), "close": (10, 50, "hshh"), "close-ok": (10, 51, ""),
    "channel.open": (20, 10, "s"), "flow": (20, 20, "b"), "channel.close": (20, 40, "hshh"),
    "exchange.declare": (40, 10, "hssbt"), "exchange.delete": (40, 20, "hsb"), "exchange.bind": (40, 30, "hsssbt"), "exchange.unbind": (40, 40, "hsssbt"),
    "queue.declare": (50, 10, "hsbt"), "queue.bind": (50, 20, "hsssbt"), "queue.purge": (50, 30, "hsb"), "queue.delete": (50, 40, "hsb"), "queue.unbind": (50, 50, "hssst"),
    "qos": (60, 10, "whb"), "consume": (60, 20, "hssbt"), "cancel": (60, 30, "sb"), "publish": (60, 40, "hssb"), "get": (60, 70, "hsb"), "ack": (60, 80, "qb"),
    "reject": (60, 90, "qb"), "recover": (60, 110, "b"), "nack": (60, 120, "qb"), "confirm": (85, 10, "b"), "tx": (90, 10, ""), "commit": (90, 20, ""), "rollback": (90, 30, ""),
}
AMQP_NAMES = ["q", "orders", "", "amq.direct", "amq.topic", "x", "q.dlq", "amq.rabbitmq.reply-to", "a.*.#", "é" * 100]
AMQP_ARGUMENTS = [
    "x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-overflow", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-priority",
    "x-delivery-limit", "x-queue-type", "x-single-active-consumer", "x-stream-offset", "x-max-age", "x-group", "x-priority", "alternate-exchange", "x-match", "x-consumer-timeout"]


def amqp_table(random, depth=0):
    fields = b""
    for _ in range(random.randrange(4)):
        name = random.choice(AMQP_ARGUMENTS + AMQP_NAMES).encode()[:255]
        kind = random.choice("tIlSFxVdsUTA")
        body = {
            "t": bytes([random.randrange(3)]), "I": struct.pack(">i", random.choice([0, 1, -1, 5, 1 << 30, -(1 << 31)])), "s": struct.pack(">h", random.randrange(-9, 9)),
            "l": struct.pack(">q", random.choice([0, 1, -1, 1 << 62, -(1 << 63)])), "U": struct.pack(">h", -1), "T": struct.pack(">Q", random.choice([0, (1 << 64) - 1])),
            "d": struct.pack(">d", random.choice([0.0, float("nan"), 1e308])), "V": b"",
        }.get(kind)
        if body is None:
            inner = random.choice([b"classic", b"stream", b"quorum", b"drop-head", b"reject-publish", b"1D", b"first", b"all", b"", b"x" * 300])
            if kind in "FA" and depth < 3:
                body = amqp_table(random, depth + 1) if kind == "F" else struct.pack(">I", 1) + b"V"
            else:
                kind, body = "S", struct.pack(">I", len(inner)) + inner
        fields += bytes([len(name)]) + name + kind.encode() + body
    return struct.pack(">I", len(fields)) + fields


def amqp_method(random, name):
    kind, method, arguments = AMQP_METHODS[name]
    body = struct.pack(">HH", kind, method)
    for argument in arguments:
        word = random.choice(AMQP_NAMES).encode()[:255]
        if argument == "l":
            word = random.choice([b"\0guest\0guest", b"\0guest\0wrong", b""])
            body += struct.pack(">I", len(word)) + word
        elif argument == "t":
            body += amqp_table(random)
        elif argument == "s":
            if name == "start-ok":
                word = random.choice([b"PLAIN", b"en_US", b"AMQPLAIN"])
            if name == "open":
                word = random.choice([b"/", b"/", b""])
            body += bytes([len(word)]) + word
        else:
            form = {"o": ">B", "b": ">B", "h": ">H", "w": ">I", "q": ">Q"}[argument]
            most = (1 << 8 * struct.calcsize(form)) - 1
            body += struct.pack(form, random.choice([0, 0, 1, 2, 3, most, most - 1]))
    return body


def amqp_frame(kind, channel, body):
    return struct.pack(">BHI", kind, channel, len(body)) + body + b"\xce"


def amqp(random):
    """A connection's bytes in pieces: a good beginning, then methods in any order."""
    plain = b"\0\0\0\0\x05PLAIN" + struct.pack(">I", 12) + b"\0guest\0guest" + b"\x05en_US"
    pieces = [b"AMQP\0\0\x09\x01", amqp_frame(1, 0, struct.pack(">HH", 10, 11) + plain), amqp_frame(1, 0, struct.pack(">HHHIH", 10, 31, 2047, 131072, 0)),
              amqp_frame(1, 0, struct.pack(">HH", 10, 40) + b"\x01/\0\0"), amqp_frame(1, 1, struct.pack(">HH", 20, 10) + b"\0")]
    for _ in range(random.randrange(1, 12)):
        name = random.choice(list(AMQP_METHODS)[5:])
        channel = random.choice([1, 1, 1, 1, 2, 0, 65535])
        data = amqp_frame(1, channel, amqp_method(random, name))
        if name == "publish":
            size = random.choice([0, 1, 10, 1000, 200_000])
            told = random.choice([size, size, size, 0, (1 << 64) - 1])
            data += amqp_frame(2, channel, struct.pack(">HHQH", 60, 0, told, 0))
            for start in range(0, size, 100_000):
                data += amqp_frame(3, channel, b"x" * min(100_000, size - start))
        if random.random() < 0.1:
            data += amqp_frame(8, 0, b"")
        pieces.append(data)
    if random.random() < 0.4:
        at = random.randrange(len(pieces))
        pieces[at] = mutate.change_bytes(random, pieces[at], random.randrange(1, 4))
    return pieces


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

SQL = [
    "CREATE TABLE t(id int PRIMARY KEY, name text, n numeric, at timestamptz DEFAULT now())", "INSERT INTO t VALUES (1,'a',1.5) ON CONFLICT (id) DO UPDATE SET name='b' RETURNING *",
    "SELECT * FROM t WHERE id = $1 AND name LIKE '%a%' ORDER BY n DESC LIMIT 10 OFFSET 1", "BEGIN", "COMMIT", "ROLLBACK TO SAVEPOINT a", "SAVEPOINT a", "DROP TABLE IF EXISTS t",
    "SELECT count(*), sum(n)::numeric(10,2), avg(id) FROM t GROUP BY name HAVING count(*) > 0", "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n < 100) SELECT sum(n) FROM r",
    "SELECT generate_series(1, 10)", "SELECT '{\"a\":[1,2]}'::jsonb -> 'a' ->> 0", "SELECT row_number() OVER (PARTITION BY name ORDER BY id) FROM t", "SELECT repeat('x', 1000)", "SELECT 1/0",
    "SELECT pg_advisory_lock(1)", "LISTEN a", "NOTIFY a, 'b'", "SHOW ALL", "SET statement_timeout = 100", "COPY t FROM STDIN", "COPY t TO STDOUT", "SELECT now() + interval '1 day 2 hours'",
    "SELECT lpad('a', 100, 'b') || substring('abc' from 2 for 1)", "UPDATE t SET n = n * 10 WHERE id IN (SELECT id FROM t)", "DELETE FROM t USING t u WHERE t.id = u.id", "SELECT array[1,2,3] || 4, (array[1,2])[1]",
    "SELECT 99999999999999999999 * 99999999999999999999", "SELECT 2147483647 + 1", "SELECT (-9223372036854775808)::int8 / -1", "SELECT power(10, 400)", "SELECT to_char(now(), 'YYYY-MM-DD')", "", ";;",
]


def postgres_message(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body


def postgres(random):
    """A connection's bytes in pieces: start-up, then simple and extended queries, perhaps out of order."""
    start = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0"
    pieces = [struct.pack(">I", len(start) + 4) + start]
    for _ in range(random.randrange(1, 8)):
        sql = random.choice(SQL)
        if random.random() < 0.5:
            sql = mutate.change_text(random, sql, random.randrange(1, 4))
        text = sql.encode(errors="replace").replace(b"\0", b"") + b"\0"
        name = random.choice([b"\0", b"s1\0"])
        kind = random.randrange(6)
        if kind < 3:
            data = postgres_message(b"Q", text)
        elif kind == 3:
            value = random.choice([b"1", b"x", b"", b"\0\0\0\1"])
            data = postgres_message(b"P", name + text + struct.pack(">H", 0))
            data += postgres_message(b"B", b"\0" + name + struct.pack(">HHi", 0, 1, len(value)) + value + struct.pack(">HH", 1, random.randrange(2)))
            data += postgres_message(b"D", b"P\0") + postgres_message(b"E", b"\0" + struct.pack(">i", random.choice([0, 1, -1, 1 << 30]))) + postgres_message(b"S", b"")
        elif kind == 4:
            data = postgres_message(random.choice([b"C", b"D", b"H", b"S", b"F", b"d", b"c", b"f", b"X", b"p", b"?"]), random.choice([b"", b"S" + name, b"P\0", b"1\ta\n"]))
        else:
            data = postgres_message(b"Q", b"\0") * 50
        pieces.append(data)
    if random.random() < 0.4:
        at = random.randrange(len(pieces))
        pieces[at] = mutate.change_bytes(random, pieces[at], random.randrange(1, 4))
    return pieces


# --- the cache node ---------------------------------------------------------------------------------------------------

CACHE = (
    "LPUSH RPUSH LPOP RPOP LRANGE LINDEX LSET LINSERT LREM LTRIM LPOS LMOVE BLPOP BLMPOP SADD SREM SPOP SMEMBERS SINTER SINTERSTORE SUNION SDIFF SRANDMEMBER SSCAN HSET HGET HDEL "
    "HGETALL HINCRBY HINCRBYFLOAT HRANDFIELD HSCAN ZADD ZREM ZRANGE ZRANGEBYSCORE ZRANGEBYLEX ZRANK ZINCRBY ZUNION ZINTER ZDIFF ZPOPMIN BZPOPMIN ZMPOP ZRANDMEMBER ZSCAN XADD XRANGE XREAD "
    "XREADGROUP XGROUP XACK XCLAIM XAUTOCLAIM XPENDING XTRIM XINFO PFADD PFCOUNT PFMERGE GEOADD GEOSEARCH GEODIST BITFIELD BITOP BITPOS SETBIT SETRANGE SORT DUMP RESTORE OBJECT EXPIREAT "
    "SUBSCRIBE PSUBSCRIBE PUBLISH WAIT CLUSTER MIGRATE ASKING READONLY SCRIPT EVAL FUNCTION ACL LATENCY SLOWLOG CLIENT CONFIG MEMORY DEBUG HOTKEYS FAILOVER REPLICAOF SWAPDB MOVE").split()
CACHE_WORDS = [
    "a", "b", "k", "{a}1", "(1", "[a", "-", "+", "+inf", "-inf", "*", "$", ">", "0-0", "1-1", "STREAMS", "COUNT", "BLOCK", "GROUP", "CREATE", "MKSTREAM", "LIMIT", "BYSCORE", "BYLEX", "REV", "WITHSCORES",
    "WEIGHTS", "AGGREGATE", "MAXLEN", "~", "MINID", "LEFT", "RIGHT", "BEFORE", "u8", "i64", "u63", "#1", "INCRBY", "OVERFLOW", "SAT", "BY", "GET", "STORE", "NODES", "SLOTS", "TRACKING", "maxmemory"]


def cache(random):
    if random.random() < 0.2:
        return mutate.resp(random)
    words = [random.choice(CACHE)] + [
        random.choice(CACHE_WORDS) if random.random() < 0.7 else mutate.value(random) for _ in range(random.randrange(8))]
    encoded = [word.encode(errors="surrogatepass") for word in words]
    data = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    return mutate.change_bytes(random, data, random.randrange(1, 4)) if random.random() < 0.2 else data


def memcached(random):
    key = random.choice(["a", "b", "k" * 250, "k" * 251, "", "é"])
    size = random.choice(["0", "1", "5", mutate.number(random)])
    line = random.choice([
        f"set {key} {mutate.number(random)} {mutate.number(random)} {size}\r\nx", f"get {key} a b", f"gets {key}", f"gat {mutate.number(random)} {key}", f"touch {key} {mutate.number(random)}",
        f"cas {key} 0 0 1 {mutate.number(random)}\r\nx", f"append {key} 0 0 1\r\nx", f"incr {key} {mutate.number(random)}", f"decr {key} {mutate.number(random)}", f"delete {key}", "flush_all 10", "version",
        "stats", "stats items", "verbosity 1", f"mg {key} t v f c s O{mutate.number(random)} q", f"ms {key} {size} T{mutate.number(random)} I\r\nx", f"md {key} q C{mutate.number(random)}", f"ma {key} N{mutate.number(random)} MI D1", "mn", "me a", "quit"])
    if random.random() < 0.4:
        line = mutate.change_text(random, line, random.randrange(1, 3))
    return line.encode(errors="surrogatepass") + b"\r\n"


# --- HTTP interfaces --------------------------------------------------------------------------------------------------

# What a component is asked: method, target, body. Each is changed at random places.
APIS = {
    "log-collector": [
        ("POST", "/loki/api/v1/push", '{"streams":[{"stream":{"service":"a","level":"error"},"values":[["1700000000000000000","one two",{"trace_id":"1"}],["1700000000000000001","{\\"a\\":1}"]]}]}'),
        ("POST", "/v1/logs", '{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1700000000000000000","severityNumber":9,"body":{"stringValue":"x"}}]}]}]}'),
        ("POST", "/", '{"level":"error","msg":"m","service":"a","timestamp":"2024-01-01T00:00:00Z"}\n{"level":"info"}\n'), ("GET", "/loki/api/v1/query?query={service=%22a%22}|=%22one%22|json|line_format%22{{.a}}%22&time=1700000000", ""),
        ("GET", "/loki/api/v1/query_range?query=sum%20by(level)(rate({service=~%22.%2B%22}[5m]))&start=0&end=1700000000000000000&step=60", ""), ("GET", "/loki/api/v1/query_range?query={a=%22b%22}|logfmt|a>1ms|unwrap%20a&limit=10&direction=forward", ""),
        ("GET", "/loki/api/v1/labels?start=0&end=1700000000", ""), ("GET", "/loki/api/v1/label/service/values", ""), ("GET", "/loki/api/v1/series?match[]={service=%22a%22}", ""), ("GET", "/loki/api/v1/index/stats?query={service=%22a%22}", ""),
        ("GET", "/loki/api/v1/format_query?query={a=%22b%22}|=%22x%22", ""), ("GET", "/loki/api/v1/patterns?query={service=%22a%22}", ""), ("GET", "/loki/api/v1/tail?query={service=%22a%22}&delay_for=1", "")],
    "jaeger": [
        ("POST", "/v1/traces", '{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","parentSpanId":"00f067aa0ba902b7","name":"GET","kind":2,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000100000000","status":{"code":2},"attributes":[{"key":"k","value":{"intValue":"5"}}]}]}]}]}'),
        ("GET", "/api/services", ""), ("GET", "/api/services/a/operations", ""), ("GET", "/api/traces?service=a&limit=10&lookback=1h&minDuration=1ms&maxDuration=1s&tags={%22k%22:%225%22}&start=0&end=1700000001000000", ""), ("GET", "/api/traces/0af7651916cd43dd8448eb211c80319c", ""),
        ("GET", "/api/dependencies?endTs=1700000000000&lookback=86400000", ""), ("GET", "/api/v3/traces/0af7651916cd43dd8448eb211c80319c", ""), ("GET", "/api/v3/services", ""), ("GET", "/api/v3/traces?query.service_name=a&query.start_time_min=2023-01-01T00:00:00Z&query.start_time_max=2024-01-01T00:00:00Z", "")],
    "toxiproxy": [
        ("POST", "/proxies", '{"name":"p","listen":"127.0.0.1:0","upstream":"localhost:1","enabled":true}'), ("POST", "/proxies/p/toxics", '{"name":"t","type":"latency","stream":"upstream","toxicity":0.5,"attributes":{"latency":100,"jitter":10}}'),
        ("POST", "/proxies/p/toxics", '{"type":"limit_data","attributes":{"bytes":100}}'), ("POST", "/proxies/p/toxics/t", '{"attributes":{"latency":5}}'), ("GET", "/proxies", ""), ("GET", "/proxies/p", ""), ("POST", "/proxies/p", '{"enabled":false}'), ("DELETE", "/proxies/p/toxics/t", ""),
        ("POST", "/populate", '[{"name":"q","listen":"127.0.0.1:0","upstream":"localhost:2"}]'), ("POST", "/reset", ""), ("GET", "/version", ""), ("GET", "/metrics", ""), ("DELETE", "/proxies/p", "")],
    "metrics-collector": [
        ("GET", "/api/v1/query?query=rate(up[5m])&time=10", ""), ("GET", "/api/v1/query?query=sum+by(job)(up)+/+on(job)+group_left+up", ""), ("GET", "/api/v1/query_range?query=up&start=0&end=100&step=1", ""),
        ("POST", "/api/v1/query", "query=histogram_quantile(0.9,sum+by(le)(rate(x_bucket[1m])))"), ("GET", "/api/v1/series?match[]={__name__=~%22.%2B%22}", ""), ("GET", "/api/v1/label/job/values", ""), ("GET", "/federate?match[]=up", ""),
        ("GET", "/api/v1/query?query=predict_linear(up[1h],3600)^2%2582", ""), ("GET", "/api/v1/query?query=max_over_time(deriv(up[1m])[1h:1s]+offset+-5m+@+0)", ""), ("POST", "/api/v1/write", "\x00\x01abc"), ("GET", "/api/v1/status/tsdb?limit=5", ""),
        ("POST", "/api/v1/admin/tsdb/delete_series?match[]=up", ""), ("GET", "/api/v1/rules", ""), ("POST", "/-/reload", "")],
    "feature-flags": [
        ("POST", "/api/flags", '{"name":"f","type":"boolean","description":"d"}'), ("GET", "/api/client/features", ""), ("POST", "/api/client/register", '{"appName":"a","instanceId":"i","strategies":[],"started":"2024-01-01T00:00:00Z","interval":10}'),
        ("POST", "/api/client/metrics", '{"appName":"a","bucket":{"start":"2024-01-01T00:00:00Z","stop":"2024-01-01T00:01:00Z","toggles":{"f":{"yes":1,"no":2,"variants":{"a":1}}}}}'),
        ("POST", "/ofrep/v1/evaluate/flags/f", '{"context":{"targetingKey":"1","country":"US","age":18}}'), ("POST", "/ofrep/v1/evaluate/flags", '{"context":{"targetingKey":"1"}}'), ("GET", "/api/flags/f?env=production", ""),
        ("POST", "/api/flags/f/enable", ""), ("PUT", "/api/flags/f/rollout", '{"percent":25,"stickiness":"default"}'), ("POST", "/api/flags/f/rules", '{"rule":"user.country == \\"US\\" and not (user.beta or user.age < 18)","percent":50}'),
        ("PUT", "/api/flags/f/variants", '{"variants":[{"name":"a","weight":500,"payload":{"type":"string","value":"x"}},{"name":"b","weight":500}]}'), ("POST", "/api/flags/f/explain", '{"userId":"123","properties":{"country":"US"}}'),
        ("PUT", "/api/flags/f/dependencies", '{"dependencies":[{"feature":"g","enabled":true}]}'), ("GET", "/api/flags/f/stats?last=1h", ""), ("GET", "/api/audit?limit=5", ""), ("POST", "/api/environments", '{"name":"test"}'),
        ("GET", "/api/client/delta?revision=1", ""), ("DELETE", "/api/flags/f", "")],
    "urlshortener": [
        ("POST", "/api/shorten", '{"url":"https://example.com/a?b=c#d","alias":"mine","expires_in":60,"max_visits":2,"tags":["a"]}'), ("GET", "/mine", ""), ("GET", "/mine+", ""), ("GET", "/api/stats/mine", ""), ("POST", "/rest/v3/short-urls", '{"longUrl":"https://e.com","customSlug":"s","maxVisits":1,"validUntil":"2030-01-01T00:00:00Z","domain":"a.example","shortCodeLength":5,"findIfExists":true}'), ("PATCH", "/rest/v3/domains/redirects", '{"domain":"a.example","baseUrlRedirect":"https://e.com/","regular404Redirect":null}'), ("POST", "/api/audit", "66e94bd4ef8a2c3b884cfa59ca342b2e\nx\n"),
        ("GET", "/rest/v3/short-urls?page=1&itemsPerPage=10&tags[]=a", ""), ("GET", "/yourls-api.php?action=shorturl&url=http://e.com&format=json", ""), ("DELETE", "/rest/v3/short-urls/s", ""), ("PATCH", "/rest/v3/short-urls/mine", '{"longUrl":"https://f.com"}')],
    "messageq": [
        ("GET", "/api/overview", ""), ("PUT", "/api/queues/%2F/q", '{"durable":true,"arguments":{"x-max-length":5}}'), ("POST", "/api/exchanges/%2F/amq.default/publish", '{"properties":{},"routing_key":"q","payload":"x","payload_encoding":"string"}'),
        ("POST", "/api/queues/%2F/q/get", '{"count":5,"ackmode":"ack_requeue_true","encoding":"auto","truncate":50}'), ("PUT", "/api/policies/%2F/p", '{"pattern":"^q","definition":{"max-length":3},"priority":1,"apply-to":"queues"}'), ("GET", "/api/queues/%2F/q/peek?count=3", ""),
        ("PUT", "/api/users/u", '{"password":"p","tags":"administrator"}'), ("POST", "/api/bindings/%2F/e/amq.topic/q/q", '{"routing_key":"#"}'), ("POST", "/api/definitions", '{"queues":[],"exchanges":[]}'), ("GET", "/api/log?count=10", ""), ("DELETE", "/api/queues/%2F/q", "")],
    "registry": [
        ("PUT", "/v1/agent/service/register", '{"Name":"a","ID":"a1","Port":80,"Address":"127.0.0.1","Tags":["x"],"Check":{"TTL":"10s","HTTP":"http://h/","Interval":"1s"}}'), ("GET", "/v1/health/service/a?passing&index=1&wait=1ms&filter=Service.Port==80", ""),
        ("PUT", "/v1/agent/check/pass/service:a1?note=x", ""), ("GET", "/v1/catalog/services", ""), ("PUT", "/v1/agent/service/deregister/a1", ""), ("GET", "/v1/catalog/service/a?near=_agent&tag=x", ""), ("PUT", "/v1/kv/a?cas=1", "x"), ("PUT", "/v1/session/create", '{"TTL":"10s"}'), ("GET", "/v1/health/checks/a", "")],
    "lockserver": [
        ("POST", "/v3/kv/put", '{"key":"YQ==","value":"Yg==","lease":"0"}'), ("POST", "/v3/kv/range", '{"key":"YQ==","range_end":"Yg==","limit":"1","revision":"0"}'), ("POST", "/v3/lease/grant", '{"TTL":"10","ID":"0"}'), ("POST", "/v3/lock/lock", '{"name":"YQ==","lease":"1"}'),
        ("POST", "/v3/kv/txn", '{"compare":[{"result":"EQUAL","target":"VERSION","key":"YQ==","version":"0"}],"success":[{"requestPut":{"key":"YQ==","value":"Yg=="}}]}'), ("POST", "/v3/watch", '{"create_request":{"key":"YQ=="}}'), ("POST", "/v3/kv/compaction", '{"revision":"1"}'), ("POST", "/v3/maintenance/status", "{}"),
        ("POST", "/v3/cluster/member/add", '{"peerURLs":["http://h:1"]}')],
    "api-gateway": [
        ("GET", "/open/a?b=c&d=%2e", ""), ("POST", "/open/x", '{"a":1}'), ("OPTIONS", "/open/x", ""), ("GET", "/v2/open/x", ""), ("GET", "/api/users/1", ""), ("DELETE", "/keys/x;y=z/../w", ""), ("GET", "/deep/deep/deep/open/x", ""),
        ("GET", "/dashboard?x=1", ""), ("GET", "/old/a%2Fb?c", ""), ("GET", "/re/12/ab", ""), ("GET", "//api/./users/%2e%2e/..;/x", ""), ("GET", "/split/x", ""), ("GET", "/opaque/x", ""), ("TRACE", "/open/x", "")],
    "shop-products": [
        ("POST", "/products", '{"id":"p9","name":"Lamp","price":1999,"category":"home","description":"d"}'), ("GET", "/products?category=home&min_price=1&max_price=700&q=lamp&limit=5&after=p1", ""), ("GET", "/products/p1", ""),
        ("PUT", "/products/p1", '{"name":"x","price":5,"category":"c"}'), ("DELETE", "/products/p9", ""), ("GET", "/categories", ""), ("PUT", "/categories/home", '{"name":"Home","parent":"all"}'), ("DELETE", "/categories/home", "")],
    "shop-inventory": [
        ("PUT", "/stock/p1", '{"available":47}'), ("PUT", "/stock/p1", '{"received":5,"delivery":"d1"}'), ("GET", "/stock?ids=p1,p2&limit=3", ""), ("GET", "/stock/p1", ""), ("POST", "/reservations", '{"order_id":"o1","items":[{"product_id":"p1","quantity":2}]}'),
        ("GET", "/reservations/o1", ""), ("POST", "/reservations/o1/confirm", "{}"), ("POST", "/reservations/o1/release", "{}")],
    "shop-payments": [
        ("POST", "/v1/payment_intents", "amount=1998&currency=usd&payment_method=pm_card_visa&confirm=true&metadata[order_id]=o7"), ("POST", "/v1/payment_intents", '{"amount":1998,"currency":"usd","payment_method":"card_xxx","confirm":true}'),
        ("POST", "/v1/payment_intents/pi_1/confirm", "payment_method=pm_card_mastercard"), ("POST", "/v1/payment_intents/pi_1/cancel", ""), ("POST", "/v1/payment_intents/pi_1/capture", "amount_to_capture=5"), ("POST", "/v1/refunds", "payment_intent=pi_1&amount=200"),
        ("GET", "/v1/payment_intents?limit=2&starting_after=pi_1", ""), ("GET", "/v1/payment_intents/pi_1", ""), ("GET", "/v1/refunds?payment_intent=pi_1", ""), ("GET", "/ledger?after=0", "")],
    "shop-orders": [
        ("POST", "/checkout", '{"items":[{"product_id":"p1","quantity":1}],"payment_method":"card_xxx"}'), ("GET", "/orders?limit=5&after=o1", ""), ("GET", "/orders/o1", ""), ("GET", "/orders/o1/timeline", ""), ("POST", "/orders/o1/resume", ""), ("GET", "/ledger", "")],
}

# What requests to the gateway carry: credentials (the token is RFC 8037's form, and nobody's), and what browsers and proxies say.
GATEWAY_FIELDS = [
    "Authorization: Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.", "Authorization: Bearer a.b.c", "X-API-Key: secret", "Origin: https://a.shop.lab", "Access-Control-Request-Method: PUT", "X-API-Version: v2", "Cookie: id=7; a=b",
    "X-Beta: 1", "X-Forwarded-For: 1.2.3.4, ::1", "X-Request-Id: r1", "X-User-Id: root", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Expect: 100-continue"]


def api(random, kind):
    """One request to a component's own interface."""
    method, target, body = random.choice(APIS[kind])
    if random.random() < 0.6:
        target = "/" + mutate.change_text(random, target[1:], random.randrange(1, 4))
    if body and random.random() < 0.7:
        body = mutate.change_text(random, body, random.randrange(1, 4))
    data = body.encode(errors="surrogatepass")
    clean = "".join(letter if 32 < ord(letter) < 127 else "%" + letter.encode(errors="surrogatepass").hex()[:2] for letter in target)
    kinds = ["application/x-www-form-urlencoded"] if body.startswith(("query=", "amount", "payment_")) else ["application/json"] * 4 + ["application/x-protobuf", "text/plain", ""]
    fields = f"Host: localhost\r\nContent-Length: {len(data)}\r\nContent-Type: {random.choice(kinds)}\r\n"
    if kind == "api-gateway":
        for line in random.sample(GATEWAY_FIELDS, random.randrange(4)):
            name, value = line.split(": ", 1)
            value = mutate.change_text(random, value, random.randrange(1, 3)) if random.random() < 0.5 else value
            fields += f"{name}: " + "".join(letter for letter in value if 32 <= ord(letter) < 127) + "\r\n"
    elif kind.startswith("shop-"):
        fields += f"Idempotency-Key: k{random.randrange(9)}\r\nX-User-Id: u{random.randrange(3)}\r\n"
    else:
        fields += "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n"
    return f"{method} {clean} HTTP/1.1\r\n{fields}\r\n".encode() + data


def dns(random):
    """A question over UDP, or something like it."""
    labels = random.choice(["a.service.consul", "_a._tcp.service.consul", "x.node.consul", "a" * 70, ".".join("abcdefghij" * 12), "", "4.3.2.1.in-addr.arpa", "a.local"]).split(".")
    name = b"".join(bytes([len(label) & 63]) + label.encode()[:63] for label in labels if label) + b"\0"
    question = struct.pack(">HHHHHH", random.randrange(65536), random.choice([0x0100, 0, 0x8180, 0x7800]), random.choice([1, 1, 0, 2, 65535]), 0, 0, random.choice([0, 1]))
    data = question + name + struct.pack(">HH", random.choice([1, 28, 33, 255, 6, 12, 0, 65535]), random.choice([1, 255, 0]))
    return mutate.change_bytes(random, data, random.randrange(1, 4)) if random.random() < 0.5 else data
