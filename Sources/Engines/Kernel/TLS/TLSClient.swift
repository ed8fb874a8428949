import COpenSSL
import KernelStructures
import KernelWorld

/// What a client believes and shows.
public struct TLSClientOptions: Sendable {
    public var verification = Verification.full
    /// Who vouches for servers.
    public var authorities: [Certificate] = []
    /// Whether those that the machine trusts vouch, too.
    public var trustsMachine = false
    /// Shown to servers that ask for one.
    public var identity: TLSIdentity?
    /// Offered to the server (ALPN), the dearest first; empty: none.
    public var applicationProtocols: [String] = []
    /// The name that is asked for (SNI) and has to be proved, in place of the destination's.
    public var serverName: String?
    public var versions: ClosedRange<TLSVersion> = .tls12 ... .tls13
    /// OpenSSL's list of ciphers for TLS 1.2; nil: its default.
    public var ciphers: String?
    /// From the start of a connection to the end of its handshake (lab time).
    public var handshakeTimeout = LabDuration.seconds(10)

    public enum Verification: Sendable {
        /// An authority vouches for the server, and its name is the one that was meant.
        case full
        /// An authority vouches for the server, whatever its name.
        case authority
        /// Nobody vouches for anybody: safe from listeners, not from an impostor.
        case none
    }

    public init() {}
}

/// The connecting end of TLS, for connections of the same demands. It belongs to one World.
public final class TLSClient: StreamSecurity {
    public let options: TLSClientOptions
    private let context: OpaquePointer
    private let protocols: [UInt8]
    private var sessions = SessionCache()

    /// - Throws: if the certificate cannot be used or the machine's authorities cannot be read.
    public init(_ options: TLSClientOptions) throws(TLSConfigurationError) {
        self.options = options
        protocols = try TLSContext.encoded(options.applicationProtocols)
        context = try TLSContext.make(isServer: false, versions: options.versions, ciphers: options.ciphers)
        if let identity = options.identity { try identity.install(in: context) }
        let store = SSL_CTX_get_cert_store(context)
        for authority in options.authorities { X509_STORE_add_cert(store, authority.pointer) }
        if options.trustsMachine { SSL_CTX_set_default_verify_paths(context) }
        ERR_clear_error()
        SSL_CTX_set_verify(context, options.verification == .none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        sdlab_ssl_session_cache(context, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL), 1)
        SSL_CTX_sess_set_new_cb(context) { ssl, session in
            if let session { TLSEngine.of(ssl)?.onSession?(session) }
            return 0
        }
    }

    deinit {
        sessions.removeAll()
        SSL_CTX_free(context)
    }

    public func makeLayer(for stream: Stream, host: String) -> any StreamLayer {
        let engine = TLSEngine(context: context, isServer: false)
        engine.judgeCertificates(at: stream.node.wallClock)
        let wanted = options.serverName ?? host
        demand(wanted.hasSuffix(".") ? String(wanted.dropLast()) : wanted, engine.ssl)
        if !protocols.isEmpty { SSL_set_alpn_protos(engine.ssl, protocols, UInt32(protocols.count)) }
        let key = "\(wanted) \(stream.remote)"
        if let session = sessions.session(for: key, at: stream.node.wallClock) { SSL_set_session(engine.ssl, session) }
        let node = stream.node
        engine.onSession = { [weak self, unowned node] session in
            self?.sessions.keep(session, for: key, at: node.wallClock)
        }
        return TLSLayer(
            stream, engine, handshakeTimeout: options.handshakeTimeout,
            onFailed: { [weak self] _, _ in self?.sessions.forget(key) })
    }

    private func demand(_ name: String, _ ssl: OpaquePointer) {
        let isAddress = CertificateAuthority.isAddress(name)
        // RFC 6066 §3: addresses are not asked for by name.
        if !isAddress, !name.isEmpty { sdlab_ssl_set_server_name(ssl, name) }
        guard options.verification == .full else { return }
        let parameters = SSL_get0_param(ssl)
        if isAddress {
            X509_VERIFY_PARAM_set1_ip_asc(parameters, name)
        } else {
            X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            X509_VERIFY_PARAM_set1_host(parameters, name, 0)
        }
    }
}

/// Sessions that can be resumed, the newest of each destination.
private struct SessionCache {
    private var entries: [(key: String, session: OpaquePointer, keptAt: LabTime)] = []

    static let limit = 256
    /// RFC 8446 §4.6.1 allows a week; OpenSSL's servers keep them for two hours.
    static let lifetime = LabDuration.seconds(7200)

    /// Takes a reference of its own.
    mutating func keep(_ session: OpaquePointer, for key: String, at now: LabTime) {
        forget(key)
        if entries.count >= Self.limit { SSL_SESSION_free(entries.removeFirst().session) }
        SSL_SESSION_up_ref(session)
        entries.append((key, session, now))
    }

    mutating func session(for key: String, at now: LabTime) -> OpaquePointer? {
        guard let entry = entries.last(where: { $0.key == key }) else { return nil }
        if now >= entry.keptAt, now - entry.keptAt < Self.lifetime { return entry.session }
        forget(key)
        return nil
    }

    mutating func forget(_ key: String) {
        entries.removeAll { entry in
            if entry.key == key { SSL_SESSION_free(entry.session) }
            return entry.key == key
        }
    }

    mutating func removeAll() {
        for entry in entries { SSL_SESSION_free(entry.session) }
        entries = []
    }
}
