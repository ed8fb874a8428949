import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

@Suite("The client side of the HTTP kit")
struct HTTPCallTests {
    /// A server whose answers a test writes itself, and one who asks it.
    private final class Fixture {
        let world = memoryWorld()
        let client: Node
        let server: ScriptedServer
        var results: [Result<HTTPCall.Response, HTTPCall.Failure>] = []

        /// One text for each connection, in order; the last goes on.
        init(_ answers: [String]) throws {
            let node = world.node("a")
            client = world.node("client")
            server = try ScriptedServer(node, port: 80)
            server.onReceived = { [unowned self] connection in
                guard connection.text.contains("\r\n\r\n"), connection.statuses.isEmpty else { return }
                let index = server.connections.firstIndex { $0 === connection } ?? 0
                let answer = answers[min(index, answers.count - 1)]
                if answer == "close" { connection.stream.close() } else { connection.write(answer) }
            }
        }

        func call(
            _ method: String = "GET", _ url: String = "http://a/x", for time: LabDuration = .seconds(60),
            _ change: (inout HTTPCall.Request) -> Void = { _ in }
        ) throws -> Result<HTTPCall.Response, HTTPCall.Failure>? {
            var request = HTTPCall.Request(method, url: try HTTPURL(url))
            change(&request)
            results = []
            HTTPCall(client, request) { [unowned self] in results.append($0) }.start()
            #expect(results.isEmpty, "never before start has returned")
            world.pass(time)
            #expect(results.count < 2)
            return results.first
        }
    }

    private func failure(_ result: Result<HTTPCall.Response, HTTPCall.Failure>?) -> HTTPCall.Failure? {
        if case .failure(let failure)? = result { failure } else { nil }
    }

