import KernelStructures

/// A key that opens the server's doors. What is kept is a digest: whoever reads the database learns no key.
public struct FlagToken: Equatable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// For programs: reads definitions of one environment, and reports numbers.
        case client
        /// Changes everything.
        case admin
    }

    public let name: String
    public let kind: Kind
    /// Nil for one that is good for all.
    public let environment: String?
    /// SHA-256 of the key, in hexadecimal digits.
    public let digest: String
    public let createdAt: LabTime

    public init(name: String, kind: Kind, environment: String?, digest: String, createdAt: LabTime) {
        self.name = name
        self.kind = kind
        self.environment = environment
        self.digest = digest
        self.createdAt = createdAt
    }
}

extension FlagStore {
    public static let tokenLimit = 1_000

    /// Without any key the doors are open; the first one is an administrator's, because it closes them.
    public var asksForTokens: Bool { !tokens.isEmpty }

    /// - Throws: `FlagError`.
    public mutating func addToken(_ token: FlagToken, by who: String, now: LabTime) throws(FlagError) {
        if tokens.isEmpty, token.kind != .admin {
            throw FlagError(
                .conflict, "the first token closes the doors, so it must be an administrator's",
                remedy: "flags-cli token create NAME --kind admin")
        }
        if tokens[token.name] != nil { throw FlagError(.conflict, "there is a token '\(token.name)' already") }
        if tokens.count >= Self.tokenLimit { throw FlagError(.tooMany, "there are too many tokens") }
        guard (1...Self.nameLengthLimit).contains(token.name.utf8.count) else {
            throw FlagError(.invalid, "a token's name has 1 to \(Self.nameLengthLimit) bytes")
        }
        if let environment = token.environment { _ = try self.environment(environment) }
        tokens[token.name] = token
        touch(.token(token.name))
        note("api-token-created", "\(token.kind.rawValue) token \(token.name)", by: who, now)
    }

    /// - Throws: `FlagError` if there is none, or it is the last administrator's while there are others.
    public mutating func removeToken(_ name: String, by who: String, now: LabTime) throws(FlagError) {
        guard let token = tokens[name] else {
            throw FlagError(.missing, "there is no token '\(name)'\(didYouMean(name, among: tokens.keys.sorted()))")
        }
        if token.kind == .admin, tokens.count > 1, tokens.values.count(where: { $0.kind == .admin }) == 1 {
            throw FlagError(.conflict, "'\(name)' is the last administrator's", remedy: "remove the others first")
        }
        tokens[name] = nil
        touch(.token(name))
        note("api-token-deleted", "token \(name)", by: who, now)
    }

    public func token(withDigest digest: String) -> FlagToken? { tokens.values.first { $0.digest == digest } }

    /// A client has said that it has evaluated a flag.
    public mutating func saw(_ name: String, at now: LabTime) {
        guard flags[name] != nil else { return }
        // Written down once an hour at most: it is there to tell weeks apart.
        if let last = flags[name]?.lastSeenAt, now - last < .seconds(3_600) { return }
        flags[name]?.lastSeenAt = now
        touch(.flag(name))
    }
}
