import GatewayEngine
import GatewayService
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// Who may ask from a browser, and how often anybody may before it is known who it is.
// @covers GW-C3
@Suite("At the gateway's edge") struct EdgeTests {
    @Test("a star in an origin stands for labels, and for nothing else") func patterns() throws {
        let pattern = try #require(OriginPattern("https://*.shop.lab"))
        for origin in ["https://a.shop.lab", "https://a.b.shop.lab", "HTTPS://A.Shop.Lab", "https://a-1.shop.lab"] {
            #expect(pattern.matches(origin), "\(origin)")
        }
        for origin in [
            "https://shop.lab", "https://.shop.lab", "https://evilshop.lab", "https://shop.lab.evil",
            "http://a.shop.lab", "https://a.shop.lab:8443", "https://evil/.shop.lab", "https://evil?.shop.lab",
            "https://u@a.shop.lab", "https://evil:1.shop.lab", "https://a..shop.lab", "null", "", "https://",
            "https://a.shop.lab ", "https://é.shop.lab",
        ] {
            #expect(!pattern.matches(origin), "\(origin)")
        }
        let port = try #require(OriginPattern("http://*.lab:8080"))
        #expect(port.matches("http://x.lab:8080") && !port.matches("http://x.lab") && !port.matches("http://x.lab:80"))
        // Browsers leave a scheme's own port out.
        #expect(try #require(OriginPattern("https://*.lab:443")).matches("https://x.lab"))
        for text in [
            "*", "https://*", "https://*.", "https://*.*.lab", "https://a.*.lab", "*.lab", "ftp://*.lab",
            "https://*.lab/", "https://*.lab:0", "https://*.lab:x", "https://*.lab:99999", "https://*.a b",
        ] {
            #expect(OriginPattern(text) == nil, "\(text)")
        }
    }

    @Test("a pattern's origin gets leave in its own name, and no other gets any") func crossOrigin() throws {
        let bench = try GatewayBench(
            """
            auth: none
            routes:
            - path: /*
              service: s
              url: http://s
              cors: {origins: ["https://*.shop.lab", "https://partner.example"], credentials: true}
            """, services: ["s"])
        for origin in ["https://a.shop.lab", "https://partner.example"] {
            let answer = try bench.ask("/x", "Origin: \(origin)")
            #expect(answer["Access-Control-Allow-Origin"] == origin && answer["Vary"] == "Origin")
            #expect(answer["Access-Control-Allow-Credentials"] == "true")
            let preflight = try bench.ask(
                "/x", "Origin: \(origin)", "Access-Control-Request-Method: PUT", method: "OPTIONS")
            #expect(preflight.status == 204 && preflight["Access-Control-Allow-Origin"] == origin)
            #expect(preflight["Access-Control-Allow-Methods"]?.contains("PUT") == true)
        }
        for origin in ["https://shop.lab", "https://evil.example", "https://a.shop.lab.evil.example"] {
            let answer = try bench.ask("/x", "Origin: \(origin)")
            #expect(answer.status == 200 && answer["Access-Control-Allow-Origin"] == nil, "\(origin)")
            let preflight = try bench.ask(
                "/x", "Origin: \(origin)", "Access-Control-Request-Method: PUT", method: "OPTIONS")
            #expect(preflight["Access-Control-Allow-Origin"] == nil && preflight["Access-Control-Allow-Methods"] == nil)
        }
        #expect(
            complaint("routes:\n- {path: /, service: s, auth: none, cors: {origins: ['https://a.*.lab']}}")
                .contains("no pattern of origins"))
    }

    private static let guessing = """
        routes:
        - {path: /api/*, service: s, url: "http://s", auth: jwt, rate_limit: 2/min, rate_limit_by_address: 5/min}
        - {path: /open/*, service: s, auth: none}
        """

    @Test("whoever guesses tokens is limited before any is looked at") func beforeTokens() throws {
        let bench = try GatewayBench(Self.guessing, files: ["jwks.json": try Issuer().jwks], services: ["s"])
        for _ in 0..<5 {
            let answer = try bench.ask("/api/x", "Authorization: Bearer a.b.c")
            #expect(answer.status == 401 && answer["X-RateLimit-Limit"] == "5")
        }
        let refused = try bench.ask("/api/x", "Authorization: Bearer a.b.c")
        #expect(refused.status == 429 && refused["Retry-After"] != nil)
        #expect(refused.body.hasPrefix("{\"error\": \"Rate limit exceeded\", \"retry_after\": "))
        // A good token changes nothing for that address, and other addresses and routes are others' affair.
        let good = try Issuer().bearer()
        #expect(try bench.ask("/api/x", good).status == 429)
        #expect(try bench.ask("/open/x").status == 200)
        #expect(try bench.ask("/api/x", good, from: "other").status == 200)
    }

    @Test("a route's two limits are two accounts, and the answer names the one that was asked last")
    func both() throws {
        let bench = try GatewayBench(Self.guessing, files: ["jwks.json": try Issuer().jwks], services: ["s"])
        let good = try Issuer().bearer()
        for left in [1, 0] {
            let answer = try bench.ask("/api/x", good)
            #expect(answer.status == 200 && answer["X-RateLimit-Remaining"] == "\(left)")
        }
        #expect(try bench.ask("/api/x", good).status == 429)
        // Another user at the same address has an account of its own, and the address has two left.
        let bob = try Issuer().bearer("bob")
        #expect(try bench.ask("/api/x", bob).status == 200)
        #expect(try bench.ask("/api/x", bob).status == 200)
        #expect(try bench.ask("/api/x", try Issuer().bearer("cid")).status == 429)
        #expect(bench.heard("s").count == 4)
    }

    @Test("retry_after is the truth for each algorithm: a second earlier is too early, then it is not")
    func retryAfter() throws {
        for algorithm in ["sliding-counter", "sliding-log", "fixed-window", "token-bucket", "gcra"] {
            let bench = try GatewayBench(
                """
                auth: none
                routes: [{path: /*, service: s, url: "http://s", rate_limit: {rate: 3/min, algorithm: \(algorithm)}}]
                """, services: ["s"])
            var asked = bench.world.now
            var answer = try bench.ask("/")
            while answer.status == 200 {
                asked = bench.world.now
                answer = try bench.ask("/")
            }
            let wait = try #require(answer["Retry-After"].flatMap { Int($0) })
            // Two periods at most: of a counter, the period before counts as well.
            #expect((1...120).contains(wait), "\(algorithm): \(wait)")
            bench.world.pass(max(.zero, asked + .seconds(wait - 1) - bench.world.now))
            #expect(try bench.ask("/").status == 429, "\(algorithm): \(wait)")
            bench.world.pass(max(.zero, asked + .seconds(wait) - bench.world.now))
            #expect(try bench.ask("/").status == 200, "\(algorithm): \(wait)")
        }
    }
}
