import KernelCryptography
import KernelJSON
import KernelStructures
import KernelWire

/// What the issuer of an opaque token says about it: RFC 7662.
public struct IntrospectedToken: Equatable, Sendable {
    public var isActive: Bool
    public var claims: JSONValue
    public var expiresAt: LabTime?

    /// - Throws: `JSONError`, `JSONTypeError`: what is no such answer must not become a yes or a no.
    public init(parsing body: [UInt8]) throws {
        let cursor = JSONCursor(try JSONValue(parsing: body))
        isActive = try cursor["active"].bool()
        claims = cursor.value ?? .null
        if let end = try cursor["exp"].ifPresent?.number(), isActive {
            guard end.isFinite, end >= 0, end < 9e9 else { throw cursor["exp"].error("no time") }
            expiresAt = LabTime(nanoseconds: 0) + .seconds(end)
        }
    }

    public func isGood(at now: LabTime) -> Bool { isActive && expiresAt.map { now < $0 } ?? true }
}

/// Answers that are believed for a while, by the token's digest; the end that the issuer has set goes before.
public struct IntrospectionCache {
    private var answers = GenerationCache<[UInt8], (token: IntrospectedToken, until: LabTime)>(generationCount: 5000)
    private let time: LabDuration

    public init(time: LabDuration) { self.time = time }

    /// Nil if the issuer has to be asked.
    public mutating func find(_ token: [UInt8], now: LabTime) -> IntrospectedToken? {
        guard time > .zero, let known = answers.find(APIKey.digest(of: token)), now < known.until else { return nil }
        return known.token
    }

    public mutating func note(_ answer: IntrospectedToken, for token: [UInt8], now: LabTime) {
        if time > .zero { answers.insert((answer, now + time), for: APIKey.digest(of: token)) }
    }
}

/// Reading claims, whatever they came in.
public enum Claims {
    /// What stands at a path such as `realm_access.roles`, as texts: one for a single value, all for a list. A name
    /// with points in it, as `https://example.org/role` has, is tried first.
    public static func values(_ claims: JSONValue, _ path: String) -> [String] {
        let found = claims[path] ?? path.split(separator: ".").reduce(claims as JSONValue?) { $0?[String($1)] }
        guard case .array(let items)? = found else { return found.flatMap { text($0) }.map { [$0] } ?? [] }
        return items.compactMap(text)
    }

    private static func text(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text
        case .integer, .unsigned, .bool: value.text
        case .null, .number, .decimal, .array, .object: nil
        }
    }

    /// `scope` as RFC 8693 has it (words in a text), or a list, as others do; `scp` too.
    public static func scopes(_ claims: JSONValue) -> [String] {
        let words = (values(claims, "scope") + values(claims, "scp")).joined(separator: " ")
        return words.split(separator: " ").map(String.init)
    }

    /// Who the claims say it is, and what servers are told of them.
    ///
    /// - Throws: 401 without a subject, since a limit needs to know whom it counts; and for what neither a log nor a
    ///   field can hold.
    public static func identity(
        _ claims: JSONValue, fields: [GatewayConfiguration.ClaimField]
    ) throws(AccessRefusal) -> Identity {
        guard let subject = values(claims, "sub").first ?? values(claims, "client_id").first, !subject.isEmpty else {
            throw .invalidToken("the token names nobody: sub is missing", reason: "missing_claim")
        }
        guard subject.utf8.count <= Identity.subjectLimit else {
            throw .invalidToken(
                "sub has \(subject.utf8.count) bytes, and \(Identity.subjectLimit) are the most",
                reason: "invalid_claim")
        }
        guard HTTPWriter.isSafeField(name: "X", value: subject) else { throw unfit("sub") }
        var identity = Identity(subject: "user:" + subject)
        identity.scopes = scopes(claims)
        identity.claim = { values(claims, $0) }
        for field in fields {
            let values = values(claims, field.claim)
            guard values.isEmpty || identity.tell(field.field, values.joined(separator: ",")) else {
                throw unfit(field.claim)
            }
        }
        return identity
    }

    private static func unfit(_ claim: String) -> AccessRefusal {
        .invalidToken("\(claim) has characters that no field can hold: line ends, NUL", reason: "invalid_claim")
    }
}
