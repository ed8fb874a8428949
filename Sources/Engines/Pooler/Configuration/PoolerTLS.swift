import KernelStructures

/// What is asked of TLS at one side (`client_tls_sslmode`, `server_tls_sslmode`), from nothing to most.
public enum PoolerTLSMode: String, CaseIterable, Comparable, Sendable {
    case disable
    /// As `prefer`: pgbouncer does not make a second attempt either.
    case allow
    /// If the other side wants it.
    case prefer
    /// Always; whoever is at the other end.
    case require
    /// The other end shows a certificate that the authority vouches for …
    case verifyAuthority = "verify-ca"
    /// … and a server's is for the name by which it was called.
    case verifyFull = "verify-full"

    public static func < (a: Self, b: Self) -> Bool { a.rank < b.rank }
    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// The settings of TLS at one side, files with their content.
public struct PoolerTLS: Equatable, Sendable {
    public let mode: PoolerTLSMode
    public let key: File?
    public let certificate: File?
    public let authority: File?
    /// Versions of TLS, `1.2` and `1.3` or one of them.
    public let versions: [String]
    /// OpenSSL's list of ciphers for TLS 1.2; nil for its default.
    public let ciphers: String?

    public struct File: Equatable, Sendable {
        public let path: String
        public let bytes: [UInt8]

        public init(path: String, bytes: [UInt8]) {
            self.path = path
            self.bytes = bytes
        }
    }

    /// - Parameter side: `client` or `server`.
    init(_ side: String, of configuration: PoolerConfiguration) {
        func file(_ kind: String) -> File? {
            let name = "\(side)_tls_\(kind)_file"
            let path = configuration.text(name)
            return path.isEmpty ? nil : File(path: path, bytes: configuration.files[name] ?? [])
        }
        mode = PoolerTLSMode(rawValue: configuration.text("\(side)_tls_sslmode")) ?? .disable
        key = file("key")
        certificate = file("cert")
        authority = file("ca")
        versions = Self.versions(configuration.text("\(side)_tls_protocols")) ?? ["1.2", "1.3"]
        let list = configuration.text("\(side)_tls_ciphers")
        ciphers = ["fast", "default", "secure", "normal", "all"].contains(list) ? nil : list
    }

    /// `secure`, `all` and `legacy`, or a list. What is older than 1.2 nobody speaks any more.
    static func versions(_ text: String) -> [String]? {
        if ["secure", "all", "legacy"].contains(text) { return ["1.2", "1.3"] }
        let names = text.split { $0 == "," || $0 == " " || $0 == ":" }.map { $0.lowercased() }
        let known = ["tlsv1.2": "1.2", "tlsv1.3": "1.3"]
        let versions = names.compactMap { known[$0] }
        return versions.isEmpty || versions.count < names.count ? nil : Array(Set(versions)).sorted()
    }
}

extension PoolerConfiguration {
    public var clientTLS: PoolerTLS { PoolerTLS("client", of: self) }
    public var serverTLS: PoolerTLS { PoolerTLS("server", of: self) }

    /// Takes in the files that settings name.
    ///
    /// - Parameter read: a file's content.
    /// - Throws: what `read` throws, and `Malformed` if settings do not go together.
    public mutating func readFiles(_ read: (String) throws -> [UInt8]) throws {
        files = [:]
        for name in PoolerSetting.files where !text(name).isEmpty { files[name] = try read(text(name)) }
        try check()
    }

    /// Whether settings go together, as pgbouncer says it.
    public func check() throws(Malformed) {
        let client = clientTLS
        if client.mode != .disable, client.key == nil || client.certificate == nil {
            throw Malformed(
                "to allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set")
        }
        let server = serverTLS
        if (server.key == nil) != (server.certificate == nil) {
            throw Malformed("server_tls_key_file and server_tls_cert_file belong together: set both or none")
        }
    }
}
