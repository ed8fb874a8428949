import KernelCryptography
import KernelJSON
import KernelStructures

extension JWK {
    /// Reads a key.
    ///
    /// - Throws: what is wrong with it, and where. Members that nobody knows are passed over (RFC 7517 section 4).
    public init(_ json: JSONCursor) throws(JWKError) {
        do {
            self = try JWKReader(json).key()
        } catch let error as JWKError {
            throw error
        } catch {
            throw JWKError("\(error)")
        }
    }

    /// A shared secret. Nobody else may know it, and whoever does can sign.
    public init(secret: [UInt8], keyID: String?, algorithm: JWSAlgorithm = .hs256) throws(JWKError) {
        try self.init(
            JSONCursor([
                "kty": "oct", "k": .string(Base64.url.encode(secret)), "alg": .string(algorithm.rawValue),
                "kid": keyID.map { .string($0) } ?? .null,
            ]))
    }
}

/// One key in JSON, member by member.
private struct JWKReader {
    private let json: JSONCursor
    private let operations: [String]?
    private let wanted: String?

    init(_ json: JSONCursor) throws {
        self.json = json
        _ = try json.members()
        if let use = try json["use"].ifPresent?.string(), use != "sig" {
            throw json["use"].error("the key is for '\(shortened(use))', not for signatures")
        }
        operations = try json["key_ops"].ifPresent?.array().map { try $0.string() }
        if let operations {
            guard Set(operations).count == operations.count else {
                throw json["key_ops"].error("an operation is named twice")
            }
            guard operations.contains("verify") || operations.contains("sign") else {
                throw json["key_ops"].error("the key is not for signatures")
            }
        }
        wanted = try json["alg"].ifPresent?.string()
    }

    func key() throws -> JWK {
        let type = try json["kty"].string()
        switch type {
        case "RSA": return try rsa()
        case "EC": return try elliptic()
        case "OKP": return try edwards()
        case "oct": return try secret()
        default:
            throw json["kty"].error("'\(shortened(type))' is no type of key that is known; there are RSA, EC, OKP, oct")
        }
    }

    private func bytes(_ name: String, count: Int? = nil, limit: Int = 2048) throws -> [UInt8] {
        let text = try json[name].string()
        guard text.utf8.count <= limit * 2, let bytes = Base64.url.decode(text), bytes.count <= limit else {
            throw json[name].error("not base64url without padding, of at most \(limit) bytes")
        }
        if let count, bytes.count != count {
            throw json[name].error("\(counted(bytes.count, "byte")); it must be \(count)")
        }
        return bytes
    }

    private func number(_ name: String) throws -> [UInt8] {
        let bytes = try bytes(name)
        let number = Array(bytes.drop { $0 == 0 })
        guard !number.isEmpty else { throw json[name].error("zero") }
        return number
    }

    private func curve(isEdwards: Bool) throws -> JWKCurve {
        let name = try json["crv"].string()
        guard let curve = JWKCurve(rawValue: name), curve.isEdwards == isEdwards else {
            let names = JWKCurve.allCases.filter { $0.isEdwards == isEdwards }.map(\.rawValue).joined(separator: ", ")
            throw json["crv"].error("'\(shortened(name))' is no curve of such a key; there are \(names)")
        }
        return curve
    }

    /// What the key is pinned to.
    private func algorithms(_ possible: [JWSAlgorithm]) throws -> [JWSAlgorithm] {
        guard let wanted else { return possible }
        // ES512 is on P-521, and a few keys mix the two up.
        let name = wanted == "ES521" ? JWSAlgorithm.es512.rawValue : wanted
        let isOwnName = wanted == JWKCurve.ed25519.rawValue || wanted == JWKCurve.ed448.rawValue
        if isOwnName, possible == [.eddsa], try json["crv"].string() == wanted { return possible }
        guard let algorithm = JWSAlgorithm(rawValue: name), possible.contains(algorithm) else {
            let names = possible.map(\.rawValue).joined(separator: ", ")
            throw json["alg"].error("'\(shortened(wanted))' does not fit the key; that can be \(names)")
        }
        guard algorithm.family == .pss else { return [algorithm] }
        return possible.filter { $0.family == .pss && $0.digest.byteCount >= algorithm.digest.byteCount }
    }

    private func make(
        _ kind: JWK.Kind, _ algorithms: [JWSAlgorithm], _ material: JWK.Material, isPrivate: Bool,
        _ publicNames: [String], _ privateNames: [String]
    ) throws -> JWK {
        let keyID = try json["kid"].ifPresent?.string()
        if let keyID, keyID.isEmpty || keyID.utf8.count > 256 {
            throw json["kid"].error("a name of 1 to 256 bytes is wanted")
        }
        func members(_ names: [String]) throws -> [(name: String, value: String)] {
            try names.compactMap { name in try json[name].ifPresent.map { (name, try $0.string()) } }
        }
        let key = JWK(
            kind: kind, keyID: keyID, algorithms: algorithms, isPrivate: isPrivate, isPinned: wanted != nil,
            operations: operations, material: material, publicMembers: try members(publicNames),
            privateMembers: try members(privateNames))
        if isPrivate, !key.isSymmetric {
            let probe = Array("Do both halves fit?".utf8)
            guard let signature = Signature.make(of: probe, key, algorithms[0]),
                Signature.isValid(signature, of: probe, key, algorithms[0])
            else { throw json.error("the private half does not belong to the public one") }
        }
        return key
    }

