import KernelCryptography
import KernelStructures
import KernelWire

/// What a rule knows a request by.
///
/// A part that a request lacks is replaced by the client's address: leaving the API key out must not be a way around
/// the limit, nor a place where everybody without one shares a quota.
public struct RequestKey: Equatable, Sendable, CustomStringConvertible {
    public enum Part: Equatable, Sendable {
        /// The client's address, as far as the trusted proxies can be believed.
        case address
        /// A header field's value.
        case header(String)
        /// The user of `Authorization: Basic`, or the whole credential of another scheme. Nobody has checked it here:
        /// put the limiter behind whoever does, or add a rule by address.
        case user
        /// Method and path.
        case route
        /// One for all.
        case global
    }

    public let parts: [Part]
    /// Bytes of a value that count; a longer one is replaced by its beginning and a hash of all of it.
    static let valueLimit = 128

    public init(_ parts: [Part]) { self.parts = parts }

    /// Reads `ip`, `header X-API-Key`, `api-key`, `user`, `route`, `global`.
    public static func part(parsing text: String) -> Part? {
        let words = text.split(separator: " ").map(String.init)
        switch (words.first, words.count) {
        case ("ip", 1), ("address", 1): return .address
        case ("api-key", 1): return .header("X-API-Key")
        case ("user", 1): return .user
        case ("route", 1): return .route
        case ("global", 1): return .global
        case ("header", 2) where HTTPToken.isValid(words[1]): return .header(words[1])
        default: return nil
        }
    }

    public static let partNames = ["ip", "header NAME", "api-key", "user", "route", "global"]

    public var description: String {
        parts.map { part in
            switch part {
            case .address: "ip"
            case .header(let name): "header \(name)"
            case .user: "user"
            case .route: "route"
            case .global: "global"
            }
        }.joined(separator: " + ")
    }

    var isAddressOnly: Bool { parts == [.address] }

    /// The key of a request. Parts are separated so that no value can look like two.
    package func bytes(of head: HTTPHead, address: @autoclosure () -> String) -> [UInt8] {
        if isAddressOnly { return Array(address().utf8) }
        var key: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if index > 0 { key.append(UInt8(ascii: "|")) }
            switch part {
            case .address: key.append(utf8: address())
            case .header(let name): append(head.value(of: name), or: address(), to: &key)
            case .user:
                append(head.value(of: .authorization).flatMap(Self.user), or: address(), to: &key)
            case .route:
                key.append(utf8: head.methodText + " ")
                append(Array(RequestPath.normalized(head).utf8), to: &key)
            case .global: key.append(utf8: "*")
            }
        }
        return key
    }

    private func append(_ value: String?, or address: String, to key: inout [UInt8]) {
        guard let value, !value.isEmpty else {
            // Marked, so that nobody can be somebody else's address by sending it as a name.
            key.append(utf8: "ip:" + address)
            return
        }
        append(Array(value.utf8), to: &key)
    }

    private func append(_ value: [UInt8], to key: inout [UInt8]) {
        var value = value
        if value.count > Self.valueLimit {
            let hash = value.withUnsafeBytes { keyHash($0) }
            value = Array(value.prefix(Self.valueLimit)) + Array("…\(hexadecimal(hash, 16))".utf8)
        }
        for byte in value {
            // As in a URL: the separator and what terminals could act upon.
            if byte == UInt8(ascii: "|") || byte == UInt8(ascii: "%") || byte < 32 || byte == 127 {
                key.append(utf8: "%" + hexadecimal(UInt64(byte), 2))
            } else {
                key.append(byte)
            }
        }
    }

    private static func user(_ authorization: String) -> String? {
        let words = authorization.split(separator: " ", maxSplits: 1)
        guard words.count == 2 else { return nil }
        guard words[0].lowercased() == "basic" else { return "\(words[0].lowercased()) \(words[1])" }
        guard let decoded = Base64.standard.decode(words[1].utf8),
            let colon = decoded.firstIndex(of: UInt8(ascii: ":")),
            colon > 0
        else { return nil }
        return "basic " + String(decoding: decoded[..<colon], as: UTF8.self)
    }
}
