import FeatureFlagsEngine
import KernelCryptography
import KernelHosting
import KernelStructures

extension FeatureFlagsHost {
    /// Who comes: by the key in `Authorization` (bare, as Unleash's clients send it, or as `Bearer`) or `X-API-Key`.
    ///
    /// - Returns: nil where no key is asked for.
    /// - Throws: `FlagError` without one, with a wrong one, or with one that does not open this door.
    @discardableResult
    func admit(_ exchange: HTTPExchange, as kind: FlagToken.Kind) throws(FlagError) -> FlagToken? {
        counted()
        guard store.asksForTokens else { return nil }
        guard let key = Self.key(exchange) else {
            throw FlagError(
                .unauthorized, "this server asks for a token",
                remedy: "send it as Authorization (flags-cli: --token KEY)")
        }
        guard let token = store.token(withDigest: Self.digest(key)) else {
            throw FlagError(.unauthorized, "nobody knows this token")
        }
        if kind == .admin, token.kind != .admin {
            throw FlagError(.forbidden, "token '\(token.name)' is a client's", remedy: "use an administrator's")
        }
        return token
    }

    private static func key(_ exchange: HTTPExchange) -> String? {
        if let key = exchange.field("X-API-Key"), !key.isEmpty { return key }
        guard let field = exchange.field("Authorization"), !field.isEmpty else { return nil }
        return field.lowercased().hasPrefix("bearer ") ? String(field.dropFirst(7)) : field
    }

    static func digest(_ key: String) -> String {
        MessageDigest.sha256.digest(of: key).map { hexadecimal(UInt64($0), 2) }.joined()
    }

    /// Whose flags a client gets: its token's environment, or the one in its name (`default:development.secret`, as
    /// Unleash's tokens have it), or what it says, or the first one.
    func environment(_ exchange: HTTPExchange, _ token: FlagToken?) throws(FlagError) -> String {
        if let environment = token?.environment { return environment }
        if let name = exchange.field("X-Environment") { return try store.environment(name) }
        if let key = Self.key(exchange), let colon = key.firstIndex(of: ":") {
            let name = String(key[key.index(after: colon)...].prefix { $0 != "." })
            if store.environments.contains(name) { return name }
        }
        return store.defaultEnvironment
    }

    /// Who changes something, for the audit log.
    func person(_ exchange: HTTPExchange, _ token: FlagToken?) -> String {
        if let token { return token.name }
        return exchange.field("X-Flags-User") ?? "admin"
    }
}
