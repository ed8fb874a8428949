import FeatureFlagsEngine
import FeatureFlagsService
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

@Suite("The server of flags")
struct HostTests {
    private func lab(_ percent: Int = 100) throws -> Lab {
        let lab = try Lab()
        #expect(try lab.ask("POST", "/api/flags", #"{"name": "f"}"#).status == 201)
        #expect(try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": \#(percent)}"#).status == 200)
        return lab
    }

    private func evaluate(_ lab: Lab, _ flag: String, _ context: String) throws -> JSONValue {
        try lab.ask("POST", "/ofrep/v1/evaluate/flags/\(flag)", #"{"context": \#(context)}"#).json
    }

    @Test("Unleash's client API: definitions with an ETag, registration, and numbers")
    func client() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        let first = try lab.ask("GET", "/api/client/features", nil, ["Unleash-Client-Spec: 5.1.0"])
        #expect(first.status == 200 && first.json["features"]?[0]?["name"] == "f")
        let etag = try #require(first.etag)
        let again = try lab.ask(
            "GET", "/api/client/features", nil, ["Unleash-Client-Spec: 5.1.0", "If-None-Match: \(etag)"])
        #expect(again.status == 304 && again.text.isEmpty)
        try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": 10}"#)
        let changed = try lab.ask(
            "GET", "/api/client/features", nil, ["Unleash-Client-Spec: 5.1.0", "If-None-Match: W/\(etag)"])
        #expect(changed.status == 200 && changed.etag != etag)
        #expect(try lab.ask("POST", "/api/client/register", #"{"appName": "a"}"#).status == 202)
        let usage = #"{"appName": "a", "bucket": {"toggles": {"f": {"yes": 3, "no": 4}, "unknown": {"yes": 1}}}}"#
        #expect(try lab.ask("POST", "/api/client/metrics", usage).status == 202)
        #expect(lab.host.counts.total("f", in: nil, last: .seconds(60), now: lab.world.now).total == 7)
        for body in ["", "[]", #"{"bucket": {"toggles": {"f": {"yes": -1}}}}"#, #"{"bucket": 5}"#] {
            let status = try lab.ask("POST", "/api/client/metrics", body).status
            #expect(status == 400 || body == "[]", "\(body): \(status)")
        }
        #expect(try lab.ask("GET", "/api/client/features/f").json["enabled"] == true)
        #expect(try lab.ask("GET", "/api/client/features/g").status == 404)
    }

