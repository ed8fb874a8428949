import COpenSSL
import KernelStructures
import KernelWorld

/// What a server shows and demands.
public struct TLSServerOptions: Sendable {
    /// The first is shown to whoever asks for no name or for an unknown one, the others to who asks for theirs (SNI,
    /// RFC 6066 §3).
    public var identities: [TLSIdentity]
    public var clientCertificates = ClientCertificates.none
    /// Who vouches for clients; needed with `.optional` and `.required`.
    public var clientAuthorities: [Certificate] = []
    /// What it speaks, the dearest first (ALPN, RFC 7301). A client that offers only other protocols is refused; one
    /// that offers none is not asked. Empty: whatever the client wants to believe.
    public var applicationProtocols: [String] = []
    public var versions: ClosedRange<TLSVersion> = .tls12 ... .tls13
    /// OpenSSL's list of ciphers for TLS 1.2; nil: its default.
    public var ciphers: String?
    /// From the start of a connection to the end of its handshake (lab time).
    public var handshakeTimeout = LabDuration.seconds(10)

    public enum ClientCertificates: String, Sendable, CaseIterable {
        case none, optional, required
    }

    public init(identities: [TLSIdentity]) { self.identities = identities }
}

/// The accepting end of TLS, for all connections of a port. It belongs to one World.
public final class TLSServer: StreamSecurity {
    public let options: TLSServerOptions
    private let context: OpaquePointer
    /// One for each identity beside the first, with the identity.
    private var others: [(identity: TLSIdentity, context: OpaquePointer)] = []
    /// Application protocols as ALPN writes them: each with its length before it.
    private let protocols: [UInt8]
    /// Handshakes that were completed, those of them that resumed a session, and those that failed.
    public private(set) var handshakeCount = 0
    public private(set) var resumedCount = 0
    public private(set) var failureCount = 0
    /// Hears of each connection that could not be secured, or was broken.
    public var onFailure: ((Stream, TLSFailure) -> Void)?

    /// Sessions kept to be resumed; older ones make room.
    static let sessionLimit = 1024

    /// - Throws: if a certificate cannot be used, or client certificates are asked for with nobody to vouch for them.
    public init(_ options: TLSServerOptions) throws(TLSConfigurationError) {
        self.options = options
        protocols = try TLSContext.encoded(options.applicationProtocols)
        guard let first = options.identities.first else {
            throw TLSConfigurationError(.certificate, "a TLS server needs a certificate")
        }
        if options.clientCertificates != .none, options.clientAuthorities.isEmpty {
            throw TLSConfigurationError(
                .authorities, "client certificates are asked for, but nobody is named who vouches for them")
        }
        context = try Self.makeContext(first, options)
        for identity in options.identities.dropFirst() {
            others.append((identity, try Self.makeContext(identity, options)))
        }
        let this = Unmanaged.passUnretained(self).toOpaque()
        if !others.isEmpty {
            sdlab_ssl_on_server_name(context, { ssl, _, owner in TLSServer.chooseIdentity(ssl, owner) }, this)
        }
        if !protocols.isEmpty {
            SSL_CTX_set_alpn_select_cb(
                context,
                { _, chosen, length, offered, offeredLength, owner in
                    TLSServer.chooseProtocol(chosen, length, offered, offeredLength, owner)
                }, this)
        }
    }

    deinit {
        SSL_CTX_free(context)
        for other in others { SSL_CTX_free(other.context) }
    }

