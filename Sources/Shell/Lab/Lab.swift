import ChaosCommands
import Commands
import KernelLoopback
import KernelStorage
import KernelStructures
import KernelTLS
import KernelWorld
import ShellSession

/// What kind of lab is wanted.
public struct LabOptions: Sendable {
    public enum Net: String, Sendable, CaseIterable { case memory, loopback }

    public var net = Net.memory
    public var speed = ClockSpeed.virtual
    public var seed: UInt64 = 1
    public var epoch = LabTime.documentedEpoch
    /// A directory of the host that keeps the lab's files; nil for a disk in memory.
    public var root: String?
    /// Whether the nodes' ports are also bound on 127.0.0.1, for programs outside.
    public var exposesLocalhost = false
    /// Whether the lab watches descriptors: needed for loopback, a clock that follows the host's, and signals.
    public var watchesHost = false
    public var keepsSamples = false
    /// A directory of the host that keeps the lab's certificate authority; nil: it ends with the lab.
    public var authorityDirectory: String?

    public init() {}
}

extension LabOptions {
    /// Where users keep the certificate authority that all their labs share: `~/.local/share/sdlab/ca`. nil without a
    /// home.
    public static var homeAuthorityDirectory: String? {
        if let data = HostLimits.environment("XDG_DATA_HOME"), data.hasPrefix("/") { return data + "/sdlab/ca" }
        guard let home = HostLimits.environment("HOME"), home.hasPrefix("/") else { return nil }
        return DiskPath.normalized(home + "/.local/share/sdlab/ca")
    }
}

/// A lab ready for use: a World, a Session around it, and the poller they run on, if they have one.
public final class Lab {
    public let world: World
    public let session: Session
    public let poller: Poller?
    public let options: LabOptions

    /// - Throws: `NetworkError` or `DiskError` if the host lacks what the options ask for.
    public init(_ options: LabOptions, poller existing: Poller? = nil) throws {
        self.options = options
        let needsPoller = options.net == .loopback || options.watchesHost || options.speed != .virtual
        let poller = try existing ?? (needsPoller ? Poller() : nil)
        self.poller = poller
        let transport: any Transport
        let sockets: SocketTransport?
        if options.net == .loopback, let poller {
            let made = try SocketTransport(poller: poller, place: .lab(exposesLocalhost: options.exposesLocalhost))
            sockets = made
            transport = made
        } else {
            sockets = nil
            transport = MemoryTransport()
        }
        let disk: any Disk = try options.root.map { try FileDisk(root: $0) } ?? SimulatedDisk()
        var configuration = WorldConfiguration(transport: transport, eventSource: poller, disk: disk)
        configuration.seed = options.seed
        configuration.epoch = options.epoch
        configuration.speed = options.net == .loopback ? options.speed.limitedBySockets : options.speed
        if let poller { configuration.workers = try HostWorkerPool(poller) }
        if options.root != nil { configuration.diskCosts = .free }
        world = World(configuration)
        if let directory = options.authorityDirectory {
            LabAuthority.of(world).place = .init(disk: try FileDisk(root: nil), directory: directory)
        }
        session = Session(world: world, commands: Catalog.table)
        _ = world.only(FreshLabs.self) { FreshLabs { seed in try Lab.fresh(like: options, seed: seed) } }
        session.hostFilter = { HostFilterProcess.run($0) }
        sockets?.onNotice = { [unowned session] in session.notice($0) }
        if options.keepsSamples { try SampleFiles.place(in: session.files) }
    }

    /// Another lab for a search: in memory and in virtual time, with files of its own.
    static func fresh(like options: LabOptions, seed: UInt64) throws -> FreshLab {
        var other = LabOptions()
        other.seed = seed
        other.epoch = options.epoch
        other.keepsSamples = options.keepsSamples
        let lab = try Lab(other)
        return FreshLab(session: lab.session, owner: lab)
    }

    deinit { session.shutDown() }
}

/// The configuration files that the documented sessions use and do not show. A prompt has them in its lab, so that a
/// session can be pasted as it stands; tests bring their own.
public enum SampleFiles {
    static let all: [(path: String, text: String)] = [
        (
            "/lb.yaml",
            """
            # The load balancer of the first session. `help loadbalancer` explains every key.
            algorithm: round-robin
            health_check: {interval: 5s, path: /, unhealthy_after: 3, healthy_after: 2}
            backends: [8081, 8082, 8083]        # or {address: host:port, weight: 3, name: a}

            """
        )
    ]

    /// Whether a file is one of them, as every lab has it.
    package static func isUnchanged(_ path: String, _ bytes: [UInt8]) -> Bool {
        all.contains { $0.path == path && Array($0.text.utf8) == bytes }
    }

    /// Files that are there already stay as they are.
    public static func place(in files: LabFiles) throws {
        for (path, text) in all where !files.exists(path) { try files.place(Array(text.utf8), at: path) }
    }
}