    @Test("clients that know no segments get their constraints in place")
    func segments() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        let segment =
            #"{"name": "us", "constraints": [{"contextName": "country", "operator": "IN", "values": ["US"]}]}"#
        #expect(try lab.ask("POST", "/api/segments", segment).status == 201)
        let strategies = #"{"strategies": [{"name": "default", "segments": [1]}]}"#
        #expect(try lab.ask("PUT", "/api/flags/f/strategies", strategies).status == 200)
        for (fields, count) in [(["Unleash-Client-Spec: 4.2.0"], 1), ([], 0), (["Unleash-Client-Spec: 4.1.9"], 0)] {
            let body = try lab.ask("GET", "/api/client/features", nil, fields).json
            let set = FlagSet(try FlagDefinitions(body))
            #expect(set.definitions.segments.count == count)
            #expect(set.isOn("f", FlagContext("1", ["country": "US"])) && !set.isOn("f", FlagContext("1")))
        }
        #expect(try lab.ask("DELETE", "/api/segments/1").status == 409)
    }

    @Test("OFREP: one flag, its reasons, and its errors")
    func single() throws {
        let lab = try lab(30)
        defer { lab.world.shutDown() }
        let on = try evaluate(lab, "f", #"{"targetingKey": "0"}"#)
        #expect(
            on["key"] == "f" && on["reason"] == "SPLIT"
                && on["value"] == .bool(RolloutHash.bucket(group: "f", id: "0", of: 100) <= 30))
        try lab.ask("POST", "/api/flags/f/rules", #"{"rule": "user.country == \"US\""}"#)
        let us = try evaluate(lab, "f", #"{"targetingKey": "9", "country": "US", "nested": {"a": 1}, "n": 5}"#)
        #expect(us["value"] == true && us["reason"] == "TARGETING_MATCH")
        try lab.ask("POST", "/api/flags/f/disable")
        let off = try evaluate(lab, "f", #"{"targetingKey": "9"}"#)
        #expect(off["value"] == false && off["reason"] == "DISABLED")
        for (body, status, code) in [
            (#"{"context": {}}"#, 400, "TARGETING_KEY_MISSING"), (#"{}"#, 400, "INVALID_CONTEXT"),
            (#"{"context": 5}"#, 400, "INVALID_CONTEXT"), ("{", 400, "PARSE_ERROR"), ("", 400, "PARSE_ERROR"),
            (#"{"context": {"targetingKey": "1", "currentTime": "soon"}}"#, 400, "INVALID_CONTEXT"),
        ] {
            let answer = try lab.ask("POST", "/ofrep/v1/evaluate/flags/f", body)
            #expect(answer.status == status && answer.json["errorCode"] == .string(code), "\(body): \(answer)")
        }
        let missing = try lab.ask("POST", "/ofrep/v1/evaluate/flags/g", #"{"context": {"targetingKey": "1"}}"#)
        #expect(missing.status == 404 && missing.json["errorCode"] == "FLAG_NOT_FOUND")
        #expect(lab.host.counts.total("f", in: nil, last: .seconds(60), now: lab.world.now).total == 3)
    }

    @Test("OFREP: values are those of the payloads, and all flags come with an ETag")
    func bulk() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        for (payload, value) in [
            (#"{"type": "json", "value": "{\"a\": 1}"}"#, JSONValue.object([("a", 1)])),
            (#"{"type": "number", "value": "1.5"}"#, 1.5), (#"{"type": "number", "value": "x"}"#, "x"),
            (#"{"type": "csv", "value": "a,b"}"#, "a,b"), ("null", "red"),
        ] {
            let body = #"{"variants": [{"name": "red", "weight": 1, "payload": \#(payload)}]}"#
            #expect(try lab.ask("PUT", "/api/flags/f/variants", body).status == 200)
            let answer = try evaluate(lab, "f", #"{"targetingKey": "1"}"#)
            #expect(answer["value"] == value && answer["variant"] == "red", "\(answer.text)")
        }
        let request = #"{"context": {"targetingKey": "1"}}"#
        let all = try lab.ask("POST", "/ofrep/v1/evaluate/flags", request)
        #expect(all.json["flags"]?[0]?["key"] == "f" && all.json["eventStreams"]?[0]?["type"] == "sse")
        let etag = try #require(all.etag)
        #expect(try lab.ask("POST", "/ofrep/v1/evaluate/flags", request, ["If-None-Match: \(etag)"]).status == 304)
        try lab.ask("POST", "/api/flags/f/kill")
        let killed = try lab.ask("POST", "/ofrep/v1/evaluate/flags", request, ["If-None-Match: \(etag)"])
        #expect(killed.status == 200 && killed.json["flags"]?[0]?["reason"] == "DISABLED")
        // A flag with variants that shows none leaves it to the code.
        #expect(killed.json["flags"]?[0]?["value"] == nil)
    }

    // @covers FLAG-C3 FLAG-H5
    @Test("both streams tell of a change at once, and of nothing that is another environment's")
    func streams() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        let unleash = try RawClient(lab.client, "flags", 4242)
        unleash.write("GET /api/client/streaming HTTP/1.1\r\nHost: f\r\n\r\n")
        let remote = try RawClient(lab.client, "flags", 4242)
        remote.write("GET /ofrep/v1/stream?environment=production HTTP/1.1\r\nHost: f\r\n\r\n")
        lab.world.pass(.milliseconds(100))
        #expect(unleash.text.contains("event: unleash-connected") && unleash.text.contains(#""type":"hydration""#))
        #expect(!remote.text.contains("data:"))
        try lab.ask("PUT", "/api/flags/f/rollout?env=development", #"{"percent": 5}"#)
        #expect(!unleash.text.contains("unleash-updated") && !remote.text.contains("data:"))
        try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": 5}"#)
        #expect(unleash.text.contains("event: unleash-updated") && unleash.text.contains(#""type":"feature-updated""#))
        #expect(remote.text.contains(#"data: {"type":"refetchEvaluation""#))
        #expect(lab.host.statistics.first { $0.key == "streams" }?.value == .integer(2))
        unleash.stream.close()
        remote.stream.close()
        lab.world.pass(.seconds(20))
        #expect(lab.host.statistics.first { $0.key == "streams" }?.value == .integer(0))
    }

    @Test("whose token is taken back hears nothing any more, and neither does who never had one")
    func unadmittedStreams() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        func follow(_ fields: String = "") throws -> RawClient {
            let client = try RawClient(lab.client, "flags", 4242)
            client.write("GET /api/client/streaming HTTP/1.1\r\nHost: f\r\n\(fields)\r\n")
            lab.world.pass(.milliseconds(100))
            return client
        }
        func secret(_ name: String, _ kind: String, _ fields: [String]) throws -> String {
            let text = try lab.ask("POST", "/api/tokens", #"{"name": "\#(name)", "kind": "\#(kind)"}"#, fields).text
            guard let mark = text.firstRange(of: "secret: \"") else { return text }
            return String(text[mark.upperBound...].prefix { $0 != "\"" })
        }
        let early = try follow()
        let ops = try secret("ops", "admin", [])
        let admin = ["Authorization: \(ops)"]
        let client = try secret("app", "client", admin)
        let follower = try follow("Authorization: \(client)\r\n")
        #expect(follower.text.contains("unleash-connected"), "\(follower.text)")
        #expect(lab.host.statistics.first { $0.key == "streams" }?.value == .integer(1), "the early one has ended")
        try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": 5}"#, admin)
        #expect(follower.text.contains("unleash-updated") && !early.text.contains("unleash-updated"))
        #expect(try lab.ask("DELETE", "/api/tokens/app", nil, admin).status == 200)
        #expect(lab.host.statistics.first { $0.key == "streams" }?.value == .integer(0))
        let heard = follower.text.count
        try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": 9}"#, admin)
        #expect(!follower.text.dropFirst(heard).contains("unleash-updated"))
    }

    @Test("a page of another origin changes nothing where nobody needs a key, and errors are problems")
    func foreignPages() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        let evil = ["Origin: https://evil.example", "Content-Type: text/plain"]
        #expect(try lab.ask("POST", "/api/flags", #"{"name": "g"}"#, evil).status == 403)
        #expect(try lab.ask("POST", "/api/flags/f/kill", "", evil).status == 403)
        #expect(try lab.ask("GET", "/api/flags", nil, evil).status == 200)
        #expect(try lab.ask("POST", "/api/flags", #"{"name": "g"}"#, ["Origin: http://flags"]).status == 201)
        let missing = try lab.ask("GET", "/api/flags/none")
        #expect(missing.json["status"] == 404 && missing.json["type"] == "about:blank", "\(missing.text)")
        #expect(try lab.ask("POST", "/api/flags", "{}", ["Content-Encoding: br"]).status == 415)
    }

    @Test("a sync that fails ends the node, whatever was written")
    func failedSync() throws {
        for (target, body) in [
            ("/api/flags/f/events", #"[{"user": "1"}]"#), ("/api/flags", #"{"name": "g"}"#),
        ] {
            let lab = try lab()
            defer { lab.world.shutDown() }
            lab.host.runtime.onFailure = { [node = lab.host.node] in node.end(.exited) }
            lab.world.inject(.disk(.failSync(count: 1)), to: "flags")
            let first = try lab.ask("POST", target, body)
            #expect(!(200..<300).contains(first.status), "\(first.text)")
            #expect(!lab.host.node.isAlive)
            #expect(lab.logLines.contains { $0.contains("PANIC") && $0.contains("start again") }, "\(lab.logLines)")
        }
    }

    @Test("what was answered is there after a crash: flags, numbers, the log, and the schedule goes on")
    func crash() throws {
        let lab = try lab(10)
        defer { lab.world.shutDown() }
        try lab.ask("PUT", "/api/flags/f/schedule", #"{"steps": [20, 100], "every": "1h"}"#)
        try lab.ask("POST", "/api/client/metrics", #"{"bucket": {"toggles": {"f": {"yes": 3}}}}"#)
        try lab.ask("POST", "/api/flags/f/events", #"[{"user": "1"}, {"user": "2", "goal": "buy"}]"#)
        lab.world.pass(.seconds(2))
        let before = lab.host.store
        let host = try lab.restarted()
        #expect(host.store.flags["f"]?.states == before.flags["f"]?.states)
        #expect(host.store.audit == before.audit && host.store.revision == before.revision)
        #expect(host.counts.total("f", in: nil, last: .seconds(60), now: lab.world.now).yes == 3)
        lab.world.pass(.seconds(3_600))
        #expect(host.store.flags["f"]?.state(in: "production").generalPercent == 100)
        #expect(lab.logLines.contains("[FLAGS] f: 20% → 100%"))
        let answer = try lab.ask("GET", "/api/flags/f/experiment")
        #expect(answer.text.contains("goal: \"buy\""))
    }

    @Test("a full disk refuses a change and keeps the old state; a sync that fails ends the node")
    func disk() throws {
        let lab = try lab(10)
        defer { lab.world.shutDown() }
        lab.host.node.disk.faults.isFull = true
        let big = String(repeating: "x", count: 900)
        var refused = 0
        for _ in 0..<20 where try lab.ask("PATCH", "/api/flags/f", #"{"description": "\#(big)"}"#).status == 507 {
            refused += 1
        }
        #expect(refused == 20 && lab.host.store.flags["f"]?.description == "")
        lab.host.node.disk.faults.isFull = false
        #expect(try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": 20}"#).status == 200)
        var hasFailed = false
        lab.host.runtime.onFailure = { hasFailed = true }
        lab.host.node.disk.faults.failingSyncs = 1
        #expect(try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": 30}"#).status == 503)
        #expect(hasFailed)
    }

    @Test("tokens close the doors, and each opens its own")
    func tokens() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        #expect(try lab.ask("POST", "/api/tokens", #"{"name": "app"}"#).status == 409)
        func secret(_ answer: Lab.Answer) throws -> String {
            let mark = "secret: \""
            let start = try #require(answer.text.firstRange(of: mark)).upperBound
            return String(answer.text[start...].prefix { $0 != "\"" })
        }
        let admin = try secret(lab.ask("POST", "/api/tokens", #"{"name": "ops", "kind": "admin"}"#))
        let created = try lab.ask(
            "POST", "/api/tokens?env=development", #"{"name": "app"}"#, ["Authorization: \(admin)"])
        let client = try secret(created)
        #expect(try lab.ask("GET", "/api/client/features").status == 401)
        #expect(try lab.ask("GET", "/api/client/features", nil, ["Authorization: nonsense"]).status == 401)
        #expect(try lab.ask("GET", "/api/flags", nil, ["Authorization: \(client)"]).status == 403)
        let features = try lab.ask("GET", "/api/client/features", nil, ["X-API-Key: \(client)"])
        #expect(features.json["query"]?["environment"] == "development")
        #expect(features.json["features"]?[0]?["enabled"] == false)
        let bearer = ["Authorization: Bearer \(client)"]
        let request = #"{"context": {"targetingKey": "1"}}"#
        #expect(try lab.ask("POST", "/ofrep/v1/evaluate/flags/f", request, bearer).json["value"] == false)
        #expect(try lab.ask("DELETE", "/api/tokens/ops", nil, ["Authorization: \(admin)"]).status == 409)
        #expect(try lab.ask("GET", "/api/flags", nil, ["Authorization: \(admin)"]).status == 200)
        #expect(lab.host.store.audit.last?.who == "ops")
    }

    @Test(
        "bad input is answered with what is wrong and what to do",
        arguments: [
            ("POST", "/api/flags", "{}", 400), ("POST", "/api/flags", #"{"name": "a b"}"#, 400),
            ("POST", "/api/flags", #"{"name": "x", "tpye": "boolean"}"#, 400), ("POST", "/api/flags", "{", 400),
            ("POST", "/api/flags", #"{"name": "f"}"#, 409), ("GET", "/api/flags/g", nil, 404),
            ("PUT", "/api/flags/f/rollout", #"{"percent": 101}"#, 400),
            ("PUT", "/api/flags/f/rollout", #"{"percent": "x"}"#, 400),
            ("PUT", "/api/flags/f/rollout?env=moon", #"{"percent": 1}"#, 404),
            ("POST", "/api/flags/f/rules", #"{"rule": "user."}"#, 400), ("GET", "/api/flags/f/stats?last=x", nil, 400),
            ("GET", "/api/flags/f/stats?lsat=1h", nil, 400), ("POST", "/api/flags/f/diff", "{}", 400),
            ("POST", "/api/flags/f/diff", #"{"percent": 5, "count": 0}"#, 400),
            ("POST", "/api/flags/f/diff", #"{"percent": 5, "users": [{}, 7]}"#, 400),
            ("POST", "/api/flags/f/evaluate", "[]", 400), ("POST", "/api/flags/f/events", #"[{"user": {}}]"#, 400),
            ("PUT", "/api/flags/f/variants", #"{"variants": [{"name": "a", "weight": 99999999}]}"#, 400),
            ("PUT", "/api/flags/f/schedule", #"{"steps": [1], "every": "x"}"#, 400),
            ("DELETE", "/api/segments/99", nil, 404),
            ("PATCH", "/api/flags", nil, 405), ("GET", "/api/audit?limit=0", nil, 400),
            ("DELETE", "/api/flags/f/rules?rule=user.x", nil, 404),
        ] as [(String, String, String?, Int)])
    func refusals(_ method: String, _ target: String, _ body: String?, _ status: Int) throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        let answer = try lab.ask(method, target, body, ["Accept: application/problem+json"])
        #expect(answer.status == status, "\(answer)")
        #expect(answer.json["detail"] != nil && answer.json["status"] == .integer(status))
        #expect(lab.host.store.revision == 2)
    }

    @Test("the difference is told person by person, and changes nothing")
    func difference() throws {
        let lab = try lab(10)
        defer { lab.world.shutDown() }
        let answer = try lab.ask("POST", "/api/flags/f/diff", #"{"percent": 25, "count": 200}"#)
        let before = (1...200).count { RolloutHash.bucket(group: "f", id: "\($0)", of: 100) <= 10 }
        let after = (1...200).count { RolloutHash.bucket(group: "f", id: "\($0)", of: 100) <= 25 }
        #expect(answer.text.contains("enabledBefore: \(before), enabledAfter: \(after)"), "\(answer.text)")
        #expect(answer.text.contains("losing: []"))
        let less = try lab.ask("POST", "/api/flags/f/diff", #"{"percent": 0, "count": 200}"#)
        #expect(less.text.contains("gaining: []") && !less.text.contains("losing: []"), "\(less.text)")
        #expect(lab.host.store.flags["f"]?.state(in: "production").generalPercent == 10)
        let users = #"{"enabled": false, "users": ["1", {"id": "2", "country": "US"}, {"sessionId": "s"}]}"#
        #expect(try lab.ask("POST", "/api/flags/f/diff", users).text.contains("userCount: 3"))
    }

    @Test("the page is complete in itself, and nothing but its own style and script may run")
    func page() throws {
        let lab = try lab()
        defer { lab.world.shutDown() }
        let raw = try RawClient(lab.client, "flags", 4242)
        raw.write("GET / HTTP/1.1\r\nHost: flags\r\n\r\n")
        lab.world.pass(.milliseconds(500))
        let answer = try #require(raw.answers.first)
        let policy = try #require(answer.head.value(of: "Content-Security-Policy"))
        #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"))
        let html = String(decoding: answer.body, as: UTF8.self)
        for mark in ["src=\"", "href=\"http", "url(", "@import", "innerHTML", "eval("] {
            #expect(!html.contains(mark), "\(mark)")
        }
        #expect(html.contains("prefers-color-scheme") && html.contains("lang=\"en\""))
    }
}
