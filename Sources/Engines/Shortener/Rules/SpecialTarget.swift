/// Where those are sent who find no link: an address in which `{DOMAIN}` and `{ORIGINAL_PATH}` stand for what they
/// asked for, as Shlink has them (2.9 and later).
///
/// In the address's path they are put in as they are, and two slashes that come of it are one; in its query they are
/// encoded, as the value that they are there. A host cannot have them: whoever visits would choose where he is sent.
public struct SpecialTarget: Equatable, Sendable, CustomStringConvertible {
    /// With its placeholders as people write them.
    public let description: String

    /// - Parameter stored: an address that was understood and written out again (`TargetURL`).
    public init(stored: String) {
        description = Self.names.reduce(stored) { $0.replacing(Self.encoded($1), with: $1) }
    }

    /// Whether the host of an address is the same for all visitors; a name may have braces in it, for all that browsers
    /// mind.
    public static func isHostFixed(_ stored: String) -> Bool {
        (try? TargetURL(parsing: stored)).map { !$0.host.contains("{") } ?? false
    }

    private static let domain = "{DOMAIN}"
    private static let originalPath = "{ORIGINAL_PATH}"
    private static let names = [domain, originalPath]

    /// As it stands in the path of an address, where braces are encoded.
    private static func encoded(_ name: String) -> String { PercentCoding.encode(name.utf8, .path) }

    /// The address for one visitor.
    ///
    /// - Parameters:
    ///   - domain: that he asked at, with its port if that is not the usual one.
    ///   - path: that he asked for, without the query, as it came.
    public func location(domain: String, path: String) -> String {
        guard description.contains("{"), let target = try? TargetURL(parsing: description) else { return description }
        // What would end the path of an address stands in no path of HTTP; a stranger may send it all the same.
        let plainPath = path.replacing("#", with: "%23").replacing("?", with: "%3F")
        var place = Self.fill(target.path, Self.encoded, domain, plainPath)
        while place.contains("//") { place = place.replacing("//", with: "/") }
        let query = Self.fill(
            target.query, { $0 }, PercentCoding.encode(domain.utf8, .component),
            PercentCoding.encode(path.utf8, .component))
        // Understood once more, as a browser will: nothing that was put in leads out of the path or ends a line.
        let whole = target.replacing(path: place, query: query)
        return (try? TargetURL(parsing: whole))?.description ?? target.replacing(path: "/", query: "")
    }

    private static func fill(_ text: String, _ written: (String) -> String, _ domain: String, _ path: String) -> String
    {
        // In one pass: what a visitor put into his path is no placeholder.
        let parts = text.components(separatedBy: written(Self.domain))
        return parts.map { $0.replacing(written(originalPath), with: path) }.joined(separator: domain)
    }
}

extension String {
    /// The parts between a text's occurrences.
    fileprivate func components(separatedBy separator: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = self[...]
        while let found = rest.firstRange(of: separator) {
            parts.append(rest[..<found.lowerBound])
            rest = rest[found.upperBound...]
        }
        return parts + [rest]
    }
}
