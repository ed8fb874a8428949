import KernelCryptography
import KernelStructures

/// One API key, of which only the digest is known here.
///
/// A plain SHA-256 is enough, unlike for passwords: a key is 256 bits of chance, and nobody tries those out. Whoever
/// reads the file has no key.
public struct APIKey: Equatable, Sendable {
    public var name: String
    /// SHA-256 of the key.
    public var digest: [UInt8]
    public var scopes: [String] = []
    public var expiresAt: LabTime?

    public init(name: String, digest: [UInt8]) {
        self.name = name
        self.digest = digest
    }

    public static func digest(of key: [UInt8]) -> [UInt8] { MessageDigest.sha256.digest(of: key) }

    /// A new key, which is shown once.
    public static func make(random: inout some RandomNumberGenerator) -> String {
        let bytes = (0..<32).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return "gw_" + Base64.url.encode(bytes)
    }
}

/// API keys by their digests. Looking up a digest tells nobody how much of a key was right.
public struct APIKeyTable: Sendable {
    private let keys: [[UInt8]: APIKey]

    public init(_ keys: [APIKey]) { self.keys = Dictionary(keys.map { ($0.digest, $0) }) { first, _ in first } }

    /// Whose key that is; nil for one that is unknown or out of date.
    public func owner(of key: [UInt8], now: LabTime) -> APIKey? {
        guard let found = keys[APIKey.digest(of: key)] else { return nil }
        if let end = found.expiresAt, end <= now { return nil }
        return found
    }
}
