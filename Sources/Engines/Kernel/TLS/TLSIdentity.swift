import COpenSSL

/// Who somebody is, and the proof: certificates from its own up to, not including, the authority's, and the key.
public struct TLSIdentity: Sendable {
    public let certificates: [Certificate]
    public let key: PrivateKey

    public var certificate: Certificate { certificates[0] }

    /// - Throws: if the key is not the first certificate's, or there is none.
    public init(certificates: [Certificate], key: PrivateKey, name: String) throws(TLSConfigurationError) {
        guard let first = certificates.first else {
            throw TLSConfigurationError(.certificate, "\(name): no certificate")
        }
        ERR_clear_error()
        guard X509_check_private_key(first.pointer, key.pointer) == 1 else {
            throw TLSConfigurationError(
                .mismatch, "\(name): the private key is not the one of the first certificate",
                reason: OpenSSLError.take())
        }
        self.certificates = certificates
        self.key = key
    }

    /// Reads PEM texts; both may be the same one, which has the certificates and the key.
    ///
    /// - Parameters:
    ///   - certificates: the own certificate first, then those that lead up to the authority.
    ///   - name: what the first text is called in errors: a path.
    public init(certificates: [UInt8], key: [UInt8], name: String, keyName: String? = nil) throws(TLSConfigurationError)
    {
        try self.init(
            certificates: try Certificate.read(pem: certificates, name: name),
            key: try PrivateKey(pem: key, name: keyName ?? name), name: keyName ?? name)
    }

    /// Whether it is for that name: exactly, or by a wildcard in the place of one label.
    func answers(to serverName: String) -> Bool {
        let wanted = serverName.lowercased()
        return certificate.names.contains { name in
            let name = name.lowercased()
            if name == wanted { return true }
            guard name.hasPrefix("*."), let dot = wanted.firstIndex(of: ".") else { return false }
            return wanted[dot...] == name.dropFirst()
        }
    }

    /// Makes the context show it.
    func install(in context: OpaquePointer) throws(TLSConfigurationError) {
        ERR_clear_error()
        var succeeded =
            SSL_CTX_use_certificate(context, certificate.pointer) == 1
            && SSL_CTX_use_PrivateKey(context, key.pointer) == 1
        for one in certificates.dropFirst() where succeeded {
            succeeded = sdlab_ssl_add_chain(context, one.pointer) == 1
        }
        guard succeeded else {
            let reason = OpenSSLError.take()
            throw TLSConfigurationError(
                .certificate, "the certificate of \(certificate.subject) cannot be used: \(reason)", reason: reason)
        }
    }
}
