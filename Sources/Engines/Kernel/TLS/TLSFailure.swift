import COpenSSL

/// Why a connection could not be secured, or is secure no longer.
public struct TLSFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        /// The peer's certificate was not accepted here; the code is OpenSSL's `X509_V_ERR_…`.
        case certificate(code: Int)
        /// The peer's reason to give up (RFC 8446 §6.2), by its number.
        case alert(Int)
        /// What arrived is not TLS, was changed on the way, or asks for what is not offered here.
        case malformed
        /// The handshake was not over in time.
        case timedOut
        /// The connection ended within the handshake.
        case closed
        /// The connection ended without the peer's goodbye: what was received may be only a part.
        case truncated
    }

    public let kind: Kind
    /// `certificate has expired`, `wrong version number` …
    public let reason: String
    /// OpenSSL's line, `error:0A00010B:SSL routines::wrong version number`; empty where the failure is not OpenSSL's.
    public let line: String

    init(_ kind: Kind, _ reason: String, line: String = "") {
        self.kind = kind
        self.reason = reason
        self.line = line
    }

    public var description: String {
        switch kind {
        case .certificate: "the peer's certificate is not accepted: \(reason)"
        case .alert: "the peer gave up: \(reason)"
        case .malformed: reason
        case .timedOut: "the TLS handshake took too long"
        case .closed: "the connection ended within the TLS handshake"
        case .truncated: "the connection ended without a close_notify"
        }
    }

    public static let timedOut = TLSFailure(.timedOut, "timeout")
    public static let closed = TLSFailure(.closed, "unexpected eof while reading")
    public static let truncated = TLSFailure(
        .truncated, "unexpected eof while reading", line: "error:0A000126:SSL routines::unexpected eof while reading")

    /// Whether the certificate is for another name than the one that was meant.
    public var isNameMismatch: Bool {
        kind == .certificate(code: Int(X509_V_ERR_HOSTNAME_MISMATCH))
            || kind == .certificate(code: Int(X509_V_ERR_IP_ADDRESS_MISMATCH))
    }
}

extension TLSFailure {
    /// What OpenSSL has noted about the last call that failed, on this connection.
    static func noted(on ssl: OpaquePointer) -> TLSFailure {
        let code = ERR_get_error()
        defer { ERR_clear_error() }
        let number = OpenSSLError.reasonNumber(code)
        let reason = OpenSSLError.reason(code)
        let line = OpenSSLError.line(code)
        if number == Int(SSL_R_CERTIFICATE_VERIFY_FAILED) {
            let result = SSL_get_verify_result(ssl)
            return TLSFailure(
                .certificate(code: result), String(cString: X509_verify_cert_error_string(result)), line: line)
        }
        // Alerts that were received have reasons of 1000 and the alert's number.
        if (1000..<1256).contains(number) { return TLSFailure(.alert(number - 1000), reason, line: line) }
        return TLSFailure(.malformed, reason, line: line)
    }
}

/// OpenSSL's queue of errors, which belongs to the thread.
enum OpenSSLError {
    static func reasonNumber(_ code: UInt) -> Int { Int(code & 0x7F_FFFF) }

    static func reason(_ code: UInt) -> String {
        ERR_reason_error_string(code).map { String(cString: $0) } ?? (code == 0 ? "unknown error" : "error \(code)")
    }

    /// `error:0A00010B:SSL routines::wrong version number`
    static func line(_ code: UInt) -> String {
        if code == 0 { return "" }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            ERR_error_string_n(code, buffer.baseAddress, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
    }

    /// The reason of the oldest error, and forgets all of them.
    static func take() -> String {
        defer { ERR_clear_error() }
        let code = ERR_get_error()
        return code == 0 ? "" : line(code)
    }
}

/// The OpenSSL that is used.
public enum OpenSSLVersion {
    /// `OpenSSL/3.0.19`, as curl calls it.
    public static var name: String { "OpenSSL/" + String(cString: OpenSSL_version(OPENSSL_VERSION_STRING)) }
}
