import KernelStructures

/// All origins below a name: `https://*.shop.lab`, `http://*.lab:8080`.
///
/// The star stands for one label or several, and never for none: the page of `https://shop.lab` is another one. Scheme
/// and port count, as in every comparison of origins (RFC 6454 §5). It is compared label by label from the end, so that
/// neither `https://evilshop.lab` nor `https://shop.lab.evil` is below `shop.lab`.
public struct OriginPattern: Equatable, Sendable, CustomStringConvertible {
    private let scheme: String
    /// With the point before it, and the port behind: `.shop.lab:8443`.
    private let suffix: String

    /// Nil for what is no such pattern.
    public init?(_ text: String) {
        let text = text.lowercased()
        guard let separator = text.firstRange(of: "://*."), !text[separator.upperBound...].contains("*") else {
            return nil
        }
        scheme = String(text[..<separator.lowerBound])
        let rest = text[separator.upperBound...]
        let parts = rest.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard scheme == "http" || scheme == "https", Self.isName(parts[0].utf8),
            parts.count == 1 || UInt16(parts[1]).map({ $0 > 0 }) ?? false
        else { return nil }
        // A browser leaves the scheme's own port out.
        let isDefault = parts.count == 2 && parts[1] == (scheme == "https" ? "443" : "80")
        suffix = "." + (isDefault ? parts[0] : rest)
    }

    private static func isName(_ name: some Collection<UInt8>) -> Bool {
        name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty
                && label.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "-") }
        }
    }

    public func matches(_ origin: String) -> Bool {
        let origin = origin.lowercased()
        guard origin.hasPrefix(scheme + "://"), origin.hasSuffix(suffix) else { return false }
        let name = origin.utf8.dropFirst(scheme.utf8.count + 3)
        // The two may not share the point.
        guard name.count > suffix.utf8.count else { return false }
        return Self.isName(name.dropLast(suffix.utf8.count))
    }

    public var description: String { "\(scheme)://*\(suffix)" }
}
