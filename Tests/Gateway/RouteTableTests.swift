import GatewayEngine
import KernelStructures
import TestSupport
import Testing

// @covers GW-C1 GW-H1 GW-M1
@Suite("Route table") struct RouteTableTests {
    /// The name of the route that a request gets.
    private func route(
        _ routes: String, _ target: String, method: String = "GET", host: String = "gateway", _ field: String...
    )
        throws -> String?
    {
        let configuration = try gateway("auth: none\nroutes:\n" + routes)
        let table = RouteTable(configuration.routes, versionField: configuration.versionField)
        var text = "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n"
        for line in field { text += line + "\r\n" }
        return table.match(try RouteRequest(head(text))).map { table.routes[$0.route].name }
    }

    private static let documented = """
        - {path: /api/users/*, service: a}
        - {path: /api/orders/*, service: b}
        - {path: /public/*, service: c}
        """

    @Test(
        "the documented routes",
        arguments: [
            ("/api/users/123", "users"), ("/api/users", "users"), ("/api/users/", "users"),
            ("/api/orders/1?x=1", "orders"),
            ("/public/x/y/z.css", "public"), ("/api/usersx", nil), ("/api", nil), ("/", nil), ("/publi", nil),
            ("/api/%75sers/1", "users"), ("/public/../api/users/1", "users"), ("//api//users/1", "users"),
        ] as [(String, String?)])
    func documented(_ target: String, _ wanted: String?) throws {
        #expect(try route(Self.documented, target) == wanted)
    }

    private static let precedence = """
        - {path: /*, service: s, name: all}
        - {path: /a/*, service: s, name: a}
        - {path: /a/b/*, service: s, name: ab}
        - {path: "~ /a/b/[0-9]+", service: s, name: number}
        - {path: /a/b/7, service: s, name: seven}
        - {path: /a/b/*, method: POST, service: s, name: post}
        - {path: /a/b/*, headers: {X-A: "1"}, service: s, name: field}
        - {path: /a/b/*, headers: {X-A: "1", X-B: "~ b.*"}, service: s, name: fields}
        - {path: /a/b/*, query: {q: "*"}, service: s, name: query}
        - {path: /a/*, host: h.lab, service: s, name: host}
        - {path: /a/*, host: "*.lab", service: s, name: below}
        - {path: /a/*, host: "*.x.lab", service: s, name: deeper}
        """

    @Test("exact, expression, longest prefix; then method, fields, query; hosts before all")
    func precedence() throws {
        let routes = Self.precedence
        #expect(try route(routes, "/z") == "all")
        #expect(try route(routes, "/a/x") == "a")
        #expect(try route(routes, "/a/b/x") == "ab")
        #expect(try route(routes, "/a/b/8") == "number")
        #expect(try route(routes, "/a/b/7") == "seven")
        #expect(try route(routes, "/a/b/x", method: "POST", "X-A: 1") == "post")
        #expect(try route(routes, "/a/b/x", "X-A: 1") == "field")
        #expect(try route(routes, "/a/b/x?q=", "X-A: 1", "X-B: bcd") == "fields")
        #expect(try route(routes, "/a/b/x", "X-A: 1", "X-B: abc") == "field")
        #expect(try route(routes, "/a/b/x?q=1") == "query")
        #expect(try route(routes, "/a/b/7", host: "H.lab:8080") == "host")
        #expect(try route(routes, "/a/b/7", host: "y.lab.") == "below")
        #expect(try route(routes, "/a/b/7", host: "y.x.lab") == "deeper")
        #expect(try route(routes, "/a/b/7", host: "x.lab") == "below")
        #expect(try route(routes, "/a/b/7", host: "lab") == "seven")
    }

    @Test("the order of the file decides only between equals") func order() throws {
        let lines = Self.precedence.split(separator: "\n").map(String.init)
        let reversed = lines.reversed().joined(separator: "\n")
        for target in ["/z", "/a/x", "/a/b/x", "/a/b/8", "/a/b/7", "/a/b/x?q=1"] {
            #expect(try route(Self.precedence, target) == route(reversed, target), "\(target)")
        }
        let twins = "- {path: /x, service: s, name: one}\n- {path: /x, service: s, name: two}"
        #expect(try route(twins, "/x") == "one")
    }

