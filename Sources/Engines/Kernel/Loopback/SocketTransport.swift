import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// The network on real sockets of the machine's loopback interface.
///
/// In a lab, every node has an address of its own in 127.K.0.0/16, where K is claimed by one lab at a time, so that
/// labs and parallel cases do not meet; ports are also bound on 127.0.0.1 if `exposesLocalhost` is set, so that
/// `curl http://localhost:8081/` in another terminal reaches the same node. A tool that runs as a process of its own
/// has one address and no lab around it.
public final class SocketTransport: Transport {
    public enum Place: Sendable {
        case lab(exposesLocalhost: Bool)
        /// - Parameter sharesPorts: several processes may listen on a port; the kernel spreads connections over them.
        case process(bind: IPAddress, sharesPorts: Bool = false)
    }

    let poller: Poller
    let place: Place
    private let claim: SubnetClaim?
    private(set) unowned var network: Network!
    let ledger = FlightLedger()
    let datagramLedger = DatagramLedger()
    private(set) lazy var descriptors = DescriptorBudget(transport: self)
    /// Those that accept, or wait for descriptors before they do.
    private var listeners: [SocketListener] = []
    /// Where datagrams are read into while somebody reads into the poller's.
    var datagramBuffer: UnsafeMutableRawBufferPointer {
        if let buffer { return buffer }
        let made = UnsafeMutableRawBufferPointer.allocate(byteCount: Poller.readBufferBytes, alignment: 64)
        buffer = made
        return made
    }
    private var buffer: UnsafeMutableRawBufferPointer?
    var pipes = SplicePipePool()
    /// Sockets of nodes without power: open, so that nobody hears of it, and served by nobody.
    private var dark: [(node: Node, descriptor: Int32)] = []
    /// What the user should know about a port, once: it is mapped, or taken on 127.0.0.1 by a program outside.
    public var onNotice: ((String) -> Void)?
    private var noticedPorts: Set<UInt16> = []

    /// Added to a port that the user may not bind.
    static let mappingOffset = 10_000

    /// - Throws: `NetworkError.system` when every subnet of 127.0.0.0/8 is claimed by another lab.
    public init(poller: Poller, place: Place) throws(NetworkError) {
        self.poller = poller
        self.place = place
        if case .lab = place { claim = try SubnetClaim() } else { claim = nil }
    }

    deinit { buffer?.deallocate() }

    public func attach(to network: Network) { self.network = network }
    public var isBusy: Bool { ledger.isBusy || datagramLedger.isBusy }
    public let hopLatency = LabDuration.zero
    public func forgetFlight() {
        ledger.forget()
        datagramLedger.forget()
    }
    public var isWholeHost: Bool { claim == nil }

    public func address(ofNode number: Int) -> IPAddress {
        switch place {
        case .lab:
            IPAddress(IPv4Address(127, claim!.number, UInt8((number - 1) / 250), UInt8((number - 1) % 250 + 1)))
        case .process(let bind, _): bind
        }
    }

    var sharesPorts: Bool { if case .process(_, let shares) = place { shares } else { false } }

    public func shutDown() {
        for (_, descriptor) in dark { close(descriptor) }
        dark = []
        claim?.release()
    }

    public func resolveOutside(_ host: String) -> IPAddress? {
        if host == Network.outsideHost { return .loopback }
        return isWholeHost ? HostResolver.resolve(host) : nil
    }

    // MARK: Listening

    public func listen(_ listener: Listener) throws(NetworkError) {
        var descriptors: [Int32] = []
        do throws(NetworkError) {
            descriptors.append(try Socket.listening(at: listener.endpoint, sharesPort: sharesPorts))
        } catch  where claim != nil && error.isPortTrouble {
            let mapped = Endpoint(
                listener.node.address, UInt16(truncatingIfNeeded: Int(listener.port) + Self.mappingOffset))
            let descriptor: Int32
            do throws(NetworkError) {
                descriptor = try Socket.listening(at: mapped)
            } catch {
                descriptor = try Socket.listening(at: Endpoint(listener.node.address, 0))
            }
            descriptors.append(descriptor)
            listener.mappedPort = Socket.localEndpoint(descriptor)?.port
        }
        if case .lab(exposesLocalhost: true) = place, listener.ownsLocalhost {
            exposeOnLocalhost(listener, &descriptors)
        }
        listener.transport = SocketListener(listener: listener, descriptors: descriptors, transport: self)
    }

    public func listen(_ listener: Listener, atPath path: String) throws(NetworkError) {
        let file = try UnixSocketFile(listeningAt: path)
        listener.transport = SocketListener(
            listener: listener, descriptors: [file.descriptor], transport: self, whenClosed: file.remove)
    }

