import KernelStructures

/// The names and values after the `?` of a request to the ring. Each is taken once; what is left over was a mistake.
struct RingQuery {
    private var fields: [(name: String, value: String)] = []
    /// What was asked for, for did-you-mean.
    private var known: [String] = []

    /// More are refused.
    private static let fieldLimit = 10_001

    init(_ text: Substring) throws(RingRequest.Refusal) {
        for field in text.split(separator: "&") {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try Self.decoded(parts[0], plusIsBlank: true)
            let value = parts.count > 1 ? try Self.decoded(parts[1], plusIsBlank: true) : ""
            fields.append((name, value))
            if fields.count > Self.fieldLimit { throw .init(413, "too many values") }
        }
    }

    /// All values of a name.
    mutating func all(_ name: String) -> [String] {
        known.append(name)
        let values = fields.filter { $0.name == name }.map(\.value)
        fields.removeAll { $0.name == name }
        return values
    }

    mutating func text(_ name: String) throws(RingRequest.Refusal) -> String? {
        let values = all(name)
        if values.count > 1 { throw .init(400, "\(name) stands there twice") }
        return values.first
    }

    mutating func integer(_ name: String, _ range: ClosedRange<Int>) throws(RingRequest.Refusal) -> Int? {
        guard let text = try text(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw .init(400, "\(name): '\(text)' is not a whole number of \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func expectNothingElse() throws(RingRequest.Refusal) {
        guard let field = fields.first else { return }
        throw .init(400, "'\(field.name)' means nothing here\(didYouMean(field.name, among: known))")
    }

    /// Percent-decoding (RFC 3986, section 2.1) of UTF-8.
    static func decoded(_ text: Substring, plusIsBlank: Bool) throws(RingRequest.Refusal) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+") where plusIsBlank: bytes.append(32)
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    throw .init(400, "a % must be followed by two hexadecimal digits; % itself is %25")
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else { throw .init(400, "that is not UTF-8") }
        return decoded
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }

    /// Text as it may stand in a path or a query, whatever is in it.
    static func encoded(_ text: String) -> String {
        text.utf8.reduce(into: "") { out, byte in
            let isPlain = byte < 128 && (Character(UnicodeScalar(byte)).isLetter || (48...57).contains(byte))
            if isPlain || "-_.~".utf8.contains(byte) {
                out.unicodeScalars.append(UnicodeScalar(byte))
            } else {
                out += "%" + hexadecimal(UInt64(byte), 2).uppercased()
            }
        }
    }
}

extension RingRequest {
    /// How it is written: method, target and body. Reading that gives the same request.
    public var wire: (method: String, target: String, body: [UInt8]) {
        switch self {
        case .stats: ("GET", "/ring", [])
        case .drawing(let keys): ("GET", "/ring/drawing" + Self.query(keys.map { ("key", $0) }), [])
        case .export: ("GET", "/ring/export", [])
        case .lookup(let keys, let factor): Self.lookup(keys, factor)
        case .add(let node): ("POST", "/nodes" + Self.query(Self.fields(node)), [])
        case .reweight(let node):
            ("PATCH", "/nodes/\(RingQuery.encoded(node.name))" + Self.query(Array(Self.fields(node).dropFirst())), [])
        case .remove(let name): ("DELETE", "/nodes/\(RingQuery.encoded(name))", [])
        case .preview(let kind, let node):
            ("GET", "/preview" + Self.query([("change", kind.rawValue)] + Self.fields(node)), [])
        case .moved(let ranges): ("GET", "/moved" + Self.query([("ranges", String(ranges))]), [])
        case .compare(let keys, let add, let remove, let hash):
            (
                "GET",
                "/compare"
                    + Self.query([
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
            return ("POST", "/lookup" + query([factorField]), Array(keys.joined(separator: "\n").utf8))
        }
        return ("GET", "/lookup" + query([factorField] + keys.map { ("key", $0) }), [])
    }

    private static func fields(_ node: NodeWords) -> [(String, String?)] {
        [
            ("name", node.name), ("vnodes", node.virtualNodes.map(String.init)),
            ("weight", node.weight.map(String.init)), ("zone", node.zone),
        ]
    }

    private static func query(_ fields: [(String, String?)]) -> String {
        let given = fields.compactMap { name, value in value.map { "\(name)=\(RingQuery.encoded($0))" } }
        return given.isEmpty ? "" : "?" + given.joined(separator: "&")
    }
}