    // MARK: The types

    private func rsa() throws -> JWK {
        let modulus = try number("n")
        let bits = modulus.count * 8 - modulus[0].leadingZeroBitCount
        guard JWK.modulusBits.contains(bits) else {
            throw json["n"].error(
                "a modulus of \(bits) bits; it must have \(JWK.modulusBits.lowerBound) to \(JWK.modulusBits.upperBound)"
            )
        }
        guard modulus[modulus.count - 1] & 1 == 1 else {
            throw json["n"].error("an even modulus is no product of primes")
        }
        guard !WeakKeys.isFromBrokenGenerator(modulus: modulus) else {
            throw json["n"].error(
                "the modulus comes from a broken generator (ROCA, CVE-2017-15361) and can be factored")
        }
        let exponent = try number("e")
        guard exponent.count <= 8, exponent != [1], exponent[exponent.count - 1] & 1 == 1 else {
            throw json["e"].error("an exponent must be odd, from 3, below 2^64")
        }
        var parameters = KeyParameters()
        parameters.add(number: modulus, "n")
        parameters.add(number: exponent, "e")
        let isPrivate = json["d"].ifPresent != nil
        let factors: [(String, StaticString)] = [
            ("p", "rsa-factor1"), ("q", "rsa-factor2"), ("dp", "rsa-exponent1"), ("dq", "rsa-exponent2"),
            ("qi", "rsa-coefficient1"),
        ]
        if isPrivate {
            if json["oth"].ifPresent != nil { throw json["oth"].error("keys of more than two primes are not taken") }
            parameters.add(number: try number("d"), "d")
            let present = factors.filter { json[$0.0].ifPresent != nil }
            guard present.isEmpty || present.count == factors.count else {
                throw json.error("of p, q, dp, dq and qi there must be all or none")
            }
            for (name, parameter) in present { parameters.add(number: try number(name), parameter) }
        }
        let all = JWSAlgorithm.allCases.filter { $0.family == .rsa || $0.family == .pss }
        let algorithms = try algorithms(all)
        guard let pointer = parameters.makeKey(type: "RSA", isPrivate: isPrivate) else {
            throw json.error("OpenSSL takes this for no RSA key")
        }
        return try make(
            .rsa(bits: bits), algorithms, .pair(pointer), isPrivate: isPrivate, ["e", "kty", "n"],
            isPrivate ? ["d"] + factors.map(\.0) : [])
    }

    private func elliptic() throws -> JWK {
        let curve = try curve(isEdwards: false)
        let x = try bytes("x", count: curve.byteCount)
        let y = try bytes("y", count: curve.byteCount)
        let isPrivate = json["d"].ifPresent != nil
        var parameters = KeyParameters()
        parameters.add(text: curve.rawValue, "group")
        parameters.add(bytes: [4] + x + y, "pub")
        if isPrivate { parameters.add(number: try bytes("d", count: curve.byteCount), "priv") }
        let algorithms = try algorithms([curve.algorithm])
        guard let pointer = parameters.makeKey(type: "EC", isPrivate: isPrivate), pointer.isPublicHalfSound else {
            throw json.error("x and y are no point of \(curve.rawValue)")
        }
        return try make(
            .curve(curve), algorithms, .pair(pointer), isPrivate: isPrivate, ["crv", "kty", "x", "y"],
            isPrivate ? ["d"] : [])
    }

    private func edwards() throws -> JWK {
        let curve = try curve(isEdwards: true)
        let x = try bytes("x", count: curve.byteCount)
        let d = json["d"].ifPresent == nil ? nil : try bytes("d", count: curve.byteCount)
        let algorithms = try algorithms([.eddsa])
        guard let pointer = KeyPointer.edwards(curve, publicKey: x, privateKey: d), pointer.raw(isPrivate: false) == x
        else { throw json["x"].error("no public key of \(curve.rawValue), or not the one of d") }
        return try make(
            .curve(curve), algorithms, .pair(pointer), isPrivate: d != nil, ["crv", "kty", "x"], d == nil ? [] : ["d"])
    }

    private func secret() throws -> JWK {
        let secret = try bytes("k", limit: JWK.secretLimitBytes)
        let all = JWSAlgorithm.allCases.filter(\.isSymmetric)
        // RFC 7518 section 3.2: as long as the digest, or longer.
        let possible = all.filter { secret.count >= $0.digest.byteCount }
        let algorithms = try algorithms(all).filter { possible.contains($0) }
        guard !algorithms.isEmpty else {
            throw json["k"].error(
                "\(counted(secret.count, "byte")); \(wanted ?? "HS256") needs a secret as long as its digest")
        }
        return try make(
            .secret(bits: secret.count * 8), algorithms, .secret(secret), isPrivate: true, ["kty"], ["k"])
    }
}

/// What somebody else has written, short enough for an error.
func shortened(_ text: String) -> String { text.utf8.count <= 64 ? text : String(text.prefix(48)) + "…" }
