import GatewayService
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// The gateway between clients and services.
// @covers GW-B1 GW-C4 GW-H5 GW-M1 GW-M2 GW-M3
@Suite("Gateway service") struct ServiceTests {
    private static let yaml = """
        routes:
        - {path: /api/users/*, service: users, url: "http://users", auth: jwt, rate_limit: 3/min}
        - {path: /public/*, service: files, url: "http://files", auth: none}
        """

    private func bench(_ yaml: String = yaml, _ services: [String] = ["users", "files"]) throws -> GatewayBench {
        try GatewayBench(yaml, files: ["jwks.json": try Issuer().jwks], services: services)
    }

    @Test("without a token the documented 401, with one the service's answer") func tokens() throws {
        let bench = try bench()
        let refused = try bench.ask("/api/users/1")
        #expect(refused.status == 401 && refused.body == "{\"error\": \"Authorization header required\"}\n")
        #expect(
            refused["WWW-Authenticate"] == "Bearer realm=\"gateway\"" && refused["Content-Type"] == "application/json")
        #expect(bench.heard("users").isEmpty)
        let answer = try bench.ask("/api/users/1?a=b", try Issuer().bearer())
        #expect(answer.status == 200 && answer.body == "users")
        let heard = try #require(bench.heard("users").first)
        #expect(heard.hasPrefix("GET /api/users/1?a=b HTTP/1.1\r\nHost: gateway\r\n"))
        #expect(heard.contains("X-User-Id: abc123\r\n") && !heard.contains("Bearer"))
        let other = try bench.ask("/api/users/1", "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.")
        #expect(other.status == 401 && other["WWW-Authenticate"]?.contains("error=\"invalid_token\"") == true)
    }

    @Test("what clients say of themselves never reaches a service") func spoofs() throws {
        let bench = try bench()
        try bench.ask(
            "/public/x", "X-User-Id: admin", "x-user-id: root", "X_User_Id: evil", "X-Forwarded-For: 1.2.3.4",
            "Forwarded: for=1.2.3.4", "X-Forwarded-Proto: https", "X-Request-Id: mine", "X-Other: stays")
        let heard = try #require(bench.heard("files").first)
        for lie in ["admin", "root", "evil", "1.2.3.4", "https", "mine"] { #expect(!heard.contains(lie), "\(lie)") }
        let address = try #require(bench.world.nodes["client"]).address
        #expect(heard.contains("X-Forwarded-For: \(address)\r\n") && heard.contains("X-Other: stays\r\n"))
        #expect(heard.contains("X-Forwarded-Proto: http\r\nX-Forwarded-Host: gateway\r\nX-Request-Id: "))
    }

    @Test("each request has a number, which servers, clients and problems name") func requestIDs() throws {
        let bench = try bench()
        let one = try bench.ask("/public/1")
        let two = try bench.ask("/public/2")
        let id = try #require(one["X-Request-Id"])
        #expect(id.count == 36 && id != two["X-Request-Id"])
        #expect(bench.heard("files")[0].contains("X-Request-Id: \(id)\r\n"))
        let lost = try bench.ask("/nowhere", "Accept: */*")
        #expect(lost.status == 404 && lost["Content-Type"] == "application/problem+json")
        #expect(lost.json["request_id"] == .string(try #require(lost["X-Request-Id"])))
        let trusting = try GatewayBench(
            Self.yaml + "\ntrusted_proxies: [127.0.0.0/8]", files: ["jwks.json": try Issuer().jwks],
            services: ["users", "files"])
        let kept = try trusting.ask("/public/1", "X-Request-Id: mine", "X-Forwarded-For: 9.9.9.9")
        #expect(kept["X-Request-Id"] == "mine" && trusting.heard("files")[0].contains("X-Forwarded-For: 9.9.9.9\r\n"))
    }

    @Test("a method that no route of the path has is 405 with those that there are; another condition is 404")
    func wrongMethod() throws {
        let bench = try GatewayBench(
            """
            auth: none
            services: {s: "http://s"}
            routes:
            - {path: /a, service: s, method: [GET, HEAD]}
            - {path: /a, service: s, method: POST, headers: {X-Key: "*"}}
            - {path: /b, service: s, query: {q: "*"}}
            """, services: ["s"])
        let refused = try bench.ask("/a", method: "DELETE")
        #expect(refused.status == 405 && refused["Allow"] == "GET, HEAD, POST")
        #expect(refused.json["remedy"] == "there are GET, HEAD, POST")
        // The method is one of them: it is the field that is missing.
        #expect(try bench.ask("/a", method: "POST").status == 404)
        #expect(try bench.ask("/b", method: "DELETE").status == 404)
        #expect(try bench.ask("/c").status == 404)
    }

    @Test("limits are per user and route, and say when to come back") func limits() throws {
        let bench = try bench()
        let alice = try Issuer().bearer("alice")
        for left in [2, 1, 0] {
            let answer = try bench.ask("/api/users/1", alice)
            #expect(answer.status == 200 && answer["X-RateLimit-Remaining"] == "\(left)")
        }
        let refused = try bench.ask("/api/users/1", alice)
        let wait = try #require(refused["Retry-After"].flatMap { Int($0) })
        #expect(
            refused.status == 429 && refused.body == "{\"error\": \"Rate limit exceeded\", \"retry_after\": \(wait)}\n")
        #expect(bench.heard("users").count == 3)
        #expect(try bench.ask("/api/users/1", try Issuer().bearer("bob")).status == 200)
        #expect(try bench.ask("/public/1").status == 200)
        bench.world.pass(.seconds(wait))
        #expect(try bench.ask("/api/users/1", alice).status == 200)
    }

    @Test("paths are one path for rules and servers") func paths() throws {
        let bench = try bench()
        #expect(try bench.ask("/public/../api/users/1").status == 401)
        #expect(try bench.ask("/public/%2e%2e/api/users/1").status == 401)
        #expect(try bench.ask("//api/users/1").status == 401)
        #expect(try bench.ask("/public/..%2fapi/users/1").status == 400)
        #expect(try bench.ask("/public/..;/api/users/1").status == 400)
        #expect(try bench.ask("/api/usersx").status == 404)
        try bench.ask("/public/./a//b?c=/../d")
        #expect(bench.heard("files").last?.hasPrefix("GET /public/a/b?c=/../d HTTP/1.1") == true)
    }

    @Test("heads are changed on both ways as the route says") func changes() throws {
        let bench = try GatewayBench(
            """
            auth: none
            routes:
            - path: /api/*
              service: s
              url: http://s/base
              strip: /api
              host_rewrite: inner.lab
              request_headers: {set: {X-Set: "2"}, add: {X-Add: b}, remove: [X-Gone]}
              response_headers: {set: {X-Powered-By: us}, remove: [X-Secret]}
              sunset: 2027-12-31
            """)
        try bench.serve("s", extra: "X-Secret: 1\r\nX-Powered-By: php\r\nX-Stays: 1\r\n")
        let answer = try bench.ask("/api/x?q=1", "X-Set: 1", "X-Add: a", "X-Gone: 1")
        let heard = try #require(bench.heard("s").first)
        #expect(heard.hasPrefix("GET /base/x?q=1 HTTP/1.1\r\nHost: inner.lab\r\n"))
        #expect(heard.contains("X-Set: 2\r\n") && !heard.contains("X-Set: 1") && !heard.contains("X-Gone"))
        #expect(heard.contains("X-Add: a\r\n") && heard.contains("X-Add: b\r\n"))
        #expect(answer["X-Secret"] == nil && answer["X-Powered-By"] == "us" && answer["X-Stays"] == "1")
        #expect(answer["Sunset"] == "Fri, 31 Dec 2027 00:00:00 GMT")
    }

    @Test("redirects keep path and query") func redirects() throws {
        let bench = try GatewayBench(
            """
            auth: none
            routes:
            - {path: /old/*, redirect: {prefix: /new, status: 308}}
            - {path: /plain/*, redirect: {scheme: https, status: 301}}
            - {path: /other, redirect: {host: other.lab, port: 81, path: /x}}
            """)
        let old = try bench.ask("/old/a?b=c", host: "gateway:8080")
        #expect(old.status == 308 && old["Location"] == "http://gateway:8080/new/a?b=c")
        #expect(try bench.ask("/plain/a")["Location"] == "https://gateway/plain/a")
        #expect(try bench.ask("/other")["Location"] == "http://other.lab:81/x")
    }

    @Test("bodies that are too large are refused, with a length and in chunks") func bodies() throws {
        let bench = try GatewayBench("auth: none\nroutes: [{path: /*, service: s, url: 'http://s', max_body: 8}]")
        try bench.serve("s")
        #expect(try bench.ask("/a", method: "POST", body: "12345end").status == 200)
        #expect(try bench.ask("/a", method: "POST", body: "123456end").status == 413)
        bench.server("s").onReceived = { _ in }
        let client = try bench.client()
        client.write("POST /a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        bench.world.pass(.milliseconds(5))
        client.write("5\r\nworld\r\n0\r\n\r\n")
        bench.world.pass(.milliseconds(5))
        #expect(client.statuses == [413])
    }

    @Test("shares of a canary are as their weights, and a mirror's answers are nobody's") func shares() throws {
        let bench = try GatewayBench(
            """
            auth: none
            services:
              old: http://old
              new: http://new
              copy: {url: "http://copy", breaker: false, outlier_ejection: false}
            routes: [{path: /*, split: {old: 90, new: 10}, mirror: copy}]
            """, services: ["old", "new"])
        try bench.serve("copy", status: "500 Broken")
        for index in 0..<200 { #expect(try bench.ask("/\(index)").status == 200) }
        bench.world.pass(.seconds(1))
        let share = bench.heard("new").count
        #expect((8...34).contains(share), "\(share)")
        #expect(bench.heard("copy").count == 200 && bench.heard("copy")[0].contains("X-Mirrored: true\r\n"))
    }

    @Test("a reload changes routes for requests that come, and an error in it nothing") func reload() throws {
        let bench = try bench()
        try bench.reload("auth: none\nroutes: [{path: /api/users/*, service: files, url: 'http://files'}]")
        #expect(try bench.ask("/api/users/1").body == "files")
        #expect(throws: (any Error).self) { try bench.reload("routes: 1") }
        #expect(throws: (any Error).self) {
            try bench.reload("jwt: {keys: nothing.json}\nroutes: [{path: /x, service: s, auth: jwt}]")
        }
        #expect(try bench.ask("/api/users/1").body == "files")
    }
}
