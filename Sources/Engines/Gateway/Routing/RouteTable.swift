import KernelStructures
import KernelWire

/// Which route a request is for.
///
/// ## The problem
///
/// Routes overlap: `/api/*`, `/api/users/*`, the same for one host, for one method, for clients that ask for version 2.
/// Somebody has to win, and it must not be whoever stands first in the file by accident: a file is sorted, split and
/// merged, and nobody expects the traffic to move then. And a gateway has hundreds of routes, and a request
/// microseconds.
///
/// ## An everyday picture
///
/// A telephone directory of a ministry. First the building (host), then the door with exactly this name, then the
/// floor, the wing, the house. Only at the door does the porter ask what it is about.
///
/// ## How
///
/// For each host (exact names, then the longest `*.suffix`, then routes for all hosts) there is a tree of path
/// segments. One walk along the request's path meets every route whose path fits, the most precise last; then the first
/// whose other conditions hold wins:
///
/// 1. an exact host before `*.suffix`, a longer suffix before a shorter, any before none;
/// 2. an exact path; then regular expressions in the file's order; then the longest prefix;
/// 3. one that names methods before one that does not;
/// 4. more conditions on fields, then more on the query;
/// 5. the file's order.
///
/// That is the order of the Kubernetes Gateway API, with nginx's place for regular expressions, which the API leaves
/// open. A prefix is one of whole segments: `/api` is not a prefix of `/apix`.
///
/// **Versions.** A route with `version: v2` is there twice: under `/v2` before its path (which servers do not see), and
/// under its path for clients that ask for it by a field. A route without a version is for everybody else.
///
/// ## Where it is wrong
///
/// Regular expressions are tried one by one: a thousand of them are a scan.
///
/// An object, so that to look something up copies nothing of it.
public final class RouteTable: Sendable {
    public let routes: [Route]
    let versionField: String
    private let exact: [String: Tree]
    /// By suffix, the longest first.
    private let below: [(suffix: String, tree: Tree)]
    private let any: Tree

    /// A route's place in a tree.
    struct Entry: Sendable {
        let route: Int
        /// Bytes of the version before its path.
        let versionLength: Int
        /// Whether its version has to be asked for by a field.
        let needsVersionField: Bool
        let pattern: Int
        /// Whether nothing but host and path counts.
        let isUnconditional: Bool
        /// Smaller goes first.
        let rank: Rank
    }

    struct Rank: Comparable, Sendable {
        let values: [Int]
        static func < (a: Rank, b: Rank) -> Bool { a.values.lexicographicallyPrecedes(b.values) }
    }

    struct TreeNode: Sendable {
        /// Where it hangs, and the bytes of the segment by which; the root hangs on itself.
        var parent = 0
        var segmentLength = 0
        var children: [ArraySlice<UInt8>: Int] = [:]
        var exact: [Entry] = []
        var prefix: [Entry] = []
    }

    struct Tree: Sendable {
        var nodes = [TreeNode()]
        var expressions: [Entry] = []
        var isEmpty: Bool { nodes.count == 1 && nodes[0].prefix.isEmpty && expressions.isEmpty }
    }

    /// A route that fits.
    public struct Match: Equatable, Sendable {
        /// Its index.
        public let route: Int
        /// Bytes of a version at the path's beginning, which servers do not see.
        public let versionLength: Int
        /// Bytes of the path that its prefix is, behind the version; all of them for other patterns.
        public let prefixLength: Int
    }

    public init(_ routes: [Route], versionField: String = "X-API-Version") {
        self.routes = routes
        self.versionField = versionField
        var hosts: [(HostPattern?, Tree)] = []
        for (index, route) in routes.enumerated() {
            for host in route.hosts.isEmpty ? [nil] : route.hosts.map(Optional.some) {
                let place = hosts.firstIndex { $0.0 == host }
                if place == nil { hosts.append((host, Tree())) }
                let tree = place ?? hosts.count - 1
                for pattern in route.paths.indices { Self.add(route, index, pattern, to: &hosts[tree].1) }
            }
        }
        var exact: [String: Tree] = [:]
        var below: [(suffix: String, tree: Tree)] = []
        var any = Tree()
        for (host, tree) in hosts {
            let sorted = Self.sorted(tree)
            switch host {
            case nil: any = sorted
            case .exact(let name): exact[name] = sorted
            case .below(let suffix): below.append(("." + suffix, sorted))
            }
        }
        self.exact = exact
        self.below = below.sorted { $0.suffix.utf8.count > $1.suffix.utf8.count }
        self.any = any
    }

    private static func add(_ route: Route, _ index: Int, _ pattern: Int, to tree: inout Tree) {
        let before = route.version.map { "/" + $0 } ?? ""
        let forms = route.version == nil ? [(0, false)] : [(before.utf8.count, false), (0, true)]
        for (length, needsField) in forms {
            let rank = Rank(values: [
                route.methods.isEmpty ? 1 : 0, -(route.fields.count + (needsField ? 1 : 0)), -route.query.count, index,
            ])
            let entry = Entry(
                route: index, versionLength: length, needsVersionField: needsField, pattern: pattern,
                isUnconditional: !needsField && route.methods.isEmpty && route.fields.isEmpty && route.query.isEmpty,
                rank: rank)
            let version = length > 0 ? before : ""
            switch route.paths[pattern] {
            case .exact(let path):
                let node = place(version + path, in: &tree)
                tree.nodes[node].exact.append(entry)
            case .prefix(let path):
                let node = place(version + path, in: &tree)
                tree.nodes[node].prefix.append(entry)
            case .expression: tree.expressions.append(entry)
            }
        }
    }

