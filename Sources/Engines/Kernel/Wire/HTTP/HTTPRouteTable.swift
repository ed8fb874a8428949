import KernelStructures

/// Which handler a request is for: methods, and paths with parameters in them.
///
/// ## An everyday picture
///
/// A sorting office. Each segment of the path is a line of the address, and at each line a letter goes to the
/// pigeonhole with exactly that word, else to the one for numbers, else to the one for any word, and only then into the
/// box that takes all that is left. If a pigeonhole turns out to lead nowhere, the next best one is tried.
///
/// ## How
///
/// ```
/// template  = "/" [ segment *( "/" segment ) ]
/// segment   = word | "{" name "}" | "{" name ": Int" "}" | "{" name "..." "}"   ; the last: at the end only
/// ```
///
/// `{name}` takes one segment that is not empty, `{count: Int}` one that is a decimal number of 64 bits, `{rest...}`
/// all that is left, at least one segment. The type takes part in the matching: `/nodes/abc` is not `/nodes/{count:
/// Int}`.
///
/// **Precedence** does not depend on the order in which routes were added. Segment by segment from the left a word goes
/// before `Int`, `Int` before a name, a name before the rest. The most precise route *that has the method* wins. If
/// none has it, the answer is 405 with the methods of all routes that fit the path; if none fits, 404.
///
/// `HEAD` is answered by `GET`'s handler. One slash at the end is ignored. Segments are decoded after they were taken
/// apart, so `%2F` is a part of a parameter.
///
/// The routes form a tree whose nodes have a fixed depth, so a look-up visits each at most once, whatever is asked for.
public struct HTTPRouteTable<Handler> {
    public enum Match {
        case found(Handler, HTTPParameters)
        /// The path is known, the method is not; these would be, in the order of the alphabet.
        case notAllowed([String])
        case notFound
        /// The path cannot be decoded.
        case malformed(String)
    }

    private enum Edge: Equatable {
        case word(String)
        case integer(String)
        case name(String)
        case rest(String)

        var rank: Int {
            switch self {
            case .word: 0
            case .integer: 1
            case .name: 2
            case .rest: 3
            }
        }
    }

    private struct TreeNode {
        /// In the order in which they are tried.
        var edges: [(edge: Edge, node: Int)] = []
        var handlers: [(method: String, handler: Handler)] = []
    }

    private var nodes = [TreeNode()]
    /// What was added, in order.
    public private(set) var routes: [(method: String, template: String)] = []

    /// Segments of a path; a longer one is not found.
    public static var segmentLimit: Int { 256 }

    public init() {}

    /// The paths there are, each once, in the order in which they were added.
    public var templates: [String] {
        var seen: Set<String> = []
        return routes.map(\.template).filter { seen.insert($0).inserted }
    }

    /// Adds a route. A template that is none, and a second handler for one method and path, are mistakes of whoever
    /// wrote the program, and stop it.
    public mutating func add(_ method: String, _ template: String, _ handler: Handler) {
        precondition(HTTPToken.isValid(method), "'\(method)' is no method")
        var node = 0
        for (index, edge) in Self.edges(of: template).enumerated() {
            if case .rest = edge {
                precondition(index == Self.edges(of: template).count - 1, "\(template): the rest stands at the end")
            }
            node = child(of: node, edge)
        }
        precondition(!nodes[node].handlers.contains { $0.method == method }, "\(method) \(template) is there already")
        nodes[node].handlers.append((method, handler))
        routes.append((method, template))
    }

