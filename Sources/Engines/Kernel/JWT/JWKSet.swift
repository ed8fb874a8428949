import KernelJSON
import KernelStructures

/// Keys under their names: what `/.well-known/jwks.json` answers (RFC 7517 section 5).
///
/// A key that cannot be used is left out, with its reason in `refused`, so that one new kind of key does not lock
/// everybody out; what makes the whole set doubtful refuses all of it: two keys under one name, or a secret among
/// public keys, which nobody publishes on purpose.
public struct JWKSet: Sendable, Equatable {
    public let keys: [JWK]
    /// A line for each key that was left out.
    public let refused: [String]

    public static let keyLimit = 100
    public static let limitBytes = 1 << 20

    /// No keys: nothing is accepted.
    public static let empty = JWKSet(unchecked: [])

    private init(unchecked keys: [JWK]) {
        self.keys = keys
        refused = []
    }

    /// - Throws: for two keys under one name, a secret beside public keys, and more than `keyLimit`.
    public init(keys: [JWK]) throws(JWKError) { try self.init(keys, refused: []) }

    private init(_ keys: [JWK], refused: [String]) throws(JWKError) {
        guard keys.count <= Self.keyLimit else { throw JWKError("$.keys: more than \(Self.keyLimit) keys") }
        var names: Set<String> = []
        for key in keys {
            if let name = key.keyID, !names.insert(name).inserted {
                throw JWKError("$.keys: two keys have the kid '\(shortened(name))'; which one is meant?")
            }
        }
        guard Set(keys.map(\.isSymmetric)).count < 2 else {
            throw JWKError("$.keys: secrets among public keys; whoever publishes this gives the secrets away")
        }
        self.keys = keys
        self.refused = refused
    }

    /// Reads a set; a single key counts as a set of one.
    ///
    /// - Throws: for what is no set, for a set that is refused as a whole, and if not one key of it can be used.
    public init(parsing bytes: [UInt8]) throws(JWKError) {
        let document: JSONValue
        do throws(JSONError) {
            document = try JSONValue(
                parsing: bytes, limits: JSONLimits(bytes: Self.limitBytes, depth: 16, values: 20_000))
        } catch {
            throw JWKError("not JSON: \(error)")
        }
        let json = JSONCursor(document)
        if json["keys"].value == nil, json["kty"].value != nil {
            try self.init(keys: [try JWK(json)])
            return
        }
        let elements: [JSONCursor]
        do throws(JSONTypeError) { elements = try json["keys"].array() } catch { throw JWKError("\(error)") }
        guard elements.count <= Self.keyLimit else { throw JWKError("$.keys: more than \(Self.keyLimit) keys") }
        var keys: [JWK] = []
        var refused: [String] = []
        for element in elements {
            do throws(JWKError) { keys.append(try JWK(element)) } catch { refused.append(error.description) }
        }
        if keys.isEmpty, let first = refused.first { throw JWKError(first) }
        try self.init(keys, refused: refused)
    }

    public func key(id: String) -> JWK? { keys.first { $0.keyID == id } }

    /// The first that signs.
    public var signingKey: JWK? { keys.first(where: \.canSign) }

    /// What everybody may know: the public halves. Secrets are left out.
    public func json() -> JSONValue {
        ["keys": .array(keys.filter { !$0.isSymmetric }.map { $0.publicKey.json() })]
    }

    /// With what signs: for the owner's file.
    public func jsonWithPrivate() -> JSONValue { ["keys": .array(keys.map { $0.json(withPrivate: true) })] }

    /// Those that a token may mean which says this of its key: the one of that name; otherwise those without one.
    func candidates(keyID: String?) -> [JWK] {
        guard let keyID else { return keys }
        if let key = key(id: keyID) { return [key] }
        return keys.filter { $0.keyID == nil }
    }

    /// Whether both have the same keys, in the same order.
    public static func == (a: JWKSet, b: JWKSet) -> Bool {
        a.keys.count == b.keys.count && zip(a.keys, b.keys).allSatisfy { $0.isSame(as: $1) } && a.refused == b.refused
    }
}
