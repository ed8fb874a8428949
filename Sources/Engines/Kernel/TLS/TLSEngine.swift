import COpenSSL
import KernelStructures
import KernelWorld

/// One end of a TLS connection without a network: what arrives is pushed in, what is to be sent is taken out.
///
/// Its memory is bounded by what it is given at a time: OpenSSL keeps at most one record (16 KiB) in each direction and
/// 100 KiB of handshake.
final class TLSEngine {
    let ssl: OpaquePointer
    /// Both belong to `ssl`.
    private let input: OpaquePointer
    private let output: OpaquePointer
    /// What the peer allows to be resumed later; the receiver takes a reference of its own if it keeps it.
    var onSession: ((OpaquePointer) -> Void)?

    enum Progress: Equatable { case done, needsInput, failed(TLSFailure) }
    enum Reading: Equatable { case bytes(Int), needsInput, ended, failed(TLSFailure) }

    /// Bytes of a record, RFC 8446 §5.1: the most that one `read` returns.
    static let recordBytes = 16 * 1024

    init(context: OpaquePointer, isServer: Bool) {
        guard let ssl = SSL_new(context), let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
            preconditionFailure("out of memory")
        }
        self.ssl = ssl
        self.input = input
        self.output = output
        sdlab_bio_wait_when_empty(input)
        sdlab_bio_wait_when_empty(output)
        SSL_set_bio(ssl, input, output)
        if isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
        sdlab_ssl_set_owner(ssl, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { SSL_free(ssl) }

    static func of(_ ssl: OpaquePointer?) -> TLSEngine? {
        guard let ssl, let owner = sdlab_ssl_owner(ssl) else { return nil }
        return Unmanaged<TLSEngine>.fromOpaque(owner).takeUnretainedValue()
    }

    /// Certificates are judged as of that time.
    func judgeCertificates(at time: LabTime) {
        X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), time_t(time.unixSeconds))
    }

    // MARK: Bytes

    func push(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty {
            let count = BIO_write(input, rest.baseAddress, Int32(clamping: rest.count))
            if count <= 0 { preconditionFailure("out of memory") }
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(count)...])
        }
    }

    /// Hands over what is to be sent, if there is anything. Valid during the call, in which nothing may be asked of
    /// this engine.
    func takeOutput(_ send: (UnsafeRawBufferPointer) -> Void) {
        var start: UnsafeMutablePointer<CChar>?
        let count = sdlab_bio_contents(output, &start)
        guard count > 0, let start else { return }
        send(UnsafeRawBufferPointer(start: start, count: count))
        sdlab_bio_empty(output)
    }

    // MARK: The protocol

    func shakeHands() -> Progress {
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 { return .done }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsInput
        default: return .failed(TLSFailure.noted(on: ssl))
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Reading {
        ERR_clear_error()
        let count = SSL_read(ssl, buffer.baseAddress, Int32(clamping: buffer.count))
        if count > 0 { return .bytes(Int(count)) }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_ZERO_RETURN: return .ended
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsInput
        default: return .failed(TLSFailure.noted(on: ssl))
        }
    }

    /// Returns what went wrong; nil if all of it has been sealed.
    func write(_ bytes: UnsafeRawBufferPointer) -> TLSFailure? {
        if bytes.isEmpty { return nil }
        ERR_clear_error()
        let count = SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
        return count == bytes.count ? nil : TLSFailure.noted(on: ssl)
    }

    /// Says goodbye (`close_notify`); the peer may go on.
    func sayGoodbye() {
        ERR_clear_error()
        _ = SSL_shutdown(ssl)
        ERR_clear_error()
    }

    // MARK: What was agreed upon

    var session: SecuritySession {
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &start, &count)
        let chosen = UnsafeBufferPointer(start: start, count: Int(count))
        let serverName = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
        return SecuritySession(
            version: String(cString: SSL_get_version(ssl)),
            cipher: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)).map { String(cString: $0) } ?? "",
            serverName: serverName, applicationProtocol: count > 0 ? String(decoding: chosen, as: UTF8.self) : nil,
            isResumed: SSL_session_reused(ssl) == 1, peerSubject: peerCertificate?.subject)
    }

    /// The peer's own certificate; nil if it showed none.
    var peerCertificate: Certificate? { SSL_get1_peer_certificate(ssl).map { Certificate(owning: $0) } }

    var verifyResult: (code: Int, reason: String) {
        let code = SSL_get_verify_result(ssl)
        return (code, String(cString: X509_verify_cert_error_string(code)))
    }
}