    private static func makeContext(_ identity: TLSIdentity, _ options: TLSServerOptions)
        throws(TLSConfigurationError) -> OpaquePointer
    {
        let context = try TLSContext.make(isServer: true, versions: options.versions, ciphers: options.ciphers)
        do throws(TLSConfigurationError) {
            try identity.install(in: context)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        sdlab_ssl_session_cache(context, Int(SSL_SESS_CACHE_SERVER), sessionLimit)
        SSL_CTX_set_num_tickets(context, 1)
        // Sessions of one server are of no use to another.
        var purpose = [UInt8](repeating: 0, count: 16)
        RAND_bytes(&purpose, 16)
        SSL_CTX_set_session_id_context(context, purpose, 16)
        if options.clientCertificates != .none {
            let demand = options.clientCertificates == .required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER | demand, nil)
            for authority in options.clientAuthorities {
                X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.pointer)
                SSL_CTX_add_client_CA(context, authority.pointer)
            }
        }
        return context
    }

    // MARK: What OpenSSL asks during a handshake

    private static func chooseIdentity(_ ssl: OpaquePointer?, _ owner: UnsafeMutableRawPointer?) -> Int32 {
        guard let ssl, let owner, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else {
            return SSL_TLSEXT_ERR_NOACK
        }
        let server = Unmanaged<TLSServer>.fromOpaque(owner).takeUnretainedValue()
        let wanted = String(cString: name)
        guard !server.options.identities[0].answers(to: wanted),
            let match = server.others.first(where: { $0.identity.answers(to: wanted) })
        else { return SSL_TLSEXT_ERR_OK }
        SSL_set_SSL_CTX(ssl, match.context)
        return SSL_TLSEXT_ERR_OK
    }

    private static func chooseProtocol(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ length: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?, _ offeredLength: UInt32, _ owner: UnsafeMutableRawPointer?
    ) -> Int32 {
        guard let chosen, let length, let offered, let owner else { return SSL_TLSEXT_ERR_NOACK }
        let server = Unmanaged<TLSServer>.fromOpaque(owner).takeUnretainedValue()
        let list = UnsafeBufferPointer(start: offered, count: Int(offeredLength))
        for wanted in server.options.applicationProtocols {
            // What is chosen has to outlive this call: it is pointed at within the client's own list.
            var place = 0
            while place < list.count {
                let end = place + 1 + Int(list[place])
                guard end <= list.count else { break }
                if list[(place + 1)..<end].elementsEqual(wanted.utf8) {
                    chosen.pointee = offered + place + 1
                    length.pointee = list[place]
                    return SSL_TLSEXT_ERR_OK
                }
                place = end
            }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }

    // MARK: StreamSecurity

    public func makeLayer(for stream: Stream, host: String) -> any StreamLayer {
        let engine = TLSEngine(context: context, isServer: true)
        engine.judgeCertificates(at: stream.node.wallClock)
        return TLSLayer(
            stream, engine, handshakeTimeout: options.handshakeTimeout,
            onOpened: { [self] session in
                handshakeCount += 1
                if session.isResumed { resumedCount += 1 }
            },
            onFailed: { [self] stream, failure in
                failureCount += 1
                onFailure?(stream, failure)
            })
    }
}

/// What contexts of both ends have in common.
enum TLSContext {
    static func make(isServer: Bool, versions: ClosedRange<TLSVersion>, ciphers: String?)
        throws(TLSConfigurationError) -> OpaquePointer
    {
        ERR_clear_error()
        guard let context = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
            throw TLSConfigurationError(.other, "OpenSSL made no context: \(OpenSSLError.take())")
        }
        sdlab_ssl_harden(context)
        guard sdlab_ssl_limit_versions(context, versions.lowerBound.rawValue, versions.upperBound.rawValue) == 1 else {
            SSL_CTX_free(context)
            throw TLSConfigurationError(.other, "OpenSSL does not speak TLS \(versions.lowerBound)")
        }
        if let ciphers, SSL_CTX_set_cipher_list(context, ciphers) != 1 {
            SSL_CTX_free(context)
            throw TLSConfigurationError(
                .other, "'\(ciphers)' names no cipher; see: openssl ciphers", reason: OpenSSLError.take())
        }
        return context
    }

    /// RFC 7301 §3.1.
    static func encoded(_ protocols: [String]) throws(TLSConfigurationError) -> [UInt8] {
        var bytes: [UInt8] = []
        for name in protocols {
            guard (1...255).contains(name.utf8.count) else {
                throw TLSConfigurationError(.other, "'\(name)' is no application protocol; 1 to 255 bytes")
            }
            bytes.append(UInt8(name.utf8.count))
            bytes += Array(name.utf8)
        }
        return bytes
    }
}
