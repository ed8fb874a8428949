import KernelStructures
import KernelWire

/// What a request has to show for itself.
public enum Credential: Equatable, Sendable {
    /// `Authorization: Bearer …`, RFC 6750 §2.1. Tokens in a query or a form are not looked for: they end up in logs.
    case bearer([UInt8])
    case apiKey([UInt8])
    /// Another scheme, two fields, characters that no token has.
    case malformed(String)
    /// Of an API key: two fields, or one that is too long.
    case malformedKey(String)
    case none

    /// Bytes of a token or key; longer ones are refused unread.
    public static let limitBytes = 16 * 1024

    /// - Parameter apiKeyField: where an API key is looked for; nil: nowhere.
    public static func read(_ head: HTTPHead, bearer: Bool, apiKeyField: String?) -> Credential {
        if let apiKeyField {
            let values = head.fields.filter { head.isNamed($0, apiKeyField) }
            if values.count > 1 { return .malformedKey("\(apiKeyField) stands there twice") }
            if let value = values.first.map({ head.valueBytes(of: $0) }), !value.isEmpty {
                return value.count <= limitBytes
                    ? .apiKey(Array(value)) : .malformedKey("\(apiKeyField) has more than \(limitBytes) bytes")
            }
        }
        guard bearer else { return .none }
        let fields = head.fields.filter { $0.name == .authorization }
        guard let field = fields.first else { return .none }
        if fields.count > 1 { return .malformed("Authorization stands there twice") }
        let value = head.valueBytes(of: field)
        let scheme = value.prefix { $0 != 32 }
        guard scheme.elementsEqual("bearer".utf8, by: { $0 | 0x20 == $1 }) else {
            return .malformed("the scheme is not Bearer")
        }
        let token = value.dropFirst(scheme.count).drop { $0 == 32 }
        guard !token.isEmpty, token.allSatisfy(isOfToken) else { return .malformed("that is no Bearer token") }
        guard token.count <= limitBytes else { return .malformed("the token is too long") }
        return .bearer(Array(token))
    }

    /// RFC 6750's b64token.
    private static func isOfToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        default: "-._~+/=".utf8.contains(byte)
        }
    }
}

/// Who asks.
public struct Identity: Sendable {
    /// By kind and name: `user:abc123`, `key:alice`, `ip:10.0.0.1`. What limits count by, and logs name.
    public var subject: String
    public var scopes: [String] = []
    /// What a server is told, as it is sent.
    public var lines: [UInt8] = []
    /// Claims by path, for a route's conditions.
    public var claim: @Sendable (String) -> [String] = { _ in [] }

    /// One who has nothing to show, and whom nobody counts.
    public static let nobody = Identity(subject: "nobody")

    public init(subject: String) { self.subject = subject }

    /// Adds a field that servers are told.
    ///
    /// - Returns: false for what no field can hold: whoever is told less than there is may think the worse, or the
    ///   better, of it.
    @discardableResult
    public mutating func tell(_ name: String, _ value: String) -> Bool {
        guard HTTPWriter.isSafeField(name: name, value: value) else { return false }
        HTTPWriter.field(name, value, into: &lines)
        return true
    }

    /// Bytes of a subject in a key, a log line or a label.
    public static let subjectLimit = 256
}

/// Why a request may not pass: the answer.
public struct AccessRefusal: Error, Equatable, Sendable {
    public var status: Int
    /// JSON on one line, as the documentation shows it.
    public var body: String
    /// `WWW-Authenticate`, RFC 6750 §3; nil where asking with other credentials would not help.
    public var challenge: String?
    /// For logs and metrics, one word: `no_token`, `token_expired`.
    public var reason: String
    public var retryAfterSeconds: Int?

    static let realm = "gateway"

    /// RFC 6750 §3.1: one who has shown nothing is told no error.
    public static let missingToken = AccessRefusal(
        status: 401, body: #"{"error": "Authorization header required"}"#, challenge: "Bearer realm=\"\(realm)\"",
        reason: "no_token")

    public static func missingKey(_ field: String) -> AccessRefusal {
        AccessRefusal(
            status: 401, body: #"{"error": "\#(field) header required"}"#,
            challenge: "ApiKey realm=\"\(realm)\"", reason: "no_key")
    }

    public static let unknownKey = AccessRefusal(
        status: 401, body: #"{"error": "Invalid API key"}"#, challenge: "ApiKey realm=\"\(realm)\"",
        reason: "unknown_key")

    /// - Parameter description: a sentence that names the field.
    public static func malformedKey(_ description: String) -> AccessRefusal {
        AccessRefusal(
            status: 401, body: #"{"error": "Invalid API key", "reason": "\#(quotable(description))"}"#,
            challenge: keyChallenge, reason: "malformed_key")
    }

    fileprivate static let keyChallenge = "ApiKey realm=\"\(realm)\""

    /// - Parameters:
    ///   - description: a sentence; what a quoted string cannot hold is left out.
    ///   - reason: one word.
    public static func invalidToken(_ description: String, reason: String) -> AccessRefusal {
        let text = quotable(description)
        return AccessRefusal(
            status: 401, body: #"{"error": "Invalid token", "reason": "\#(text)"}"#,
            challenge: "Bearer realm=\"\(realm)\", error=\"invalid_token\", error_description=\"\(text)\"",
            reason: reason)
    }

    /// RFC 6750 has 400 for what is no proper request for a resource.
    public static func malformed(_ description: String) -> AccessRefusal {
        let text = quotable(description)
        return AccessRefusal(
            status: 401, body: #"{"error": "Bearer token required", "reason": "\#(text)"}"#,
            challenge: "Bearer realm=\"\(realm)\"", reason: "malformed")
    }

    public static func insufficientScope(_ scopes: [String]) -> AccessRefusal {
        let text = quotable(scopes.joined(separator: " "))
        return AccessRefusal(
            status: 403, body: #"{"error": "Insufficient scope", "required": "\#(text)"}"#,
            challenge: "Bearer realm=\"\(realm)\", error=\"insufficient_scope\", scope=\"\(text)\"",
            reason: "insufficient_scope")
    }

    public static func wrongClaim(_ name: String) -> AccessRefusal {
        AccessRefusal(
            status: 403, body: #"{"error": "Access denied", "claim": "\#(quotable(name))"}"#, challenge: nil,
            reason: "wrong_claim")
    }

    /// Nobody can say now whether the credential is good: that is not the client's fault, and no reason to log out.
    public static func undecided(_ description: String) -> AccessRefusal {
        AccessRefusal(
            status: 503, body: #"{"error": "The token cannot be checked now", "reason": "\#(quotable(description))"}"#,
            challenge: nil, reason: "undecided", retryAfterSeconds: 1)
    }

    /// RFC 6750 §3: printable ASCII without quotes and backslashes, which JSON takes as well.
    private static func quotable(_ text: String) -> String {
        String(decoding: text.utf8.filter { $0 >= 32 && $0 < 127 && $0 != 34 && $0 != 92 }.prefix(200), as: UTF8.self)
    }
}

extension Route.Access {
    /// Whether somebody who has proved who he is may pass; nil if so.
    public func refusal(of identity: Identity) -> AccessRefusal? {
        if !scopes.allSatisfy(identity.scopes.contains) {
            var refusal = AccessRefusal.insufficientScope(scopes)
            // Who has come with a key is not helped by a token.
            if identity.subject.hasPrefix("key:") { refusal.challenge = AccessRefusal.keyChallenge }
            return refusal
        }
        for (claim, value) in claims where !identity.claim(claim).contains(value) { return .wrongClaim(claim) }
        return nil
    }
}
