import KernelCryptography
import KernelJSON
import KernelStructures

/// Something signed (RFC 7515): a payload and who has signed it, read but not believed yet.
///
/// The compact form is three pieces of base64url with dots between them. JSON has two more, with a list of signatures
/// or with one, and headers that nobody has signed beside those that are. `b64` of RFC 7797 leaves the payload as it
/// is.
///
/// What a header says about where to find a key (`jku`, `x5u`, `jwk`) is never followed: whoever may bring the key
/// along signs what he likes.
public struct JWS: Sendable {
    public struct Entry: Sendable {
        /// As it arrived: that is what was signed.
        let protectedText: [UInt8]
        /// What was signed of the header, and what was not, together.
        public let header: JSONValue
        public let signature: [UInt8]

        public var algorithmName: String {
            if case .string(let name)? = header["alg"] { name } else { "" }
        }
        public var keyID: String? {
            if case .string(let name)? = header["kid"] { name } else { nil }
        }
    }

    public let payload: [UInt8]
    /// What stands behind the dot in what was signed.
    let payloadText: [UInt8]
    /// At least one.
    public let entries: [Entry]
    /// Whether the payload was signed as it is, without base64url (RFC 7797).
    public let isPayloadRaw: Bool

    public static let limitBytes = 1 << 20
    public static let entryLimit = 16

    /// Reads the compact form.
    ///
    /// - Parameter detached: the payload, where it travels by another way and the middle piece is empty (RFC 7515,
    ///   appendix F).
    public init(compact text: [UInt8], detached: [UInt8]? = nil) throws(JWSError) {
        guard text.count <= Self.limitBytes else { throw JWSError("longer than \(byteCountText(Self.limitBytes))") }
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw JWSError("\(counted(parts.count, "part")) between dots; there must be 3") }
        guard !parts[0].isEmpty else { throw JWSError("the header is missing") }
        let header = try HeaderReader(protected: Array(parts[0]), unprotected: nil)
        guard let signature = Base64.url.decode(parts[2]) else { throw JWSError("the signature is not base64url") }
        if detached != nil, !parts[1].isEmpty { throw JWSError("a payload, although it comes by another way") }
        entries = [Entry(protectedText: Array(parts[0]), header: header.merged, signature: signature)]
        isPayloadRaw = header.isPayloadRaw
        (payload, payloadText) = try Self.payload(Array(parts[1]), detached, isRaw: header.isPayloadRaw)
    }

    /// Reads the JSON forms, general and flattened (RFC 7515 section 7.2).
    public init(json bytes: [UInt8], detached: [UInt8]? = nil) throws(JWSError) {
        do {
            let limits = JSONLimits(bytes: Self.limitBytes, depth: 32, values: 10_000)
            let json = JSONCursor(try JSONValue(parsing: bytes, limits: limits))
            let isGeneral = json["signatures"].value != nil
            if isGeneral, json["signature"].value != nil { throw JWSError("both 'signature' and 'signatures'") }
            let elements = isGeneral ? try json["signatures"].array() : [json]
            guard (1...Self.entryLimit).contains(elements.count) else {
                throw JWSError("\(counted(elements.count, "signature")); there must be 1 to \(Self.entryLimit)")
            }
            var entries: [Entry] = []
            var raws: [Bool] = []
            for element in elements {
                let text = Array(try element["protected"].ifPresent?.string().utf8 ?? "".utf8)
                let header = try HeaderReader(protected: text, unprotected: element["header"].ifPresent)
                guard let signature = Base64.url.decode(try element["signature"].string()) else {
                    throw element["signature"].error("not base64url")
                }
                entries.append(Entry(protectedText: text, header: header.merged, signature: signature))
                raws.append(header.isPayloadRaw)
            }
            guard raws.allSatisfy({ $0 == raws[0] }) else { throw JWSError("the signatures differ in b64") }
            let text = try json["payload"].ifPresent?.string()
            if detached != nil, text != nil { throw JWSError("a payload, although it comes by another way") }
            guard text != nil || detached != nil else { throw JWSError("the payload is missing") }
            self.entries = entries
            isPayloadRaw = raws[0]
            (payload, payloadText) = try Self.payload(Array((text ?? "").utf8), detached, isRaw: raws[0])
        } catch let error as JWSError {
            throw error
        } catch {
            throw JWSError("\(error)")
        }
    }

    private static func payload(_ text: [UInt8], _ detached: [UInt8]?, isRaw: Bool) throws(JWSError) -> (
        payload: [UInt8], text: [UInt8]
    ) {
        if isRaw { return (detached ?? text, detached ?? text) }
        if let detached { return (detached, Array(Base64.url.encode(detached).utf8)) }
        guard let payload = Base64.url.decode(text) else { throw JWSError("the payload is not base64url") }
        return (payload, text)
    }

    /// What the entry's signature is over.
    func signedBytes(_ entry: Entry) -> [UInt8] { entry.protectedText + [UInt8(ascii: ".")] + payloadText }

    /// Whether the entry is signed by that key, with an algorithm that the key is for.
    public func isSigned(_ entry: Entry, by key: JWK) -> Bool {
        guard let algorithm = JWSAlgorithm(rawValue: entry.algorithmName) else { return false }
        return isSigned(entry, by: key, algorithm)
    }

    func isSigned(_ entry: Entry, by key: JWK, _ algorithm: JWSAlgorithm) -> Bool {
        key.canVerify && key.algorithms.contains(algorithm)
            && Signature.isValid(entry.signature, of: signedBytes(entry), key, algorithm)
    }

    /// Signs in the compact form.
    ///
    /// - Parameter header: what it says beside `alg` and `kid`.
    public static func compact(
        payload: [UInt8], header: [(key: String, value: JSONValue)] = [], key: JWK, algorithm: JWSAlgorithm
    ) throws(JWKError) -> String {
        guard key.canSign, key.algorithms.contains(algorithm) else {
            throw JWKError("the key (\(key.kindName)) cannot sign with \(algorithm.rawValue)")
        }
        var members: [(key: String, value: JSONValue)] = [("alg", .string(algorithm.rawValue))]
        members += header.filter { $0.key != "alg" && $0.key != "kid" }
        if let keyID = key.keyID { members.append(("kid", .string(keyID))) }
        let signed = Base64.url.encode(JSONValue.object(members).bytes(.compact)) + "." + Base64.url.encode(payload)
        guard let signature = Signature.make(of: Array(signed.utf8), key, algorithm) else {
            throw JWKError("OpenSSL could not sign with \(algorithm.rawValue)")
        }
        return signed + "." + Base64.url.encode(signature)
    }
}

