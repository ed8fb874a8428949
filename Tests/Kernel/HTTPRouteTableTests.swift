import KernelStructures
import KernelWire
import TestSupport
import Testing

@Suite("Which handler a path is for")
struct HTTPRouteTableTests {
    private static let routes = [
        ("GET", "/"), ("GET", "/nodes"), ("POST", "/nodes"), ("GET", "/nodes/{name}"), ("DELETE", "/nodes/{name}"),
        ("POST", "/nodes/import"), ("GET", "/nodes/{number: Int}"), ("GET", "/rings/{name}/nodes/{count: Int}"),
        ("PUT", "/files/{path...}"), ("GET", "/files/index"), ("GET", "/{a}/{b}/end"), ("GET", "/x/{b}"),
    ]

    private static func table(_ routes: [(String, String)]) -> HTTPRouteTable<String> {
        var table = HTTPRouteTable<String>()
        for (method, template) in routes { table.add(method, template, "\(method) \(template)") }
        return table
    }

    private func say(_ table: HTTPRouteTable<String>, _ method: String, _ path: String) -> String {
        switch table.match(method, path: Array(path.utf8)) {
        case .found(let handler, _): handler
        case .notAllowed(let methods): "405 " + methods.joined(separator: ",")
        case .notFound: "404"
        case .malformed(let text): "400 " + text
        }
    }

    @Test(
        "precedence, methods and types",
        arguments: [
            ("GET", "/", "GET /"), ("HEAD", "/nodes", "GET /nodes"), ("GET", "/nodes/", "GET /nodes"),
            ("GET", "/nodes/a", "GET /nodes/{name}"), ("GET", "/nodes/7", "GET /nodes/{number: Int}"),
            ("GET", "/nodes/-7", "GET /nodes/{number: Int}"), ("GET", "/nodes/+7", "GET /nodes/{name}"),
            ("GET", "/nodes/99999999999999999999", "GET /nodes/{name}"),
            // The most precise route that has the method.
            ("DELETE", "/nodes/7", "DELETE /nodes/{name}"), ("POST", "/nodes/import", "POST /nodes/import"),
            ("GET", "/nodes/import", "GET /nodes/{name}"), ("PATCH", "/nodes/import", "405 DELETE,GET,HEAD,POST"),
            ("PATCH", "/nodes/a", "405 DELETE,GET,HEAD"), ("POST", "/", "405 GET,HEAD"),
            ("GET", "/rings/r/nodes/5", "GET /rings/{name}/nodes/{count: Int}"), ("GET", "/rings/r/nodes/x", "404"),
            ("PUT", "/files/a/b", "PUT /files/{path...}"), ("PUT", "/files", "404"), ("PUT", "/files/", "404"),
            ("GET", "/files/index", "GET /files/index"), ("GET", "/files/a", "405 PUT"),
            // A pigeonhole that leads nowhere.
            ("GET", "/x/y/end", "GET /{a}/{b}/end"), ("GET", "/nodes/q/end", "GET /{a}/{b}/end"),
            ("GET", "//b/end", "404"), ("GET", "", "404"), ("GET", "nodes", "404"), ("OPTIONS", "*", "404"),
            ("GET", "/nodes/%zz", "400 a % must be followed by two hexadecimal digits; % itself is %25"),
            ("GET", "/nodes/%ff", "400 that is not UTF-8"), ("get", "/", "405 GET,HEAD"), ("GET", "/Nodes", "404"),
            ("GET", "/n%6Fdes", "GET /nodes"),
        ])
    func matches(_ method: String, _ path: String, _ expected: String) {
        #expect(say(Self.table(Self.routes), method, path) == expected)
        #expect(say(Self.table(Self.routes.reversed()), method, path) == expected, "in the other order")
    }

    @Test("parameters are decoded after the path was taken apart")
    func parameters() {
        let table = Self.table(Self.routes)
        func parameters(_ method: String, _ path: String) -> HTTPParameters {
            guard case .found(_, let parameters) = table.match(method, path: Array(path.utf8)) else { return .none }
            return parameters
        }
        #expect(parameters("GET", "/nodes/a%2Fb+%C3%A9")["name"] == "a/b+é")
        #expect(parameters("GET", "/rings/r/nodes/5").integer("count") == 5)
        #expect(parameters("PUT", "/files/a//b%2F/")["path"] == "a//b/")
        #expect(parameters("GET", "/nodes/q/end")["a"] == "nodes")
    }

    @Test("as a slow reference has it: all routes, sorted by precedence", arguments: 1...60 as ClosedRange<UInt64>)
    func model(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let segments = ["a", "b", "7", "{p}", "{p: Int}"]
        var routes: [(String, String)] = []
        for _ in 0..<12 {
            var path = "/" + (0..<random.below(4)).map { _ in segments[random.below(5)] }.joined(separator: "/")
            if random.chance(0.2) { path += path == "/" ? "{r...}" : "/{r...}" }
            let method = random.chance(0.7) ? "GET" : "PUT"
            if !routes.contains(where: { $0 == (method, path) }) { routes.append((method, path)) }
        }
        let table = Self.table(routes)
        for _ in 0..<200 {
            let words = (0..<random.below(5)).map { _ in ["a", "b", "7", "c"][random.below(4)] }
            let method = random.chance(0.7) ? "GET" : "PUT"
            #expect(
                say(table, method, "/" + words.joined(separator: "/")) == Self.reference(routes, method, words),
                "\(routes) \(method) \(words)")
        }
    }

    private static func reference(_ routes: [(String, String)], _ method: String, _ words: [String]) -> String {
        var fitting: [(rank: [Int], method: String, template: String)] = []
        for (method, template) in routes {
            let parts = template.split(separator: "/").map(String.init)
            var rank: [Int] = []
            for (index, part) in parts.enumerated() {
                if part == "{r...}", index < words.count {
                    rank.append(3)
                } else if index >= words.count {
                    break
                } else if part == words[index] {
                    rank.append(0)
                } else if part == "{p: Int}", Int(words[index]) != nil {
                    rank.append(1)
                } else if part == "{p}" {
                    rank.append(2)
                } else {
                    break
                }
            }
            let isOpen = parts.last == "{r...}"
            if rank.count == parts.count, isOpen || parts.count == words.count {
                fitting.append((rank, method, template))
            }
        }
        fitting.sort { $0.rank.lexicographicallyPrecedes($1.rank) }
        if let first = fitting.first(where: { $0.method == method }) { return "\(method) \(first.template)" }
        if fitting.isEmpty { return "404" }
        var methods = Set(fitting.map(\.method))
        if methods.contains("GET") { methods.insert("HEAD") }
        return "405 " + methods.sorted().joined(separator: ",")
    }
}
