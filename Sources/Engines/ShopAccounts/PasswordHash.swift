import KernelCryptography

/// What is kept of a password: scrypt's key of it (RFC 7914), with what it takes to make it again.
///
/// ```
/// $scrypt$ln=14,r=8,p=1$c2FsdA$aGFzaA        the PHC string format
/// ```
///
/// Making one takes 16 MiB and about 40 ms on purpose, so a service does it beside its loop.
public struct PasswordHash: Equatable, Sendable {
    private let scrypt: Scrypt
    private let salt: [UInt8]
    private let key: [UInt8]

    public static let saltByteCount = 16

    /// - Parameter salt: `saltByteCount` bytes that are different for each password.
    public init(of password: String, salt: [UInt8], cost: Int = 1 << 14) throws(CryptographyError) {
        scrypt = try Scrypt(cost: cost)
        self.salt = salt
        key = try scrypt.key(password: Array(password.utf8), salt: salt)
    }

    /// Whether it is that password, in a time that does not say how far it was right. What takes too much memory is
    /// nobody's.
    public func fits(_ password: String) -> Bool {
        guard let key = try? scrypt.key(password: Array(password.utf8), salt: salt, byteCount: key.count) else {
            return false
        }
        return isEqualInConstantTime(key, self.key)
    }

    public var text: String {
        let exponent = scrypt.cost.trailingZeroBitCount
        let cost = "ln=\(exponent),r=\(scrypt.blockSize),p=\(scrypt.parallelism)"
        return "$scrypt$\(cost)$\(Self.encode(salt))$\(Self.encode(key))"
    }

    /// Nil for what is no such text, or asks for more memory than a hash may.
    public init?(parsing text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt", let salt = Self.decode(parts[3]),
            let key = Self.decode(parts[4]), (8...64).contains(salt.count), (16...64).contains(key.count)
        else { return nil }
        var values: [String: Int] = [:]
        for pair in parts[2].split(separator: ",") {
            let halves = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard halves.count == 2, let value = Int(halves[1]), (1...1 << 20).contains(value) else { return nil }
            values[halves[0]] = value
        }
        guard values.count == 3, let exponent = values["ln"], exponent <= 20, let r = values["r"], let p = values["p"],
            let scrypt = try? Scrypt(cost: 1 << exponent, blockSize: r, parallelism: p)
        else { return nil }
        self.scrypt = scrypt
        self.salt = salt
        self.key = key
    }

    /// PHC strings have base64 with `+` and `/`, without padding.
    private static func encode(_ bytes: [UInt8]) -> String { Base64.standard.encode(bytes).filter { $0 != "=" } }

    private static func decode(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= 128, !text.contains("=") else { return nil }
        return Base64.standard.decode(text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4))
    }
}
