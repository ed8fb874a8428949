import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// A socket for datagrams: at the node's own address and, in a lab, at 127.0.0.1 and ::1 for programs outside.
final class DatagramEnd: DatagramTransport {
    private unowned let socket: DatagramSocket
    private unowned let transport: SocketTransport
    private var doors: [Door] = []
    /// Where the kernel has the first of them.
    let local: Endpoint
    private(set) var flow: DatagramLedger.Flow!
    /// Through which door a program outside has come; the oldest make room.
    private var outsiders: [Endpoint: Int] = [:]
    private var outsidersInOrder = RingQueue<Endpoint>()

    /// Programs outside that are remembered.
    private static let outsiderLimit = 4096
    /// Datagrams read from one door before others have their turn.
    private static let readsPerTurn = 64
    /// Bytes and datagrams under way to one socket from which on they are taken out of the kernel at once, before it
    /// drops any: it holds some 277 small ones, or two large ones.
    static let pullBytes = 16 * 1024
    static let pullCount = 32

    private final class Door: DescriptorHandler {
        let descriptor: Int32
        let isIPv6: Bool
        let place: Int
        unowned let owner: DatagramEnd

        init(_ descriptor: Int32, isIPv6: Bool, place: Int, owner: DatagramEnd) {
            self.descriptor = descriptor
            self.isIPv6 = isIPv6
            self.place = place
            self.owner = owner
        }

        func descriptorReady(_ events: Poller.Events) {
            // Whoever hears of a refusal may close the socket, and let go of everything on the way.
            let owner = owner
            if events.contains(.error) { owner.readRefusals(at: self) }
            owner.readAvailable(at: self)
        }
    }

    init(_ socket: DatagramSocket, descriptors: [(Int32, isIPv6: Bool)], local: Endpoint, transport: SocketTransport) {
        self.socket = socket
        self.transport = transport
        self.local = local
        flow = DatagramLedger.Flow { [unowned self] in dropCount }
        doors = descriptors.enumerated().map { place, one in
            Door(one.0, isIPv6: one.isIPv6, place: place, owner: self)
        }
        for door in doors { transport.poller.add(door.descriptor, .readable, handler: door) }
    }

    var dropCount: Int { doors.reduce(0) { $0 + Socket.dropCount($1.descriptor) } }

    // MARK: Sending

    /// To another socket of the lab's, whose first door is at `remote`.
    func send(_ bytes: [UInt8], to remote: Endpoint) -> Bool {
        guard let door = doors.first else { return false }
        return Socket.send(bytes, door.descriptor, to: remote, isIPv6: door.isIPv6)
    }

    func send(_ bytes: [UInt8], toOutside remote: Endpoint) -> Bool {
        // A socket for both families can reach both; one for IPv4 cannot reach the other.
        let door =
            outsiders[remote].map { doors[$0] } ?? doors.first { $0.isIPv6 || remote.address.isIPv4 }
        guard let door else { return false }
        return Socket.send(bytes, door.descriptor, to: remote, isIPv6: door.isIPv6)
    }

    func hasHeard(from remote: Endpoint) -> Bool { outsiders[remote] != nil }

    func close(silently: Bool) {
        for door in doors {
            transport.poller.remove(door.descriptor)
            if silently {
                transport.keepInTheDark(door.descriptor, of: socket.node)
            } else {
                Glibc.close(door.descriptor)
            }
        }
        doors = []
        transport.datagramLedger.retire(flow)
    }

    // MARK: Receiving

    private func readAvailable(at door: Door) {
        let buffer = transport.poller.readBuffer
        for _ in 0..<Self.readsPerTurn {
            guard !doors.isEmpty, let (count, remote) = Socket.receiveDatagram(door.descriptor, into: buffer) else {
                return
            }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            let entry = entry(of: count, from: remote, at: door)
            transport.network.journal.withCause(entry?.cause ?? 0) {
                transport.network.datagramArrived(bytes, at: socket, from: entry?.shown ?? remote)
            }
        }
    }

    /// What the ledger has of a datagram that came out; nil, and remembered, for one from outside.
    private func entry(of byteCount: Int, from remote: Endpoint, at door: Door) -> DatagramLedger.Entry? {
        if door.place == 0, let entry = transport.datagramLedger.received(from: remote, byteCount: byteCount, flow) {
            return entry
        }
        if transport.isWholeHost { return nil }
        let world = socket.node.world
        if world.chosenSpeed == .virtual { world.outsideSpoke() }
        if outsiders.updateValue(door.place, forKey: remote) == nil {
            outsidersInOrder.append(remote)
            if outsidersInOrder.count > Self.outsiderLimit, let oldest = outsidersInOrder.popFirst() {
                outsiders[oldest] = nil
            }
        }
        return nil
    }

    /// Takes what is under way out of the kernel, in the middle of somebody's sending: it arrives in its turn.
    func pull() {
        let buffer = transport.datagramBuffer
        guard let door = doors.first else { return }
        while !doors.isEmpty, let (count, remote) = Socket.receiveDatagram(door.descriptor, into: buffer) {
            let bytes = Array(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            let entry = entry(of: count, from: remote, at: door)
            _ = transport.network.postpone(
                bytes, for: .zero, at: socket, from: entry?.shown ?? remote, cause: entry?.cause ?? 0)
        }
    }

    /// Ports outside that nobody has.
    private func readRefusals(at door: Door) {
        while !doors.isEmpty, let remote = Socket.nextRefusal(door.descriptor) {
            transport.network.datagramRefused(by: remote, socket)
        }
    }
}
