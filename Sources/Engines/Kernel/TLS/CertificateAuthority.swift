import COpenSSL
import KernelStructures

/// A notary of one's own: signs certificates that whoever trusts it accepts.
///
/// Certificates are of one kind: RSA-2048, SHA-256, a serial number of 16 bytes, good for servers and clients, from
/// 2000 to 2099 unless asked otherwise, because a lab's clock may stand anywhere. Extensions as RFC 5280 §4.2 asks.
public final class CertificateAuthority: Sendable {
    public let certificate: Certificate
    public let key: PrivateKey

    /// From when and until when a certificate is to be believed.
    public struct Validity: Equatable, Sendable {
        public var from: LabTime
        public var until: LabTime

        public init(from: LabTime, until: LabTime) {
            self.from = from
            self.until = until
        }

        public static let century = Validity(
            from: LabTime(nanoseconds: 946_684_800_000_000_000), until: LabTime(nanoseconds: 4_102_444_799_000_000_000))
    }

    /// A new one: a new key and a certificate that it has signed itself.
    public static func make(name: String = "sdlab certificate authority") throws(TLSConfigurationError)
        -> CertificateAuthority
    {
        let key = try PrivateKey.make()
        let draft = Draft(subject: name, key: key, validity: .century)
        try draft.sign(issuer: nil, issuerKey: key) { context throws(TLSConfigurationError) in
            try draft.extend(NID_basic_constraints, "critical,CA:TRUE", context)
            try draft.extend(NID_key_usage, "critical,keyCertSign,cRLSign", context)
            try draft.extend(NID_subject_key_identifier, "hash", context)
        }
        return CertificateAuthority(certificate: draft.certificate, key: key)
    }

    private init(certificate: Certificate, key: PrivateKey) {
        self.certificate = certificate
        self.key = key
    }

    /// One that was made before: its certificate and its key in one PEM text.
    public convenience init(pem: [UInt8], name: String) throws(TLSConfigurationError) {
        let identity = try TLSIdentity(certificates: pem, key: pem, name: name)
        guard identity.certificate.isAuthority else {
            throw TLSConfigurationError(
                .authorities, "\(name): the certificate of \(identity.certificate.subject) is not an authority's")
        }
        self.init(certificate: identity.certificate, key: identity.key)
    }

    /// Certificate and key, to be kept secret.
    public var pem: [UInt8] { certificate.pem + key.pem }

    /// Signs a certificate.
    ///
    /// - Parameters:
    ///   - names: host names and addresses it is for; the first is its common name. See `isName`.
    ///   - key: the subject's own.
    public func issue(_ names: [String], key: PrivateKey, validity: Validity = .century)
        throws(TLSConfigurationError) -> TLSIdentity
    {
        try Self.signed(names, key: key, validity: validity, by: self)
    }

    private static func signed(
        _ names: [String], key: PrivateKey, validity: Validity, by authority: CertificateAuthority?
    ) throws(TLSConfigurationError) -> TLSIdentity {
        guard let first = names.first else { throw TLSConfigurationError(.other, "a certificate needs a name") }
        if let bad = names.first(where: { !isName($0) }) {
            throw TLSConfigurationError(
                .other, "'\(bad)' cannot be in a certificate; a name has letters, digits, - _ . and at most 63 of them")
        }
        let list = names.map { (isAddress($0) ? "IP:" : "DNS:") + $0 }.joined(separator: ",")
        let draft = Draft(subject: first, key: key, validity: validity)
        try draft.sign(issuer: authority?.certificate, issuerKey: authority?.key ?? key) {
            context throws(TLSConfigurationError) in
            try draft.extend(NID_basic_constraints, "critical,CA:FALSE", context)
            try draft.extend(NID_key_usage, "critical,digitalSignature,keyEncipherment", context)
            try draft.extend(NID_ext_key_usage, "serverAuth,clientAuth", context)
            try draft.extend(NID_subject_key_identifier, "hash", context)
            try draft.extend(NID_authority_key_identifier, "keyid", context)
            try draft.extend(NID_subject_alt_name, list, context)
        }
        return try TLSIdentity(certificates: [draft.certificate], key: key, name: first)
    }

    /// A certificate that only its own key vouches for.
    public static func selfSigned(_ names: [String], key: PrivateKey, validity: Validity = .century)
        throws(TLSConfigurationError) -> TLSIdentity
    {
        try signed(names, key: key, validity: validity, by: nil)
    }

    static func isAddress(_ name: String) -> Bool {
        IPAddress(parsing: name) != nil
    }

    /// Whether it can stand in a certificate: an address, a host name, or one with a wildcard as its first label.
    public static func isName(_ name: String) -> Bool {
        if isAddress(name) { return true }
        let bare = name.hasPrefix("*.") ? name.dropFirst(2) : name[...]
        return !bare.isEmpty && name.utf8.count <= 63 && bare.first != "-" && bare.first != "."
            && bare.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                    || "-_.".utf8.contains(byte)
            }
    }
}

/// A certificate that is being made.
private struct Draft {
    let certificate: Certificate
    private let subject: String

    /// Bytes of a serial number. RFC 5280 §4.1.2.2 allows 20; the first is not zero, so that the length never varies.
    private static let serialBytes = 16

    init(subject: String, key: PrivateKey, validity: CertificateAuthority.Validity) {
        guard let pointer = X509_new() else { preconditionFailure("out of memory") }
        certificate = Certificate(owning: pointer)
        self.subject = subject
        X509_set_version(pointer, 2)
        var serial = [UInt8](repeating: 0, count: Self.serialBytes)
        RAND_bytes(&serial, Int32(serial.count))
        serial[0] = serial[0] & 0x3F | 0x40
        let number = BN_bin2bn(serial, Int32(serial.count), nil)
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer))
        BN_free(number)
        ASN1_TIME_set(X509_getm_notBefore(pointer), time_t(validity.from.unixSeconds))
        ASN1_TIME_set(X509_getm_notAfter(pointer), time_t(validity.until.unixSeconds))
        Self.name(X509_get_subject_name(pointer), subject)
        X509_set_pubkey(pointer, key.pointer)
    }

    private static func name(_ name: OpaquePointer?, _ common: String) {
        for (field, value) in [("O", "sdlab"), ("CN", common)] {
            let bytes = Array(value.utf8)
            X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0)
        }
    }

    func extend(_ kind: Int32, _ value: String, _ context: UnsafeMutablePointer<X509V3_CTX>)
        throws(TLSConfigurationError)
    {
        guard let made = X509V3_EXT_nconf_nid(nil, context, kind, value) else {
            throw TLSConfigurationError(.other, "\(subject): OpenSSL refused '\(value)': \(OpenSSLError.take())")
        }
        X509_add_ext(certificate.pointer, made, -1)
        X509_EXTENSION_free(made)
    }

    /// - Parameter issuer: nil: itself.
    func sign(
        issuer: Certificate?, issuerKey: PrivateKey,
        _ extend: (UnsafeMutablePointer<X509V3_CTX>) throws(TLSConfigurationError) -> Void
    ) throws(TLSConfigurationError) {
        ERR_clear_error()
        let issuer = issuer ?? certificate
        X509_set_issuer_name(certificate.pointer, X509_get_subject_name(issuer.pointer))
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, issuer.pointer, certificate.pointer, nil, nil, 0)
        try extend(&context)
        guard X509_sign(certificate.pointer, issuerKey.pointer, EVP_sha256()) > 0 else {
            throw TLSConfigurationError(.other, "\(subject): OpenSSL could not sign: \(OpenSSLError.take())")
        }
    }
}
