import COpenSSL
import KernelCryptography

/// Making and judging signatures: OpenSSL's work, with the forms that RFC 7518 gives them.
enum Signature {
    /// Whether `signature` is the key's over `bytes`. False for any signature that is badly formed.
    static func isValid(_ signature: [UInt8], of bytes: [UInt8], _ key: JWK, _ algorithm: JWSAlgorithm) -> Bool {
        switch key.material {
        case .secret(let secret):
            return MessageAuthentication.isValid(signature, of: bytes, key: secret, algorithm.digest)
        case .pair(let pointer):
            var signature = signature
            if algorithm.family == .ecdsa {
                guard case .curve(let curve) = key.kind, let der = ECDSAForm.der(signature, curve) else { return false }
                signature = der
            }
            return withContext(pointer, algorithm, isSigning: false) { context in
                EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
            } ?? false
        }
    }

    /// The key's signature over `bytes`; nil if it cannot sign.
    static func make(of bytes: [UInt8], _ key: JWK, _ algorithm: JWSAlgorithm) -> [UInt8]? {
        switch key.material {
        case .secret(let secret):
            return MessageAuthentication.code(of: bytes, key: secret, algorithm.digest)
        case .pair(let pointer):
            guard key.isPrivate else { return nil }
            let made: [UInt8]? =
                withContext(pointer, algorithm, isSigning: true) { context -> [UInt8]? in
                    var length = 0
                    guard EVP_DigestSign(context, nil, &length, bytes, bytes.count) == 1, length > 0, length <= 1 << 16
                    else { return nil }
                    var signature = [UInt8](repeating: 0, count: length)
                    guard EVP_DigestSign(context, &signature, &length, bytes, bytes.count) == 1,
                        length <= signature.count
                    else { return nil }
                    signature.removeLast(signature.count - length)
                    return signature
                } ?? nil
            guard algorithm.family == .ecdsa, case .curve(let curve) = key.kind else { return made }
            return made.flatMap { ECDSAForm.raw($0, curve) }
        }
    }

    private static func withContext<R>(
        _ key: KeyPointer, _ algorithm: JWSAlgorithm, isSigning: Bool, _ body: (OpaquePointer) -> R
    ) -> R? {
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var keyContext: OpaquePointer?
        let digest = algorithm.family == .edwards ? nil : openSSLDigest(algorithm.digest)
        let isReady =
            isSigning
            ? EVP_DigestSignInit(context, &keyContext, digest, nil, key.pointer)
            : EVP_DigestVerifyInit(context, &keyContext, digest, nil, key.pointer)
        guard isReady == 1 else { return nil }
        if algorithm.family == .pss {
            // -1: as long as the digest, no other (RFC 7518 section 3.5).
            guard EVP_PKEY_CTX_set_rsa_padding(keyContext, RSA_PKCS1_PSS_PADDING) == 1,
                EVP_PKEY_CTX_set_rsa_pss_saltlen(keyContext, -1) == 1
            else { return nil }
        }
        return body(context)
    }

    private static func openSSLDigest(_ digest: MessageDigest) -> OpaquePointer? {
        switch digest {
        case .sha384: EVP_sha384()
        case .sha512: EVP_sha512()
        default: EVP_sha256()
        }
    }
}

/// ECDSA's two numbers: JOSE writes them one behind the other, each as long as the curve's coordinates (RFC 7518
/// section 3.4); OpenSSL has them in ASN.1.
private enum ECDSAForm {
    static func der(_ raw: [UInt8], _ curve: JWKCurve) -> [UInt8]? {
        guard raw.count == 2 * curve.byteCount else { return nil }
        guard let pair = ECDSA_SIG_new() else { return nil }
        defer { ECDSA_SIG_free(pair) }
        let half = Int32(curve.byteCount)
        let r = raw.withUnsafeBufferPointer { BN_bin2bn($0.baseAddress, half, nil) }
        let s = raw.withUnsafeBufferPointer { BN_bin2bn($0.baseAddress.map { $0 + curve.byteCount }, half, nil) }
        // The pair becomes their owner.
        guard ECDSA_SIG_set0(pair, r, s) == 1 else {
            BN_free(r)
            BN_free(s)
            return nil
        }
        let length = i2d_ECDSA_SIG(pair, nil)
        guard length > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(length))
        let written = bytes.withUnsafeMutableBufferPointer { buffer in
            var start = buffer.baseAddress
            return i2d_ECDSA_SIG(pair, &start)
        }
        return written == length ? bytes : nil
    }

    static func raw(_ der: [UInt8], _ curve: JWKCurve) -> [UInt8]? {
        let pair = der.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return d2i_ECDSA_SIG(nil, &start, buffer.count)
        }
        guard let pair else { return nil }
        defer { ECDSA_SIG_free(pair) }
        let half = Int32(curve.byteCount)
        var r = [UInt8](repeating: 0, count: curve.byteCount)
        var s = r
        guard BN_bn2binpad(ECDSA_SIG_get0_r(pair), &r, half) == half,
            BN_bn2binpad(ECDSA_SIG_get0_s(pair), &s, half) == half
        else { return nil }
        return r + s
    }
}