    /// The node of a path; those on the way to it are made. A slash at the end is an empty segment.
    private static func place(_ path: String, in tree: inout Tree) -> Int {
        if path.isEmpty { return 0 }
        var node = 0
        for segment in Array(path.utf8).dropFirst().split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        {
            if let known = tree.nodes[node].children[segment] {
                node = known
            } else {
                tree.nodes.append(TreeNode(parent: node, segmentLength: segment.count))
                tree.nodes[node].children[ArraySlice(Array(segment))] = tree.nodes.count - 1
                node = tree.nodes.count - 1
            }
        }
        return node
    }

    private static func sorted(_ tree: Tree) -> Tree {
        var tree = tree
        for index in tree.nodes.indices {
            tree.nodes[index].exact.sort { $0.rank < $1.rank }
            tree.nodes[index].prefix.sort { $0.rank < $1.rank }
        }
        tree.expressions.sort { $0.route < $1.route }
        return tree
    }

    // MARK: Looking up

    public func match(_ request: RouteRequest) -> Match? {
        var found: Match?
        visit(request) { entry, prefixLength in
            guard isSatisfied(entry, request) else { return false }
            found = Match(route: entry.route, versionLength: entry.versionLength, prefixLength: prefixLength)
            return true
        }
        return found
    }

    /// Shows the routes whose host and path fit, in the order of precedence, until `body` has had enough.
    func visit(_ request: RouteRequest, _ body: (Entry, _ prefixLength: Int) -> Bool) {
        if !exact.isEmpty || !below.isEmpty {
            let host = request.host
            if let tree = exact[host], visit(tree, request, body) { return }
            for (suffix, tree) in below
            where host.utf8.count > suffix.utf8.count && host.hasSuffix(suffix) && visit(tree, request, body) { return }
        }
        _ = visit(any, request, body)
    }

    /// - Returns: whether `body` has had enough.
    private func visit(_ tree: Tree, _ request: RouteRequest, _ body: (Entry, Int) -> Bool) -> Bool {
        let path = request.path
        guard path.first == UInt8(ascii: "/") else { return false }
        // As far along the path as there are nodes, and the bytes that lead there.
        var node = 0
        var length = 0
        while length < path.count {
            let start = length + 1
            let end = path[start...].firstIndex(of: UInt8(ascii: "/")) ?? path.count
            guard let next = tree.nodes[node].children[path[start..<end]] else { break }
            (node, length) = (next, end)
        }
        if length == path.count {
            for entry in tree.nodes[node].exact where body(entry, path.count - entry.versionLength) { return true }
        }
        for entry in tree.expressions where matchesExpression(entry, path) {
            if body(entry, path.count - entry.versionLength) { return true }
        }
        // And back.
        while true {
            for entry in tree.nodes[node].prefix where body(entry, length - entry.versionLength) { return true }
            if node == 0 { return false }
            length -= tree.nodes[node].segmentLength + 1
            node = tree.nodes[node].parent
        }
    }

    private func matchesExpression(_ entry: Entry, _ path: [UInt8]) -> Bool {
        let route = routes[entry.route]
        guard case .expression(let expression) = route.paths[entry.pattern] else { return false }
        var start = 0
        if entry.versionLength > 0, let version = route.version {
            guard path.starts(with: ("/" + version).utf8), path.count > entry.versionLength else { return false }
            start = entry.versionLength
        }
        return path[start...].withUnsafeBytes { expression.matches($0, .whole) }
    }

    private func isSatisfied(_ entry: Entry, _ request: RouteRequest) -> Bool {
        if entry.isUnconditional { return true }
        let route = routes[entry.route]
        if !route.methods.isEmpty, !route.methods.contains(where: request.hasMethod) { return false }
        if entry.needsVersionField, let version = route.version {
            guard request.asks(forVersion: version, by: versionField) else { return false }
        }
        // What a preflight will send, it does not send yet.
        if request.preflightMethod != nil { return true }
        for match in route.fields where !match.matches(request.field(match.name)) { return false }
        if route.query.isEmpty { return true }
        guard let query = request.query else { return false }
        return route.query.allSatisfy { match in
            match.matches(query.items.first { $0.name == match.name }?.value)
        }
    }

    /// The methods that routes for this host and path have, if the request's is none of them; empty if it is not the
    /// method that keeps the request out.
    public func methods(otherThanThatOf request: RouteRequest) -> [String] {
        var methods: Set<String> = []
        var isFine = false
        visit(request) { entry, _ in
            let route = routes[entry.route]
            isFine = isFine || route.methods.isEmpty || route.methods.contains(where: request.hasMethod)
            methods.formUnion(route.methods)
            return false
        }
        return isFine ? [] : methods.sorted()
    }
}