    @Test("a version stands before the path or in a field; others get the route without one") func versions() throws {
        let routes = """
            - {path: /api/users/*, service: s, name: old}
            - {path: /api/users/*, version: v2, service: s, name: new}
            """
        #expect(try route(routes, "/api/users/1") == "old")
        #expect(try route(routes, "/v2/api/users/1") == "new")
        #expect(try route(routes, "/v20/api/users/1") == nil)
        #expect(try route(routes, "/api/users/1", "X-API-Version: 2") == "new")
        #expect(try route(routes, "/api/users/1", "X-API-Version: v2") == "new")
        #expect(try route(routes, "/api/users/1", "X-API-Version: 9") == "old")
    }

    private struct Model {
        let name: String
        let segments: [String]
        let isPrefix: Bool
        let method: String?
        let needsField: Bool
        let order: Int

        init(_ order: Int, _ random: inout SeededRandom) {
            self.order = order
            name = "r\(order)"
            segments = (0..<random.below(4)).map { _ in ["a", "b", "c"][random.below(3)] }
            isPrefix = random.below(2) == 0
            method = random.below(3) == 0 ? "POST" : nil
            needsField = random.below(3) == 0
        }

        var yaml: String {
            let path = "/" + segments.joined(separator: "/")
            let shown = isPrefix ? (path == "/" ? "/*" : path + "/*") : path
            return "- {path: '\(shown)', service: s, name: \(name)" + (method.map { ", method: \($0)" } ?? "")
                + (needsField ? ", headers: {X: '1'}" : "") + "}\n"
        }

        func fits(_ asked: [String], _ asking: String, hasField: Bool) -> Bool {
            (isPrefix ? asked.starts(with: segments) : asked == segments) && (method ?? asking) == asking
                && (!needsField || hasField)
        }

        var rank: [Int] {
            [
                isPrefix ? 1 : 0, isPrefix ? -segments.count : 0, method == nil ? 1 : 0, needsField ? -1 : 0, order,
            ]
        }
    }

    /// The tree against the stated order, carried out as a scan over all routes.
    @Test("the tree finds what a scan in the order of precedence finds") func model() throws {
        for seed in 0..<(isLong ? 3000 : 100) {
            var random = SeededRandom(seed: UInt64(seed))
            let routes = (0..<12).map { Model($0, &random) }
            let yaml = "auth: none\nroutes:\n" + routes.map(\.yaml).joined()
            let table = RouteTable(try gateway(yaml).routes)
            for _ in 0..<20 {
                let asked = (0..<random.below(4)).map { _ in ["a", "b", "c"][random.below(3)] }
                let method = random.below(2) == 0 ? "POST" : "GET"
                let hasField = random.below(2) == 0
                let best = routes.filter { $0.fits(asked, method, hasField: hasField) }.min {
                    $0.rank.lexicographicallyPrecedes($1.rank)
                }
                let target = "/" + asked.joined(separator: "/")
                let request = try RouteRequest(
                    head("\(method) \(target) HTTP/1.1\r\nHost: h\r\n" + (hasField ? "X: 1\r\n" : "")))
                let found = table.match(request).map { table.routes[$0.route].name }
                #expect(found == best?.name, "seed \(seed): \(method) \(target) in\n\(yaml)")
            }
        }
    }

    @Test("of each route, the first condition that does not hold") func explanation() throws {
        let configuration = try gateway("auth: none\nroutes:\n" + Self.precedence)
        let table = RouteTable(configuration.routes)
        let verdicts = table.explain(try RouteRequest(get("/a/b/x", "X-A: 2")))
        #expect(verdicts[0].route == "ab" && verdicts[0].isChosen)
        func failure(_ name: String) -> RouteTable.Failure? { verdicts.first { $0.route == name }?.failure }
        #expect(failure("all") == nil && failure("a") == nil)
        #expect(failure("number") == .path && failure("seven") == .path && failure("post") == .method)
        #expect(failure("field") == .field && failure("query") == .query && failure("host") == .host)
        #expect(verdicts.first { $0.route == "field" }?.text == "field X-A is '2', not X-A: 1")
        #expect(verdicts.count == configuration.routes.count)
        #expect(verdicts.filter(\.isChosen).count == 1)
    }
}
