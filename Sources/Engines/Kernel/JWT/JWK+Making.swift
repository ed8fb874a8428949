import COpenSSL
import KernelCryptography
import KernelJSON

extension JWK {
    /// Makes a new key.
    ///
    /// Secrets and the keys of curves come from `random`, so under a seed they are the same each time, and as secret as
    /// the seed is: for learning. RSA's primes are OpenSSL's own chance.
    ///
    /// - Parameter modulusBits: of an RSA key, within `modulusBits`.
    public static func make(
        _ algorithm: JWSAlgorithm, keyID: String?, modulusBits bits: Int = 2048,
        random: inout some RandomNumberGenerator
    ) throws(JWKError) -> JWK {
        var members: [(key: String, value: JSONValue)]
        switch algorithm.family {
        case .hmac:
            let secret = bytes(algorithm.digest.byteCount, &random)
            members = [("kty", "oct"), ("k", .string(Base64.url.encode(secret)))]
        case .rsa, .pss:
            guard modulusBits.contains(bits) else { throw JWKError("an RSA key has \(modulusBits) bits, not \(bits)") }
            guard let pointer = sdlab_make_rsa_key(UInt32(bits)) else { throw JWKError("OpenSSL could not make a key") }
            members = try KeyPointer(owning: pointer).members(isPrivate: true)
        case .ecdsa:
            members = elliptic(algorithm, &random)
        case .edwards:
            let secret = bytes(JWKCurve.ed25519.byteCount, &random)
            guard let pair = KeyPointer.edwards(.ed25519, publicKey: [], privateKey: secret) else {
                throw JWKError("OpenSSL could not make a key")
            }
            members = try pair.members(isPrivate: true)
        }
        members.append(("alg", .string(algorithm.rawValue)))
        if let keyID { members.append(("kid", .string(keyID))) }
        return try JWK(JSONCursor(.object(members)))
    }

    /// A private number is drawn until it is one of the curve's, which is almost always the first time.
    private static func elliptic(
        _ algorithm: JWSAlgorithm, _ random: inout some RandomNumberGenerator
    ) -> [(key: String, value: JSONValue)] {
        let curve = JWKCurve.allCases.first { $0.algorithm == algorithm } ?? .p256
        while true {
            var number = bytes(curve.byteCount, &random)
            // 521 bits are 65 bytes and one bit.
            if curve == .p521 { number[0] &= 1 }
            guard let point = CurvePoint.coordinates(curve, privateNumber: number) else { continue }
            return [
                ("kty", "EC"), ("crv", .string(curve.rawValue)), ("x", .string(Base64.url.encode(point.x))),
                ("y", .string(Base64.url.encode(point.y))), ("d", .string(Base64.url.encode(number))),
            ]
        }
    }

    private static func bytes(_ count: Int, _ random: inout some RandomNumberGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next() >> 56) }
    }

    /// Reads a PEM text: a public key, a private key without a passphrase, or a certificate.
    ///
    /// - Parameter algorithm: what it is pinned to; nil: what its type can do.
    public init(pem: [UInt8], keyID: String? = nil, algorithm: JWSAlgorithm? = nil) throws(JWKError) {
        guard pem.count <= 1 << 20, let (key, isPrivate) = PEMKey.read(pem) else {
            throw JWKError(
                "no key could be read; it has to be PEM text with -----BEGIN PUBLIC KEY-----, PRIVATE KEY or "
                    + "CERTIFICATE, without a passphrase")
        }
        var members = try key.members(isPrivate: isPrivate)
        if let algorithm { members.append(("alg", .string(algorithm.rawValue))) }
        if let keyID { members.append(("kid", .string(keyID))) }
        try self.init(JSONCursor(.object(members)))
    }
}

extension KeyPointer {
    /// The key's numbers as a JWK has them.
    func members(isPrivate: Bool) throws(JWKError) -> [(key: String, value: JSONValue)] {
        var members: [(key: String, value: JSONValue)] = []
        func add(_ name: String, _ bytes: [UInt8]?) {
            if let bytes { members.append((name, .string(Base64.url.encode(bytes)))) }
        }
        if isA("RSA") {
            members.append(("kty", "RSA"))
            add("n", number("n"))
            add("e", number("e"))
            if isPrivate {
                let names = [
                    ("d", "d"), ("p", "rsa-factor1"), ("q", "rsa-factor2"), ("dp", "rsa-exponent1"),
                    ("dq", "rsa-exponent2"), ("qi", "rsa-coefficient1"),
                ]
                for (name, parameter) in names { add(name, number(parameter)) }
            }
        } else if isA("EC") {
            let curves = ["prime256v1": JWKCurve.p256, "P-256": .p256, "secp384r1": .p384, "P-384": .p384]
                .merging(["secp521r1": JWKCurve.p521, "P-521": .p521]) { a, _ in a }
            guard let curve = curves[groupName] else { throw JWKError("a key on a curve that JOSE does not have") }
            members += [("kty", "EC"), ("crv", .string(curve.rawValue))]
            add("x", number("qx", byteCount: curve.byteCount))
            add("y", number("qy", byteCount: curve.byteCount))
            if isPrivate { add("d", number("priv", byteCount: curve.byteCount)) }
        } else if let curve = [JWKCurve.ed25519, .ed448].first(where: { isA($0.rawValue.uppercased()) }) {
            members += [("kty", "OKP"), ("crv", .string(curve.rawValue))]
            add("x", raw(isPrivate: false))
            if isPrivate { add("d", raw(isPrivate: true)) }
        } else {
            throw JWKError("a key that is neither RSA nor EC nor Ed25519")
        }
        return members
    }
}

/// Keys in PEM texts.
private enum PEMKey {
    static func read(_ pem: [UInt8]) -> (key: KeyPointer, isPrivate: Bool)? {
        if let key = withInput(pem, { PEM_read_bio_PUBKEY($0, nil, sdlab_no_passphrase, nil) }) {
            return (KeyPointer(owning: key), false)
        }
        if let key = withInput(pem, { sdlab_pem_private_key($0) }) { return (KeyPointer(owning: key), true) }
        guard let certificate = withInput(pem, { sdlab_pem_certificate($0) }) else { return nil }
        defer { X509_free(certificate) }
        return X509_get_pubkey(certificate).map { (KeyPointer(owning: $0), false) }
    }

    private static func withInput(_ bytes: [UInt8], _ body: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
        defer { ERR_clear_error() }
        return bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress, let input = BIO_new_mem_buf(start, Int32(clamping: buffer.count))
            else {
                return nil
            }
            defer { BIO_free(input) }
            return body(input)
        }
    }
}