    private static func edges(of template: String) -> [Edge] {
        precondition(template.hasPrefix("/"), "\(template): a path begins with a slash")
        return template.split(separator: "/").map { segment in
            guard segment.hasPrefix("{"), segment.hasSuffix("}") else {
                precondition(!segment.contains { "{}%?#".contains($0) }, "\(template): '\(segment)' is no segment")
                return .word(String(segment))
            }
            let inside = segment.dropFirst().dropLast()
            let name = String(inside.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
            precondition(!name.isEmpty, "\(template): a parameter without a name")
            switch inside.dropFirst(name.count) {
            case "": return .name(name)
            case ": Int": return .integer(name)
            case "...": return .rest(name)
            default: preconditionFailure("\(template): '\(segment)' is no segment")
            }
        }
    }

    private mutating func child(of node: Int, _ edge: Edge) -> Int {
        if let known = nodes[node].edges.first(where: { $0.edge == edge }) { return known.node }
        nodes.append(TreeNode())
        nodes[node].edges.append((edge, nodes.count - 1))
        // Stable: of two names for one place the earlier one is tried first.
        let ranked = nodes[node].edges.enumerated().sorted {
            ($0.element.edge.rank, $0.offset) < ($1.element.edge.rank, $1.offset)
        }
        nodes[node].edges = ranked.map(\.element)
        return nodes.count - 1
    }

    // MARK: Looking up

    /// - Parameter path: the target without its query, as it came.
    public func match(_ method: String, path: some Collection<UInt8>) -> Match {
        guard path.first == UInt8(ascii: "/") else { return .notFound }
        var pieces = path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        if pieces.last?.isEmpty ?? false { pieces.removeLast() }
        guard pieces.count <= Self.segmentLimit else { return .notFound }
        var segments: [String] = []
        do throws(PercentCoding.Malformed) {
            for piece in pieces { segments.append(try PercentCoding.decodeText(piece)) }
        } catch {
            return .malformed(error.description)
        }
        var search = Search(method: method, segments: segments)
        if let handler = search.descend(nodes, 0, 0) { return .found(handler, HTTPParameters(search.values)) }
        if search.methods.isEmpty { return .notFound }
        var methods = search.methods
        if methods.contains("GET") { methods.insert("HEAD") }
        return .notAllowed(methods.sorted())
    }

    private struct Search {
        let method: String
        let segments: [String]
        var values: [(name: String, value: String)] = []
        /// Those of routes that fit the path and lack the method.
        var methods: Set<String> = []

        mutating func descend(_ nodes: [TreeNode], _ node: Int, _ depth: Int) -> Handler? {
            if depth == segments.count { return handler(nodes[node]) }
            for (edge, next) in nodes[node].edges {
                let count = values.count
                var end = depth + 1
                switch edge {
                case .word(let word): if segments[depth] != word { continue }
                case .integer(let name):
                    guard HTTPParameters.integer(segments[depth]) != nil else { continue }
                    values.append((name, segments[depth]))
                case .name(let name):
                    if segments[depth].isEmpty { continue }
                    values.append((name, segments[depth]))
                case .rest(let name):
                    values.append((name, segments[depth...].joined(separator: "/")))
                    end = segments.count
                }
                if let found = descend(nodes, next, end) { return found }
                values.removeLast(values.count - count)
            }
            return nil
        }

        private mutating func handler(_ node: TreeNode) -> Handler? {
            if let own = node.handlers.first(where: { $0.method == method }) { return own.handler }
            if method == "HEAD", let get = node.handlers.first(where: { $0.method == "GET" }) { return get.handler }
            for known in node.handlers { methods.insert(known.method) }
            return nil
        }
    }
}

/// The values of a path's parameters, decoded. Asking for one that the template does not have is a mistake of whoever
/// wrote the program.
public struct HTTPParameters: Sendable {
    private let values: [(name: String, value: String)]

    init(_ values: [(name: String, value: String)]) { self.values = values }

    public static let none = HTTPParameters([])

    public subscript(_ name: String) -> String {
        guard let found = values.first(where: { $0.name == name }) else {
            preconditionFailure("the route has no parameter '\(name)'")
        }
        return found.value
    }

    /// A parameter that was declared as `Int`.
    public func integer(_ name: String) -> Int {
        guard let number = Self.integer(self[name]) else {
            preconditionFailure("the route's parameter '\(name)' is not declared as Int")
        }
        return number
    }

    /// Digits, perhaps with a minus; nothing else that `Int` would read.
    static func integer(_ text: String) -> Int? {
        let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        guard !digits.isEmpty, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return Int(text)
    }
}
