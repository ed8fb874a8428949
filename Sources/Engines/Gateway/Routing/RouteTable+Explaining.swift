import KernelStructures
import KernelWire

extension RouteTable {
    /// What one route has to say about a request.
    public struct Verdict: Equatable, Sendable {
        public let route: String
        /// The first of its conditions that does not hold; nil if all do.
        public let failure: Failure?
        /// Whether it gets the request: all its conditions hold, and no route before it had that as well.
        public let isChosen: Bool
        /// What matched, or how it failed, in words.
        public let text: String
    }

    public enum Failure: String, Equatable, Sendable { case host, path, method, version, field, query }

    /// Every route's opinion: the one that is chosen first, then those that would be, then the others in the file's
    /// order.
    public func explain(_ request: RouteRequest) -> [Verdict] {
        let chosen = match(request)?.route
        let verdicts = routes.indices.map { index -> (index: Int, verdict: Verdict) in
            let failure = firstFailure(of: index, request)
            let text = failure?.text ?? (index == chosen ? praise(index, request) : "would fit, but comes later")
            return (
                index,
                Verdict(route: routes[index].name, failure: failure?.kind, isChosen: index == chosen, text: text)
            )
        }
        func order(_ verdict: Verdict) -> Int { verdict.isChosen ? 0 : verdict.failure == nil ? 1 : 2 }
        return verdicts.sorted { (order($0.verdict), $0.index) < (order($1.verdict), $1.index) }.map(\.verdict)
    }

    private func praise(_ index: Int, _ request: RouteRequest) -> String {
        let route = routes[index]
        var words = ["path fits \(route.paths.map(\.description).joined(separator: " or "))"]
        if !route.hosts.isEmpty { words.insert("host \(request.host)", at: 0) }
        if !route.methods.isEmpty { words.append("method \(request.preflightMethod ?? request.head.methodText)") }
        words += (route.fields + route.query).map { "\($0)" }
        if let version = route.version { words.append("version \(version)") }
        return words.joined(separator: ", ")
    }

    /// The first condition that does not hold, in the order in which they are looked at.
    private func firstFailure(of index: Int, _ request: RouteRequest) -> (kind: Failure, text: String)? {
        let route = routes[index]
        if !route.hosts.isEmpty, !route.hosts.contains(where: { Self.fits($0, request.host) }) {
            let names = route.hosts.map(\.description).joined(separator: ", ")
            return (.host, request.host.isEmpty ? "no host; it wants \(names)" : "\(request.host) is not \(names)")
        }
        var entries: [Entry] = []
        visit(request) { entry, _ in
            if entry.route == index { entries.append(entry) }
            return false
        }
        if entries.isEmpty {
            let path = String(decoding: request.path, as: UTF8.self)
            return (.path, "\(path) does not fit \(route.paths.map(\.description).joined(separator: " or "))")
        }
        if !route.methods.isEmpty, !route.methods.contains(where: request.hasMethod) {
            let method = request.preflightMethod ?? request.head.methodText
            return (.method, "\(method) is not \(route.methods.joined(separator: ", "))")
        }
        if let version = route.version, entries.allSatisfy(\.needsVersionField),
            !request.asks(forVersion: version, by: versionField)
        {
            return (.version, "neither /\(version) nor \(versionField): \(version)")
        }
        for match in route.fields where !match.matches(request.field(match.name)) {
            return (.field, Self.text(match, request.field(match.name), "field"))
        }
        for match in route.query {
            let found = request.query?.items.first { $0.name == match.name }?.value
            if !match.matches(found) { return (.query, Self.text(match, found, "query")) }
        }
        return nil
    }

    private static func fits(_ pattern: HostPattern, _ host: String) -> Bool {
        switch pattern {
        case .exact(let name): host == name
        case .below(let name): host.utf8.count > name.utf8.count + 1 && host.hasSuffix("." + name)
        }
    }

    private static func text(_ match: ValueMatch, _ found: String?, _ what: String) -> String {
        found.map { "\(what) \(match.name) is '\($0.prefix(80))', not \(match)" } ?? "no \(what) \(match.name)"
    }
}
