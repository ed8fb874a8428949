import GatewayEngine
import GatewayService
import KernelStructures
import RateLimiterEngine
import TestSupport
import Testing

// @covers GW-C1 GW-C3
@Suite("Gateway configuration") struct ConfigurationTests {
    @Test("the documented file") func documented() throws {
        let configuration = try gateway(
            """
            routes:
            - path: /api/users/*
              service: user-service
              url: http://users:8080
              auth: jwt
              rate_limit: 100/min
            - path: /api/orders/*
              service: order-service
              url: http://orders:8080
              auth: jwt
              rate_limit: 50/min
            - path: /public/*
              service: static
              url: http://static:80
              auth: none
            """)
        #expect(configuration.routes.map(\.name) == ["users", "orders", "public"])
        #expect(configuration.services.map(\.name) == ["user-service", "order-service", "static"])
        let limit = try #require(configuration.routes[0].limit)
        #expect(limit.quota.count == 100 && limit.quota.period == .seconds(60) && limit.name == "users")
        #expect(limit.algorithm == .slidingCounter)
        #expect(configuration.routes[0].access.methods == [.jwt] && configuration.routes[2].access.methods == [])
    }

    @Test("the reference can be read, and every key stands in it") func reference() throws {
        let configuration = try gateway(GatewayConfiguration.reference)
        #expect(configuration.routes.map(\.name) == ["users", "search", "dashboard", "old"])
        for key in ["idle", "secret_file", "leeway", "encoded_slashes", "partial_status", "base_path", "shadow"] {
            #expect(GatewayConfiguration.reference.contains(key), "\(key)")
        }
    }

