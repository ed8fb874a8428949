import COpenSSL
import KernelStructures

/// An X.509 certificate (RFC 5280), already read. It never changes.
public final class Certificate: @unchecked Sendable {
    let pointer: OpaquePointer

    /// - Parameter pointer: the certificate becomes its owner.
    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { X509_free(pointer) }

    /// Certificates of a file at most; more are an error.
    public static let countLimit = 1000

    /// All certificates of a PEM text, in its order. What stands between them is passed over, as OpenSSL does.
    ///
    /// - Parameter name: what the text is called in errors: a path.
    /// - Throws: if there is none, or one cannot be read.
    public static func read(pem: [UInt8], name: String) throws(TLSConfigurationError) -> [Certificate] {
        var found: [Certificate] = []
        ERR_clear_error()
        let failure = PEM.withInput(pem) { input -> String in
            while found.count < countLimit, let one = sdlab_pem_certificate(input) {
                found.append(Certificate(owning: one))
            }
            let code = ERR_peek_last_error()
            let isEnd = OpenSSLError.reasonNumber(code) == Int(PEM_R_NO_START_LINE)
            if !found.isEmpty, isEnd {
                ERR_clear_error()
                return ""
            }
            return OpenSSLError.take()
        }
        if found.count == countLimit {
            throw TLSConfigurationError(.certificate, "\(name): more than \(countLimit) certificates")
        }
        if !failure.isEmpty || found.isEmpty {
            throw TLSConfigurationError(
                .certificate,
                "\(name): no certificate could be read; it has to be PEM text with -----BEGIN CERTIFICATE-----",
                reason: failure)
        }
        return found
    }

    public var pem: [UInt8] { PEM.written { PEM_write_bio_X509($0, pointer) } }

    /// `CN = web, O = sdlab`, as OpenSSL prints it on one line.
    public var subject: String { Self.text(of: X509_get_subject_name(pointer)) }
    public var issuer: String { Self.text(of: X509_get_issuer_name(pointer)) }

    private static func text(of name: OpaquePointer?) -> String {
        String(decoding: PEM.written { sdlab_print_name($0, name) }, as: UTF8.self)
    }

    /// Whom it is for: `web`, `*.example.com`, `127.0.0.1`.
    public var names: [String] {
        guard let raw = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil) else { return [] }
        let list = OpaquePointer(raw)
        defer { GENERAL_NAMES_free(list) }
        return (0..<max(0, sdlab_san_count(list))).compactMap { index -> String? in
            var kind: Int32 = 0
            var length: Int32 = 0
            guard let bytes = sdlab_general_name_bytes(sdlab_san(list, index), &kind, &length) else { return nil }
            let value = UnsafeBufferPointer(start: bytes, count: Int(max(0, length)))
            return kind == GEN_IPADD ? Self.address(value) : String(decoding: value, as: UTF8.self)
        }
    }

    private static func address(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: return IPv4Address(bits: UInt32(number(0..<4))).description
        case 16: return IPv6Address(high: number(0..<8), low: number(8..<16)).description
        default: return nil
        }
    }

    /// In hexadecimal, as `openssl x509 -serial` prints it.
    public var serialNumber: String {
        guard let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(pointer), nil) else { return "" }
        defer { BN_free(number) }
        guard let text = BN_bn2hex(number) else { return "" }
        defer { CRYPTO_free(text, "", 0) }
        return String(cString: text)
    }

    public var validFrom: LabTime { Self.time(X509_get0_notBefore(pointer)) }
    public var validUntil: LabTime { Self.time(X509_get0_notAfter(pointer)) }

    private static func time(_ value: UnsafePointer<ASN1_TIME>?) -> LabTime {
        var days: Int32 = 0
        var seconds: Int32 = 0
        let epoch = ASN1_TIME_set(nil, 0)
        defer { ASN1_STRING_free(epoch) }
        guard ASN1_TIME_diff(&days, &seconds, epoch, value) == 1 else { return .distantFuture }
        let (total, overflow) = (Int64(days) * 86_400 + Int64(seconds)).multipliedReportingOverflow(by: 1_000_000_000)
        return LabTime(nanoseconds: overflow ? (days < 0 ? .min : .max) : total)
    }

    /// SHA-256 of the certificate: `3A:5F:…`.
    public var fingerprint: String {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 32
        X509_digest(pointer, EVP_sha256(), &digest, &length)
        return digest.map { hexadecimal(UInt64($0), 2).uppercased() }.joined(separator: ":")
    }

    /// Whether it may sign others.
    public var isAuthority: Bool { X509_check_ca(pointer) == 1 }
}

/// A private key, already read. It never changes.
public final class PrivateKey: @unchecked Sendable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { EVP_PKEY_free(pointer) }

    /// A new RSA key of 2048 bits: about 0.1 s of computing. Its signatures always have 256 bytes.
    public static func make() throws(TLSConfigurationError) -> PrivateKey {
        ERR_clear_error()
        guard let key = sdlab_make_rsa_key(2048) else {
            throw TLSConfigurationError(.key, "OpenSSL made no RSA key: \(OpenSSLError.take())")
        }
        return PrivateKey(owning: key)
    }

    /// - Parameter name: what the text is called in errors: a path.
    public init(pem: [UInt8], name: String) throws(TLSConfigurationError) {
        ERR_clear_error()
        let key = PEM.withInput(pem) { sdlab_pem_private_key($0) }
        let reason = OpenSSLError.take()
        guard let key else {
            throw TLSConfigurationError(
                .key,
                "\(name): no private key could be read; it has to be PEM text with -----BEGIN PRIVATE KEY----- and "
                    + "without a passphrase", reason: reason)
        }
        pointer = key
    }

    public var pem: [UInt8] { PEM.written { PEM_write_bio_PrivateKey($0, pointer, nil, nil, 0, nil, nil) } }
}

/// PEM text (RFC 7468) by way of OpenSSL's buffers.
enum PEM {
    static func withInput<Result>(_ text: [UInt8], _ body: (OpaquePointer) -> Result) -> Result {
        text.withUnsafeBytes { bytes in
            let count = Int32(clamping: bytes.count)
            guard let input = BIO_new_mem_buf(bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1), count) else {
                preconditionFailure("out of memory")
            }
            defer { BIO_free(input) }
            return body(input)
        }
    }

    static func written(_ body: (OpaquePointer) -> Int32) -> [UInt8] {
        guard let output = BIO_new(BIO_s_mem()) else { preconditionFailure("out of memory") }
        defer { BIO_free(output) }
        guard body(output) >= 0 else { return [] }
        var start: UnsafeMutablePointer<CChar>?
        let count = sdlab_bio_contents(output, &start)
        guard let start, count > 0 else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }
}