    private func exposeOnLocalhost(_ listener: Listener, _ descriptors: inout [Int32]) {
        let port = listener.mappedPort ?? listener.port
        do throws(NetworkError) {
            descriptors.append(try Socket.listening(at: Endpoint(.loopback, port)))
            if port != listener.port {
                notice(
                    listener.port, "port \(listener.port) is mapped: outside the lab it is http://localhost:\(port)/")
            }
            // The same for programs that prefer IPv6; a machine without it, or a program there already, changes
            // nothing.
            if let descriptor = try? Socket.listening(at: Endpoint(.loopback6, port)) { descriptors.append(descriptor) }
        } catch {
            notice(
                listener.port,
                "localhost:\(port) belongs to a program outside the lab; there, \(listener.node.name) is \(listener.node.address):\(port)"
            )
        }
    }

    func notice(_ port: UInt16, _ text: String) {
        if noticedPorts.insert(port).inserted { onNotice?(text) }
    }

    func opened(_ listener: SocketListener) { listeners.append(listener) }
    func closed(_ listener: SocketListener) { listeners.removeAll { $0 === listener } }

    /// Every listener looks whether it may accept.
    func updateAccepting() { for listener in listeners { listener.updateAccepting() } }

    // MARK: Connecting

    public func connect(_ stream: Stream) {
        var target = stream.remote
        var isAccepting = true
        if let peer = stream.peer {
            let listener = peer.listeners.first { $0.port == target.port }
            // Of IPv6 the machine has only ::1. Between the lab's own nodes it is what both ends show; the bytes go
            // over the nodes' other addresses.
            target = Endpoint(peer.address, listener?.mappedPort ?? target.port)
            isAccepting = !peer.isFrozen
        }
        let source = stream.peer != nil && !stream.node.isTransient ? stream.node.address : nil
        do throws(NetworkError) {
            let descriptor = try Socket.connecting(to: target, from: source)
            descriptors.connected()
            let end = SocketEnd(descriptor: descriptor, stream: stream, transport: self)
            stream.transport = end
            if stream.peer != nil, let local = Socket.localEndpoint(descriptor) {
                end.connect(
                    ledger.connectStarted(
                        client: stream.node, local: local, target: target, isIPv6: stream.remote.address.isIPv6,
                        isAccepting: isAccepting, cause: network.journal.currentCause), local: local)
            }
            end.register(connecting: true)
        } catch .exhausted {
            descriptors.wait(stream)
        } catch {
            network.world.enqueue { stream.transportFailed(.unreachable) }
        }
    }

    public func connect(_ stream: Stream, toPath path: String) {
        do throws(NetworkError) {
            let end = SocketEnd(
                descriptor: try UnixSocketFile.connecting(to: path), stream: stream, transport: self)
            stream.transport = end
            end.register(connecting: true)
        } catch {
            // Nobody listens there, or there is no such file: to a client one is like the other.
            network.world.enqueue { stream.transportFailed(.refused) }
        }
    }

    // MARK: Power

    func keepInTheDark(_ descriptor: Int32, of node: Node) { dark.append((node, descriptor)) }

    public func powerReturned(to node: Node) {
        for (_, descriptor) in dark.filter({ $0.node === node }) { Socket.closeWithReset(descriptor) }
        dark.removeAll { $0.node === node }
    }
}

extension NetworkError {
    /// Whether another port would do.
    var isPortTrouble: Bool {
        switch self {
        case .addressInUse, .notPermitted: true
        default: false
        }
    }
}

/// A number K for which this process alone uses 127.K.0.0/16.
///
/// The claim is a Unix socket in the abstract name space, which the kernel gives up when its process ends, however it
/// ends.
final class SubnetClaim {
    let number: UInt8
    private var descriptor: Int32

    init() throws(NetworkError) {
        for candidate in UInt8(1)...254 {
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw .system("socket: \(errorText(errno))") }
            if Self.bind(descriptor, "sdlab-127.\(candidate)") {
                number = candidate
                self.descriptor = descriptor
                return
            }
            close(descriptor)
        }
        throw .system("every subnet of 127.0.0.0/8 is claimed by another lab; end one of them")
    }

    deinit { release() }

    func release() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private static func bind(_ descriptor: Int32, _ name: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            for (index, byte) in bytes.enumerated() { path[index + 1] = byte }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + bytes.count)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.bind(descriptor, $0, length) == 0 }
        }
    }
}

/// The host's own resolver.
enum HostResolver {
    /// The first IPv4 address of a name, or its first of IPv6 if it has no other, asked of the C library. Blocks while
    /// it asks; tools use it at their start and for each new connection to a name that is not an address.
    static func resolve(_ host: String) -> IPAddress? {
        if let address = IPAddress(parsing: host) { return address }
        // RFC 6761 §6.3: known without asking, and small machines have no file that says so.
        if host.lowercased() == "localhost" { return .loopback }
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var result: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &result) == 0 else { return nil }
        defer { freeaddrinfo(result) }
        var found: [IPAddress] = []
        var next = result
        while let entry = next {
            var address = sockaddr_storage()
            memcpy(
                &address, entry.pointee.ai_addr, min(Int(entry.pointee.ai_addrlen), MemoryLayout.size(ofValue: address))
            )
            if let endpoint = Socket.endpoint(address) { found.append(endpoint.address) }
            next = entry.pointee.ai_next
        }
        return found.first(where: \.isIPv4) ?? found.first
    }
}
