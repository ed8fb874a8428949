import KernelStructures

/// What kind of program visits, by the `User-Agent` that it says it is.
///
/// Half of what visits a link is no person: search engines, and the previews that messengers make. They are sent on
/// like everybody, and counted apart.
public enum VisitorAgent: String, CaseIterable, Sendable {
    case bot, edge, opera, firefox, chrome, safari, curl, library, other

    /// - Parameter text: nil if the visitor says nothing.
    public init(_ text: String?) {
        guard let text, !text.isEmpty else {
            self = .other
            return
        }
        let name = text.prefix(1024).lowercased()
        self = Self.signs.first { name.contains($0.sign) }?.agent ?? .other
    }

    public var isBot: Bool { self == .bot }

    /// The first that is found counts: Edge calls itself Chrome, and Chrome calls itself Safari.
    private static let signs: [(sign: String, agent: VisitorAgent)] = [
        ("bot", .bot), ("crawl", .bot), ("spider", .bot), ("slurp", .bot), ("facebookexternalhit", .bot),
        ("whatsapp", .bot), ("preview", .bot), ("headless", .bot), ("monitor", .bot), ("edg/", .edge), ("edge/", .edge),
        ("opr/", .opera), ("opera", .opera), ("firefox/", .firefox), ("fxios/", .firefox), ("crios/", .chrome),
        ("chrome/", .chrome), ("chromium/", .chrome), ("safari/", .safari), ("curl/", .curl), ("python", .library),
        ("go-http-client", .library), ("java/", .library), ("okhttp", .library), ("node", .library), ("wget/", .curl),
    ]
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
