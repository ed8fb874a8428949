import KernelHosting
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld

extension CurlTransfer {
    /// What `-v` says of a handshake, and what `-w` can ask for.
    func describeSecurity(of client: HTTPClientConnection) {
        guard let layer = client.stream.layer as? TLSLayer, let session = layer.session else { return }
        report.appConnect = elapsed
        report.verifyResult = layer.verifyResult
        verbose("* SSL connection using \(session.version) / \(session.cipher)")
        verbose(
            session.applicationProtocol.map { "* ALPN: server accepted \($0)" }
                ?? "* ALPN: server did not agree on a protocol. Uses default.")
        guard let certificate = layer.peerCertificate else { return }
        verbose("* Server certificate:")
        verbose("*  subject: \(Self.name(certificate.subject))")
        verbose("*  start date: \(Self.date(certificate.validFrom))")
        verbose("*  expire date: \(Self.date(certificate.validUntil))")
        if !options.tls.isInsecure {
            verbose("*  subjectAltName: host \"\(url.host)\" matched cert's \"\(Self.match(certificate, url.host))\"")
        }
        verbose("*  issuer: \(Self.name(certificate.issuer))")
        verbose(
            layer.verifyResult == 0
                ? "*  SSL certificate verify ok."
                : "*  SSL certificate verify result: \(layer.verifyReason) (\(layer.verifyResult)), continuing anyway.")
        verbose("* using HTTP/1.x")
    }

    /// `CN=web; O=sdlab`, as curl writes it.
    private static func name(_ text: String) -> String {
        text.replacing(" = ", with: "=").replacing(", ", with: "; ")
    }

    /// `Nov 28 04:36:34 2026 GMT`
    private static func date(_ time: LabTime) -> String {
        let civil = CivilTime(time)
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let day = civil.day < 10 ? " \(civil.day)" : "\(civil.day)"
        return "\(months[civil.month - 1]) \(day) \(padded(civil.hour, 2)):\(padded(civil.minute, 2)):"
            + "\(padded(civil.second, 2)) \(civil.year) GMT"
    }

    private static func match(_ certificate: Certificate, _ host: String) -> String {
        certificate.names.first { $0.lowercased() == host.lowercased() } ?? certificate.names.first {
            $0.hasPrefix("*")
        }
            ?? host
    }

    /// curl's words and status for a connection that TLS has failed; nil for other failures. A server that closes
    /// without a goodbye is one of those: curl takes that for the end, as it does without TLS.
    func securityFailure(_ client: HTTPClientConnection, _ failure: HTTPClientFailure) -> (text: String, status: Int)? {
        guard let layer = client.stream?.layer as? TLSLayer else { return nil }
        switch failure {
        case .notConnected(.securityFailed):
            guard let failure = layer.failure else { return nil }
            return Self.handshakeFailure(failure, url)
        case .notConnected(.reset) where layer.isOpening: return ("Recv failure: Connection reset by peer", 35)
        case .closed(.securityFailed):
            guard let failure = layer.failure, failure.kind != .truncated else { return nil }
            return ("OpenSSL SSL_read: \(OpenSSLVersion.name): \(failure.line), errno 0", 56)
        default: return nil
        }
    }

    private static func handshakeFailure(_ failure: TLSFailure, _ url: HTTPURL) -> (String, Int) {
        if failure.isNameMismatch {
            return ("SSL: no alternative certificate subject name matches target host name '\(url.host)'", 60)
        }
        switch failure.kind {
        case .certificate: return ("SSL certificate problem: \(failure.reason)", 60)
        case .closed:
            return ("OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to \(url.host):\(url.port) ", 35)
        case .timedOut: return ("SSL connection timeout", 28)
        default: return ("\(OpenSSLVersion.name): \(failure.line)", 35)
        }
    }
}