    @Test("values in the reference are the defaults where the comment says so") func defaults() throws {
        let plain = try gateway("routes: [{path: /, url: 'http://a', auth: none}]")
        let reference = try gateway(GatewayConfiguration.reference)
        #expect(plain.headLimitBytes == reference.headLimitBytes && plain.idleTimeout == reference.idleTimeout)
        #expect(plain.requestTimeout == reference.requestTimeout && plain.versionField == reference.versionField)
        #expect(plain.shutdownTimeout == reference.shutdownTimeout && plain.registry == reference.registry)
        let (one, other) = (plain.routes[0], reference.routes[0])
        #expect(
            one.bodyLimitBytes == other.bodyLimitBytes && one.timeout == other.timeout && one.retries == other.retries)
        #expect(one.responseTimeout == other.responseTimeout)
        #expect(reference.jwt?.cachedTokenLimit == GatewayConfiguration.JWTSettings().cachedTokenLimit)
        #expect(reference.jwt?.leeway == GatewayConfiguration.JWTSettings().leeway)
        #expect(reference.introspection?.cacheTime == GatewayConfiguration.IntrospectionSettings(url: "x").cacheTime)
    }

    @Test(
        "an empty list is neither none nor any",
        arguments: [
            ("auth: []\nroutes: [{path: /, url: 'http://a'}]", "gateway.yaml:1:7: auth is an empty list"),
            (
                "auth: jwt\nroutes:\n- {path: /, url: 'http://a', auth: []}",
                "gateway.yaml:3:36: auth is an empty list; write none"
            ),
            (
                "cors: {origins: []}\nroutes: [{path: /, url: 'http://a', auth: none}]",
                "gateway.yaml:1:17: origins is an empty list"
            ),
            ("jwt: {issuer: []}\nroutes: [{path: /, url: 'http://a', auth: jwt}]", "1:15: issuer is an empty list"),
            ("jwt: {audience: []}\nroutes: [{path: /, url: 'http://a', auth: jwt}]", "audience is an empty list"),
            ("jwt: {algorithms: []}\nroutes: [{path: /, url: 'http://a', auth: jwt}]", "algorithms is an empty list"),
            ("routes: [{path: /, url: 'http://a', auth: none, host: []}]", "host is an empty list"),
            ("routes: [{path: /, url: 'http://a', auth: none, method: []}]", "method is an empty list"),
            (
                "cors: {origins: ['*'], credentials: true}\nroutes: [{path: /, url: 'http://a', auth: none}]",
                "gateway.yaml:1:37: credentials for any origin?"
            ),
            ("cors: {credentials: true}\nroutes: [{path: /, url: 'http://a', auth: none}]", "credentials for any"),
            (
                "cors: {origins: ['https://a.lab/path']}\nroutes: [{path: /, url: 'http://a', auth: none}]",
                "'https://a.lab/path' is no origin"
            ),
            (
                "services: {a: {url: 'http://x', breaker: {failureRateThreshold: [5]}}}\nroutes: []",
                "failureRateThreshold"
            ),
        ])
    func emptyLists(_ yaml: String, _ expected: String) {
        #expect(complaint(yaml).contains(expected), "\(complaint(yaml))")
    }

    @Test("a check finds what a start would, in the files as well") func check() throws {
        let tokens = try gateway("routes: [{path: /, url: 'http://a', auth: jwt}]")
        struct Missing: Error {}
        #expect(throws: Missing.self) { try GatewayHost.check(tokens) { _ in throw Missing() } }
        #expect(throws: (any Error).self) { try GatewayHost.check(tokens) { _ in Array("no keys".utf8) } }
        try GatewayHost.check(try gateway("routes: [{path: /, url: 'http://a', auth: none}]")) { _ in throw Missing() }
    }

    @Test("a route that one before it hides is known; one for other methods or hosts is not hidden")
    func hidden() throws {
        let routes = ["name: a", "name: b", "name: c, method: GET", "name: d, host: x.example", "name: e"].map {
            "- {path: /a, service: s, auth: none, \($0)}\n"
        }
        let hidden = try gateway("routes:\n" + routes.joined()).hiddenRoutes
        #expect(hidden.map(\.name) == ["b", "e"] && hidden.allSatisfy { $0.by == "a" })
    }

    @Test(
        "what is wrong is said with its place",
        arguments: [
            ("", "gateway.yaml:1:1: there are no routes"),
            ("routes: []", "gateway.yaml:1:9: the list of routes is empty"),
            ("routes:\n- {path: /a, service: s}", "gateway.yaml:2:3: who may use it?"),
            ("routes:\n- {path: /a, auth: none}", "gateway.yaml:2:3: where does it lead?"),
            ("routes:\n- {service: s, auth: none}", "gateway.yaml:2:3: a route needs a path"),
            ("routes:\n- {path: a, service: s, auth: none}", "gateway.yaml:2:10: path 'a' must begin with /"),
            (
                "routes:\n- {path: /a//b, service: s, auth: none}",
                "gateway.yaml:2:10: path '/a//b' is never asked for; write /a/b"
            ),
            ("routes:\n- {path: /a*, service: s, auth: none}", "gateway.yaml:2:10: path '/a*': *"),
            ("routes:\n- {path: '~ (', service: s, auth: none}", "gateway.yaml:2:10: "),
            (
                "routes:\n- {path: /a, service: s, auth: jwtt}",
                "gateway.yaml:2:32: auth 'jwtt' is unknown; did you mean jwt?"
            ),
            ("routes:\n- {path: /a, service: s, auth: api-key}", "gateway.yaml:2:3: auth: api-key needs api_keys"),
            (
                "routes:\n- {path: /a, service: s, auth: none, scopes: [x]}",
                "gateway.yaml:2:3: scopes and claims need auth"
            ),
            (
                "routes:\n- {path: /a, service: s, auth: none, rate_limit: 100}",
                "gateway.yaml:2:50: rate_limit must be such as 100/min"
            ),
            (
                "routes:\n- {path: /a, service: s, auth: none, rate_limit: 0/min}",
                "gateway.yaml:2:50: rate_limit must be"
            ),
            ("routes:\n- {path: /a, service: s, url: 'ftp://x', auth: none}", "gateway.yaml:2:31: url 'ftp://x'"),
            ("routes:\n- {path: /a, split: {}, auth: none}", "gateway.yaml:2:21: split must be"),
            ("routes:\n- {path: /a, split: {a: 0}, auth: none}", "gateway.yaml:2:21: no share has a weight"),
            (
                "routes:\n- {path: /a, split: {a: 1}, service: b, auth: none}",
                "gateway.yaml:2:3: split and service? one of them"
            ),
            (
                "routes:\n- {path: /a, service: s, auth: none, request_headers: {set: {Host: x}}}",
                "gateway.yaml:2:62: Host cannot be changed here; see host_rewrite"
            ),
            ("routes:\n- {path: /a, service: s, auth: none, retries: 11}", "gateway.yaml:2:47: retries must be"),
            ("routes:\n- {path: /a, service: s, auth: none, pahts: 1}", "gateway.yaml:2:38: unknown key 'pahts'"),
            (
                "routes:\n- {path: /a, service: s, url: 'http://a', auth: none}\n- {path: /b, service: s, url: 'http://b', auth: none}",
                "gateway.yaml:3:31: s has another url already"
            ),
            (
                "jwt: {algorithms: [HS256]}\nroutes: []",
                "gateway.yaml:1:20: 'HS256' is no algorithm of tokens here; a secret"
            ),
            ("jwt: {algorithms: [none]}\nroutes: []", "gateway.yaml:1:20: 'none' is no algorithm"),
            ("jwt: {keys: a, secret_file: b}\nroutes: []", "gateway.yaml:1:6: keys and secret_file?"),
            ("api_keys: {keys: [{name: a, sha256: abc}]}\nroutes: []", "gateway.yaml:1:37: sha256 has 64"),
            ("services: {a: {servers: []}}\nroutes: []", "gateway.yaml:1:25: servers: 1 to 1000"),
            ("services: {a: {}}\nroutes: []", "gateway.yaml:1:15: a service needs a url, servers or discover"),
            (
                "services: {a: {url: 'http://x', breaker: {failureRateThreshold: 500}}}\nroutes: []",
                "gateway.yaml:1:42: breaker: failureRateThreshold"
            ),
            (
                "routes:\n- path: /d\n  auth: none\n  aggregate: {parts: [{service: s, path: '/{x.y}'}]}",
                "gateway.yaml:4:42: {x…}: no part before it has this name"
            ),
            (
                "routes:\n- path: /d\n  auth: none\n  aggregate: {parts: [{service: s, path: x}]}",
                "gateway.yaml:4:42: path: 'x' must begin with /"
            ),
            ("routes:\n- {path: /a, auth: none, redirect: {}}", "gateway.yaml:2:36: it would lead to itself"),
            ("max_head: 10\nroutes: []", "gateway.yaml:1:11: max_head must be"),
        ])
    func mistakes(_ yaml: String, _ wanted: String) {
        let found = complaint(yaml)
        #expect(found.hasPrefix(wanted), "\(found)")
    }

    @Test("names follow from paths, and stay apart") func names() throws {
        let configuration = try gateway(
            "auth: none\nroutes: [{path: /*, service: s}, {path: /a/x, service: s}, {path: /b/x/*, service: s}, {path: '~ /[0-9]+', service: s}]"
        )
        #expect(configuration.routes.map(\.name) == ["root", "x", "x-2", "0-9"])
        #expect(
            complaint("auth: none\nroutes: [{path: /a, name: n, service: s}, {path: /b, name: n, service: s}]")
                .contains("two routes are called n"))
    }

    /// Damaged files are refused with a place, and nothing traps.
    @Test("any damage to a file is an error with its place, or a file") func fuzz() {
        let original = Array(GatewayConfiguration.reference.utf8)
        for seed in 0..<(isLong ? 20_000 : 400) {
            var random = SeededRandom(seed: UInt64(seed))
            var bytes = original
            for _ in 0...random.below(4) {
                let place = random.below(bytes.count)
                switch random.below(4) {
                case 0: bytes[place] = UInt8(random.below(128))
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(contentsOf: Array("9999999999999999999".utf8), at: place)
                default: bytes.removeSubrange(place..<min(bytes.count, place + random.below(40)))
                }
            }
            do {
                _ = try GatewayConfiguration(yaml: bytes, file: "g")
            } catch { #expect(error.place.line >= 1 && !error.text.isEmpty) }
        }
    }
}
