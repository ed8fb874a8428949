import KernelStorage
import KernelStructures
import KernelWorld

/// The authority that a lab's nodes trust, and the certificates it has given them.
///
/// It is made when it is first asked for. Where there is a place for it, it stays there, so that programs outside which
/// were told to trust it need to be told once; without one it lasts as long as the process, and all Worlds of the
/// process share it: making a key is the most expensive thing in this room.
public final class LabAuthority {
    /// Where it is kept: a directory of a disk. nil: nowhere.
    public var place: Place? { didSet { loaded = nil } }
    private var loaded: CertificateAuthority?
    private var identities: [(names: [String], identity: TLSIdentity)] = []

    public struct Place {
        public let disk: any Disk
        public let directory: String

        /// - Parameter directory: absolute; made if need be.
        public init(disk: any Disk, directory: String) {
            self.disk = disk
            self.directory = directory
        }

        /// Certificate and key; for its owner's eyes only.
        public var secretFile: String { DiskPath.normalized("ca-key.pem", in: directory) }
        /// The certificate, for whoever is to trust it.
        public var publicFile: String { DiskPath.normalized("ca.pem", in: directory) }
    }

    /// Certificates kept for nodes; more than these are made anew each time.
    private static let identityLimit = 1024

    public static func of(_ world: World) -> LabAuthority { world.only(LabAuthority.self) { LabAuthority() } }

    // Made once in a process; several threads may have Worlds.
    private static let passing = outcome { () throws(TLSConfigurationError) in try CertificateAuthority.make() }
    private static let leafKey = outcome { () throws(TLSConfigurationError) in try PrivateKey.make() }

    private static func outcome<Value>(_ make: () throws(TLSConfigurationError) -> Value)
        -> Result<Value, TLSConfigurationError>
    {
        do throws(TLSConfigurationError) { return .success(try make()) } catch { return .failure(error) }
    }

    /// - Throws: if it cannot be made, or its files cannot be read or written.
    public func authority() throws(TLSConfigurationError) -> CertificateAuthority {
        if let loaded { return loaded }
        let made: CertificateAuthority
        if let place { made = try AuthorityFiles(place).load() } else { made = try Self.passing.get() }
        loaded = made
        return made
    }

    /// Who a node is: by its name, its addresses, and as `localhost`.
    public func identity(of node: Node, names more: [String] = []) throws(TLSConfigurationError) -> TLSIdentity {
        var names = [node.name]
        let addresses = [node.address, node.address6].filter { $0 != .any && $0 != .any6 }.map(\.description)
        for name in more + addresses + ["localhost", "127.0.0.1", "::1"] where !names.contains(name) {
            names.append(name)
        }
        if let known = identities.first(where: { $0.names == names }) { return known.identity }
        let identity = try authority().issue(names, key: try Self.leafKey.get())
        if identities.count >= Self.identityLimit { identities.removeFirst() }
        identities.append((names, identity))
        return identity
    }
}

/// The authority's two files.
private struct AuthorityFiles {
    private let place: LabAuthority.Place
    private let disk: any Disk

    /// Attempts to have the directory to oneself; another process holds it for microseconds.
    private static let lockAttempts = 10_000

    init(_ place: LabAuthority.Place) {
        self.place = place
        disk = place.disk
    }

    func load() throws(TLSConfigurationError) -> CertificateAuthority {
        if let known = try stored({ () throws(DiskError) in try read() }) { return try parse(known) }
        let made = try CertificateAuthority.make()
        let earlier = try stored { () throws(DiskError) in try keep(made) }
        return try earlier.map { bytes throws(TLSConfigurationError) in try parse(bytes) } ?? made
    }

    private func stored<Value>(_ body: () throws(DiskError) -> Value) throws(TLSConfigurationError) -> Value {
        do throws(DiskError) {
            return try body()
        } catch {
            throw TLSConfigurationError(
                .store, "the lab's certificate authority cannot be kept: \(error); choose another --tls-dir")
        }
    }

    /// Writes both files, unless somebody else was first: then that one's secret file is returned.
    private func keep(_ made: CertificateAuthority) throws(DiskError) -> [UInt8]? {
        try disk.makeDirectory(place.directory, owner: .lab)
        let lock = try lock()
        defer { lock.release() }
        if let known = try read() { return known }
        try write(made.certificate.pem, to: place.publicFile, isSecret: false)
        try write(made.pem, to: place.secretFile, isSecret: true)
        return nil
    }

    private func parse(_ bytes: [UInt8]) throws(TLSConfigurationError) -> CertificateAuthority {
        do throws(TLSConfigurationError) {
            return try CertificateAuthority(pem: bytes, name: place.secretFile)
        } catch {
            throw TLSConfigurationError(
                error.kind, "\(error.description); remove the file for a new authority", reason: error.reason)
        }
    }

    private func lock() throws(DiskError) -> DiskLock {
        for _ in 1..<Self.lockAttempts {
            do throws(DiskError) {
                return try disk.lock(place.directory + "/lock", owner: .lab)
            } catch .busy {
                continue
            }
        }
        return try disk.lock(place.directory + "/lock", owner: .lab)
    }

    private func read() throws(DiskError) -> [UInt8]? {
        do throws(DiskError) {
            let file = try disk.open(place.secretFile, [], owner: .lab)
            defer { file.close() }
            return try file.read(at: 0, count: 1 << 20)
        } catch .notFound {
            return nil
        }
    }

    private func write(_ bytes: [UInt8], to path: String, isSecret: Bool) throws(DiskError) {
        let draft = path + ".new"
        let options: OpenOptions = [.write, .create, .truncate]
        let file = try disk.open(draft, isSecret ? options.union(.secret) : options, owner: .lab)
        defer { file.close() }
        try file.write(bytes, at: 0)
        try file.sync()
        try disk.rename(draft, to: path, owner: .lab)
    }
}