/// Why something is no JWS.
public struct JWSError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    /// Whether it is one that asks for something that is not understood here (`crit`).
    let isCritical: Bool

    init(_ description: String, isCritical: Bool = false) {
        self.description = description
        self.isCritical = isCritical
    }
}

/// One signature's header.
private struct HeaderReader {
    let merged: JSONValue
    var isPayloadRaw = false

    /// Parameters that RFC 7515 and RFC 7797 define: only the last may be critical here.
    private static let understood = ["b64"]

    init(protected text: [UInt8], unprotected: JSONCursor?) throws(JWSError) {
        var members: [(key: String, value: JSONValue)] = []
        if !text.isEmpty {
            guard let bytes = Base64.url.decode(text) else { throw JWSError("the header is not base64url") }
            let limits = JSONLimits(bytes: JWS.limitBytes, depth: 16, values: 1_000)
            let value: JSONValue
            do throws(JSONError) {
                value = try JSONValue(parsing: bytes, limits: limits)
            } catch {
                throw JWSError("the header is not JSON: \(error)")
            }
            guard case .object(let found) = value else { throw JWSError("the header is no object") }
            members = found
        }
        let protected = JSONCursor(.object(members))
        if let unprotected {
            guard case .object(let more)? = unprotected.value else { throw JWSError("the header is no object") }
            for member in more {
                guard protected[member.key].value == nil else {
                    throw JWSError("'\(shortened(member.key))' stands in both headers")
                }
                guard member.key != "crit", member.key != "b64" else {
                    throw JWSError("'\(member.key)' has to be among what is signed")
                }
            }
            members += more
        }
        merged = .object(members)
        guard case .string? = merged["alg"] else { throw JWSError("the header has no 'alg'") }
        if let kid = merged["kid"], case .string = kid {
        } else if merged["kid"] != nil {
            throw JWSError("'kid' is no text")
        }
        try Self.checkCritical(protected)
        switch protected["b64"].value {
        case nil, .bool(true)?: break
        case .bool(false)?: isPayloadRaw = true
        default: throw JWSError("'b64' is neither true nor false")
        }
    }

    /// RFC 7515 section 4.1.11.
    private static func checkCritical(_ header: JSONCursor) throws(JWSError) {
        guard let value = header["crit"].value else { return }
        guard case .array(let elements) = value, !elements.isEmpty else {
            throw JWSError("'crit' is no list of names", isCritical: true)
        }
        var seen: Set<String> = []
        for element in elements {
            guard case .string(let name) = element, seen.insert(name).inserted, header[name].value != nil else {
                throw JWSError("'crit' names what is not there, or twice", isCritical: true)
            }
            guard understood.contains(name) else {
                throw JWSError("'\(shortened(name))' is critical and not understood here", isCritical: true)
            }
        }
    }
}