    private static func answer(_ status: Int, _ fields: [String] = [], _ body: String = "") -> String {
        let lines = ["HTTP/1.1 \(status) X"] + fields + ["Content-Length: \(body.utf8.count)"]
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    @Test("a question and its answer")
    func simple() throws {
        let fixture = try Fixture(["HTTP/1.1 103 Early Hints\r\n\r\n" + Self.answer(201, ["X-A: b"], "made")])
        let response = try #require(
            try fixture.call("POST") {
                $0.body = Array("body".utf8)
                $0.fields = [("X-B", "c"), ("Bad", "x\r\nEvil: y")]
            }
        ).get()
        #expect(response.status == 201 && response.isSuccess && response.head.value(of: "X-A") == "b")
        #expect(response.body == Array("made".utf8) && response.attempts == 1)
        #expect(
            fixture.server.heard == [
                "POST /x HTTP/1.1\r\nHost: a\r\nX-B: c\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
            ])
    }

    @Test("failures are told apart")
    func failures() throws {
        #expect(try failure(Fixture(["close"]).call()) == .closed)
        #expect(try failure(Fixture(["what?\r\n\r\n"]).call())?.description == "not an HTTP answer")
        #expect(try failure(Fixture(["close"]).call("GET", "http://a:81/")) == .refused)
        #expect(try failure(Fixture(["close"]).call("GET", "http://nobody/")) == .network(.unresolved(host: "nobody")))
        #expect(
            try failure(Fixture(["close"]).call("GET", "https://a/"))?.description
                == "https needs TLS, which is not set up here")
        #expect(try failure(Fixture([""]).call { $0.deadline = .seconds(2) }) == .deadline(.seconds(2)))
        let long = Self.answer(200, [], String(repeating: "x", count: 11))
        #expect(
            try failure(Fixture([long]).call { $0.answer = .collected(limitBytes: 10) }) == .tooLong(limitBytes: 10))
        let open = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst"
        #expect(try Fixture([open]).call { $0.answer = .head }?.get().status == 200)
        #expect(
            try Fixture([open]).call { $0.answer = .until(limitBytes: 50) { $1.count == 5 } }?.get().body.count == 5)
        #expect(try Fixture([open]).call { $0.answer = .until(limitBytes: 3) { _, _ in false } }?.get().body.count == 3)
        #expect(try failure(Fixture([open]).call()) == .deadline(.seconds(30)))
    }

    @Test("nothing comes after a cancel")
    func cancel() throws {
        let fixture = try Fixture([Self.answer(200)])
        let call = HTTPCall(fixture.client, .init(url: try HTTPURL("http://a/"))) { _ in Issue.record("cancelled") }
        call.start()
        call.cancel()
        fixture.world.pass(.seconds(60))
        #expect(fixture.client.openConnections == 0)
    }

    @Test(
        "redirects rewrite methods as RFC 9110 §15.4 says",
        arguments: [
            (301, "POST", "GET"), (302, "POST", "GET"), (302, "PUT", "PUT"), (303, "PUT", "GET"), (303, "HEAD", "HEAD"),
            (307, "POST", "POST"), (308, "DELETE", "DELETE"), (301, "GET", "GET"),
        ])
    func redirects(_ status: Int, _ method: String, _ expected: String) throws {
        let fixture = try Fixture([Self.answer(status, ["Location: ../y?z#f"]), Self.answer(200)])
        let response = try #require(
            try fixture.call(method, "http://a/x/w") {
                $0.redirectLimit = 1
                $0.body = method == "HEAD" || method == "GET" ? nil : [65]
                $0.fields = [("Content-Type", "t"), ("Authorization", "secret")]
            }
        ).get()
        #expect(response.redirects == 1 && response.url.text == "http://a/y?z")
        let second = try #require(fixture.server.heard.last)
        #expect(second.hasPrefix("\(expected) /y?z HTTP/1.1\r\n") && second.contains("Authorization: secret"))
        #expect(second.contains("Content-Type") == (expected == method))
        #expect(second.hasSuffix("\r\n\r\nA") == (expected == method && !["GET", "HEAD"].contains(method)))
    }

    @Test("redirects: limits, loops, other origins, nonsense")
    func redirectLimits() throws {
        let loop = Self.answer(302, ["Location: /x"])
        let fixture = try Fixture([loop])
        #expect(try failure(fixture.call { $0.redirectLimit = 3 }) == .tooManyRedirects(3))
        #expect(fixture.server.connections.count == 4)
        #expect(try Fixture([loop]).call()?.get().status == 302)
        let away = try Fixture([Self.answer(302, ["Location: http://a:8080/"])])
        let other = try ScriptedServer(try #require(away.world.nodes["a"]), port: 8080)
        other.answer(Self.answer(200))
        let fields = [("Authorization", "secret"), ("Cookie", "a=b"), ("X-Keep", "1")]
        #expect(
            try away.call {
                $0.redirectLimit = 1
                $0.fields = fields
            }?.get().status == 200)
        #expect(!other.heard[0].contains("secret") && !other.heard[0].contains("Cookie"))
        #expect(other.heard[0].contains("X-Keep: 1") && other.heard[0].contains("Host: a:8080"))
        let odd = try Fixture([Self.answer(302, ["Location: mailto:me"])])
        #expect(try failure(odd.call { $0.redirectLimit = 1 }) == .redirect(.scheme("mailto")))
        #expect(try Fixture([Self.answer(302)]).call { $0.redirectLimit = 1 }?.get().status == 302)
    }

    @Test("retries: only what may be asked twice, and no longer than the deadline")
    func retries() throws {
        let policy = HTTPCall.RetryPolicy(limit: 3)
        let flaky = [Self.answer(503), "close", Self.answer(200, [], "ok")]
        let fixture = try Fixture(flaky)
        let response = try #require(try fixture.call { $0.retry = policy }).get()
        #expect(response.status == 200 && response.attempts == 3)
        #expect(try Fixture(flaky).call("POST") { $0.retry = policy }?.get().status == 503)
        #expect(try failure(Fixture(["close"]).call("POST") { $0.retry = policy }) == .closed)
        let refused = try Fixture(["close"])
        #expect(try failure(refused.call("POST", "http://a:81/") { $0.retry = policy }) == .refused)
        let last = try Fixture([Self.answer(503)])
        #expect(try last.call { $0.retry = policy }?.get().attempts == 4)
        #expect(try Fixture([Self.answer(500)]).call { $0.retry = policy }?.get().attempts == 1)
    }

    @Test("Retry-After is waited for, as seconds and as a date, if there is time")
    func retryAfter() throws {
        func attempts(_ field: String, after time: LabDuration) throws -> Int {
            let fixture = try Fixture([Self.answer(503, [field]), Self.answer(200)])
            _ = try fixture.call(for: time) { $0.retry = HTTPCall.RetryPolicy(limit: 1) }
            return fixture.server.connections.count
        }
        #expect(try attempts("Retry-After: 7", after: .milliseconds(6900)) == 1)
        #expect(try attempts("Retry-After: 7", after: .milliseconds(7100)) == 2)
        let world = memoryWorld()
        let date = (world.now + .seconds(8)).httpDate
        #expect(try attempts("Retry-After: \(date)", after: .milliseconds(6900)) == 1)
        #expect(try attempts("Retry-After: \(date)", after: .milliseconds(8100)) == 2)
        let impatient = try Fixture([Self.answer(503, ["Retry-After: 31"])])
        let result = try impatient.call(for: .seconds(1)) { $0.retry = HTTPCall.RetryPolicy(limit: 1) }
        #expect(try result?.get().status == 503, "no time for it: the answer is given at once")
        for huge in ["9223372036854775807", "99999999999999999999"] {
            #expect(try attempts("Retry-After: \(huge)", after: .seconds(60)) == 1)
        }
    }

    @Test("equal seeds make equal pauses")
    func determinism() throws {
        func times() throws -> [LabTime] {
            let fixture = try Fixture([Self.answer(503)])
            var times: [LabTime] = []
            fixture.server.onAccepted = { [unowned fixture] _ in times.append(fixture.world.now) }
            _ = try fixture.call { $0.retry = HTTPCall.RetryPolicy(limit: 5) }
            return times
        }
        let first = try times()
        #expect(first.count == 6)
        #expect(try times() == first)
    }
}
