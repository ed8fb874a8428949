import KernelStructures

/// What kind of program visits, by the `User-Agent` that it says it is.
///
/// Half of what visits a link is no person: search engines, and the previews that messengers make. They are sent on
/// like everybody, and counted apart.
public enum VisitorAgent: String, CaseIterable, Sendable {
    case bot, edge, opera, firefox, chrome, safari, curl, library, other

    /// - Parameter text: nil if the visitor says nothing.
    public init(_ text: String?) { self.init(bytes: (text ?? "").utf8) }

    /// - Parameter name: as the visitor's program calls itself; empty if it says nothing.
    public init(bytes name: some Collection<UInt8>) {
        let found = name.withContiguousStorageIfAvailable { Self.firstSign(in: $0) } ?? Self.firstSign(in: Array(name))
        self = found.map { Self.signs[$0].agent } ?? .other
    }

    /// In one pass over the name's first kilobyte, whatever the number of signs: at most of its places none begins.
    private static func firstSign(in name: some RandomAccessCollection<UInt8>) -> Int? {
        let (bytes, beginning) = (Self.bytes, Self.beginning)
        // Those that would go before what was found so far, a bit each.
        var wanted = UInt32.max
        var best: Int?
        for place in name.indices.prefix(1024) {
            var left = beginning[Int(name[place])] & wanted
            while left != 0 {
                let index = left.trailingZeroBitCount
                left &= left - 1
                let sign = bytes[index]
                let rest = name[place...].prefix(sign.count)
                if rest.count == sign.count, zip(rest, sign).allSatisfy({ lowered($0) == $1 }) {
                    best = index
                    wanted = (1 << UInt32(index)) - 1
                    break
                }
            }
        }
        return best
    }

    private static func lowered(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte | 0x20 : byte }

    public var isBot: Bool { self == .bot }

    /// The first that is found counts: Edge calls itself Chrome, and Chrome calls itself Safari.
    static let signs: [(sign: String, agent: VisitorAgent)] = [
        ("bot", .bot), ("crawl", .bot), ("spider", .bot), ("slurp", .bot), ("facebookexternalhit", .bot),
        ("whatsapp", .bot), ("preview", .bot), ("headless", .bot), ("monitor", .bot), ("edg/", .edge), ("edge/", .edge),
        ("opr/", .opera), ("opera", .opera), ("firefox/", .firefox), ("fxios/", .firefox), ("crios/", .chrome),
        ("chrome/", .chrome), ("chromium/", .chrome), ("safari/", .safari), ("curl/", .curl), ("python", .library),
        ("go-http-client", .library), ("java/", .library), ("okhttp", .library), ("node", .library), ("wget/", .curl),
    ]

    private static let bytes = signs.map { Array($0.sign.utf8) }
    /// Of each byte, in either case, the signs that begin with it: a bit each, the first one's lowest.
    private static let beginning = (0..<256).map { byte in
        bytes.indices.reduce(UInt32(0)) {
            bytes[$1][0] == lowered(UInt8(byte)) ? $0 | 1 << UInt32($1) : $0
        }
    }
}

/// Where a visitor came from: the host of the `Referer` that the browser sent.
public enum Referrer {
    /// Bytes of a host name.
    static let limitBytes = 253

    /// Without `www.`; `direct` if the visitor says nothing, or nothing that is an address.
    public static func host(_ field: String?) -> String {
        guard let field, let address = try? TargetURL(parsing: field), address.host.utf8.count <= limitBytes else {
            return direct
        }
        return address.host.hasPrefix("www.") ? String(address.host.dropFirst(4)) : address.host
    }

    public static let direct = "direct"
}
