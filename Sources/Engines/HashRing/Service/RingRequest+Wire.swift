import KernelWire

extension RingRequest {
    /// How it is written: method, target and body. Reading that gives the same request.
    public var wire: (method: String, target: String, body: [UInt8]) {
        switch self {
        case .stats: ("GET", "/ring", [])
        case .drawing(let keys): ("GET", "/ring/drawing" + HTTPQuery.text(keys.map { ("key", $0) }), [])
        case .export: ("GET", "/ring/export", [])
        case .lookup(let keys, let factor): Self.lookup(keys, factor)
        case .add(let node): ("POST", "/nodes" + HTTPQuery.text(Self.fields(node)), [])
        case .reweight(let node):
            (
                "PATCH",
                "/nodes/\(PercentCoding.encode(node.name))" + HTTPQuery.text(Array(Self.fields(node).dropFirst())), []
            )
        case .remove(let name): ("DELETE", "/nodes/\(PercentCoding.encode(name))", [])
        case .preview(let kind, let node):
            ("GET", "/preview" + HTTPQuery.text([("change", kind.rawValue)] + Self.fields(node)), [])
        case .moved(let ranges): ("GET", "/moved" + HTTPQuery.text([("ranges", String(ranges))]), [])
        case .advise(let percent, let nodes):
            (
                "GET",
                "/advice" + HTTPQuery.text([("deviation", "\(percent)"), ("nodes", nodes.map(String.init))]), []
            )
        case .hotKeys(let settings):
            (
                "GET",
                "/hot-keys"
                    + HTTPQuery.text([
                        ("keys", "\(settings.keys)"), ("requests", "\(settings.requests)"),
                        ("skew", "\(settings.skewPercent)"), ("bound", "\(settings.boundPercent)"),
                    ]), []
            )
        case .compare(let keys, let add, let remove, let hash):
            (
                "GET",
                "/compare"
                    + HTTPQuery.text([
                        ("keys", keys.map(String.init)), ("add", add), ("remove", remove), ("hash", hash?.rawValue),
                    ]), []
            )
        }
    }

    /// Many keys are lines of a body, unless one of them would be more than one line, or none.
    private static func lookup(_ keys: [String], _ factor: Int?) -> (method: String, target: String, body: [UInt8]) {
        let factorField: (String, String?) = ("rf", factor.map(String.init))
        let areLines = keys.allSatisfy { !$0.isEmpty && !$0.utf8.contains(10) && $0.utf8.last != 13 }
        if areLines, keys.reduce(0, { $0 + $1.utf8.count }) > 2000 {
            return ("POST", "/lookup" + HTTPQuery.text([factorField]), Array(keys.joined(separator: "\n").utf8))
        }
        return ("GET", "/lookup" + HTTPQuery.text([factorField] + keys.map { ("key", $0) }), [])
    }

    private static func fields(_ node: NodeWords) -> [(String, String?)] {
        [
            ("name", node.name), ("vnodes", node.virtualNodes.map(String.init)),
            ("weight", node.weight.map(String.init)), ("zone", node.zone),
        ]
    }
}
