import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// Writes down what a socket hears; `answers` sends everything back.
private final class Postbox: DatagramHandler {
    private(set) var socket: DatagramSocket!
    private(set) var received: [[UInt8]] = []
    private(set) var senders: [Endpoint] = []
    private(set) var refusals: [Endpoint] = []
    private(set) var times: [LabTime] = []
    var answers = false

    init(_ node: Node, port: UInt16 = 0) throws { socket = try node.bindDatagrams(on: port, handler: self) }

    var texts: [String] { received.map { String(decoding: $0, as: UTF8.self) } }

    func send(_ text: String, to host: String, _ port: UInt16) throws {
        try socket.send(Array(text.utf8), to: HostPort(host: host, port: port))
    }

    func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
        received.append(Array(bytes))
        senders.append(remote)
        times.append(socket.node.world.now)
        if answers { try? socket.send(Array(bytes), to: remote) }
    }

    func datagramSocket(_ socket: DatagramSocket, refusedBy remote: Endpoint) { refusals.append(remote) }
}

@Suite("Datagrams", .serialized)
struct DatagramTests {
    enum Ground: CaseIterable {
        case memory, loopback
        func world() throws -> World { self == .memory ? memoryWorld() : try SocketLab().world }
    }

    /// Two nodes and a socket each: `b` has port 9000.
    private struct Both {
        let world: World
        let a: Postbox
        let b: Postbox
        init(_ ground: Ground) throws {
            world = try ground.world()
            a = try Postbox(world.node("a"))
            b = try Postbox(world.node("b"), port: 9000)
        }
        func send(_ count: Int) throws { for index in 0..<count { try a.send("\(index)", to: "b", 9000) } }
        func link(_ kind: FaultKind) { world.inject(kind, from: "a", to: "b") }
    }

    @Test("go there and back by name, by either address and by localhost, whole", arguments: Ground.allCases)
    func basics(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        both.b.answers = true
        let (near, far) = (both.a.socket.node, both.b.socket.node)
        for host in ["b", far.address.description, far.address6.description, "localhost", "::1", "127.0.0.1"] {
            try both.a.send(host, to: host, 9000)
            both.world.pass(.milliseconds(1))
            #expect(both.b.texts.last == host && both.a.texts.last == host)
            let isIPv6 = host.contains(":")
            #expect(both.b.senders.last == both.a.socket.endpoint(isIPv6: isIPv6))
            #expect(both.a.senders.last?.address == (isIPv6 ? far.address6 : far.address))
        }
        try both.a.socket.send([], to: both.b.socket.endpoint(isIPv6: false))
        let large = randomBytes(DatagramSocket.sizeLimitBytes, seed: 1)
        try both.a.socket.send(large, to: both.b.socket.endpoint(isIPv6: true))
        both.world.pass(.milliseconds(1))
        #expect(both.b.received.suffix(2) == [[], large] && near.datagramSockets.count == 1)
        #expect(throws: NetworkError.datagramTooLarge(byteCount: 65_508)) {
            try both.a.socket.send([UInt8](repeating: 0, count: 65_508), to: HostPort(host: "b", port: 9000))
        }
        #expect(throws: NetworkError.unresolved(host: "nobody")) { try both.a.send("x", to: "nobody", 1) }
    }

    @Test("a port belongs to one socket, and localhost's to the first", arguments: Ground.allCases)
    func ports(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        let node = both.b.socket.node
        #expect(throws: NetworkError.addressInUse(Endpoint(node.address, 9000))) { try Postbox(node, port: 9000) }
        let second = try Postbox(both.world.node("c"), port: 9000)
        #expect(both.b.socket.ownsLocalhost && !second.socket.ownsLocalhost)
        let client = try Postbox(both.world.nodes.startClient())
        second.answers = true
        try client.send("x", to: "c", 9000)
        both.world.pass(.milliseconds(1))
        #expect(client.texts == ["x"] && second.senders[0].address == .loopback)
        both.b.socket.close()
        try client.send("y", to: "localhost", 9000)
        both.world.pass(.milliseconds(1))
        #expect(client.refusals.map(\.port) == [9000] && second.texts == ["x"])
        let ports = try (0..<20).map { _ in try Postbox(node).socket.port }
        #expect(Set(ports).count == 20 && !ports.contains(0))
    }

    @Test("a port that nobody has is answered, a dark machine and a partition are not", arguments: Ground.allCases)
    func refusals(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        try both.a.send("x", to: "b", 9001)
        try both.a.send("x", to: "fd5d:1ab::99", 9000)
        both.world.pass(.milliseconds(1))
        #expect(both.a.refusals.map(\.port) == [9001, 9000])
        both.world.inject(.refuse, to: "b")
        try both.a.send("x", to: "b", 9000)
        both.world.pass(.milliseconds(1))
        #expect(both.a.refusals.count == 3 && both.b.received.isEmpty)
        both.b.socket.node.end(.poweredOff)
        _ = both.world.faults.removeAll()
        try both.a.send("x", to: "b", 9000)
        both.world.pass(.seconds(1))
        #expect(both.a.refusals.count == 3)
        both.b.socket.node.start()
        try both.a.send("x", to: "b", 9000)
        both.world.pass(.milliseconds(1))
        #expect(both.a.refusals.count == 4, "its port is gone with its life")
    }

    @Test("are lost, doubled, reordered and delayed as the rules say, each by itself", arguments: Ground.allCases)
    func faults(_ ground: Ground) throws {
        let lossy = try Both(ground)
        lossy.link(.loss(0.3))
        try lossy.send(1000)
        lossy.world.pass(.seconds(1))
        // 1,000 draws: five standard deviations are 73.
        #expect(abs(lossy.b.received.count - 700) < 73)
        lossy.world.shutDown()

        let doubled = try Both(ground)
        doubled.link(.duplicate(0.2))
        try doubled.send(1000)
        doubled.world.pass(.seconds(1))
        #expect(abs(doubled.b.received.count - 1200) < 64 && Set(doubled.b.texts).count == 1000)
        doubled.world.shutDown()

        let mixed = try Both(ground)
        mixed.link(.reorder(0.1))
        try mixed.send(1000)
        mixed.world.pass(.seconds(1))
        let order = mixed.b.texts.compactMap(Int.init)
        #expect(order.sorted() == Array(0..<1000) && order != Array(0..<1000))
        #expect(mixed.b.times.last! - mixed.world.epoch <= .milliseconds(11))
        mixed.world.shutDown()

        let late = try Both(ground)
        late.link(.latency(.milliseconds(100), jitter: .milliseconds(50)))
        try late.send(300)
        late.world.pass(.milliseconds(40))
        #expect(late.b.received.isEmpty)
        late.world.pass(.seconds(1))
        let numbers = late.b.texts.compactMap(Int.init)
        #expect(numbers.count == 300 && numbers != numbers.sorted(), "jitter alone changes their order")
        late.world.shutDown()
    }

    @Test("a partition takes those under way, and heals for the next", arguments: Ground.allCases)
    func partition(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        both.link(.latency(.milliseconds(100), jitter: .zero))
        try both.send(3)
        both.world.pass(.milliseconds(50))
        let fault = both.world.inject(.block(partition: true), from: "a", to: "b", both: true)
        both.world.pass(.seconds(1))
        try both.send(1)
        both.world.faults.remove(fault)
        both.world.pass(.seconds(1))
        #expect(both.b.received.isEmpty, "nobody repeats them")
        try both.send(1)
        both.world.pass(.seconds(1))
        #expect(both.b.texts == ["0"])
    }

    @Test("a throttled link passes its rate, and drops what does not fit before it", arguments: Ground.allCases)
    func throttle(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        both.link(.throttle(bytesPerSecond: 100_000))
        for _ in 0..<1000 {
            try both.a.socket.send([UInt8](repeating: 1, count: 1000), to: both.b.socket.endpoint(isIPv6: false))
        }
        both.world.pass(.seconds(1))
        #expect((99...100).contains(both.b.received.count))
        both.world.pass(.seconds(60))
        #expect((262...264).contains(both.b.received.count), "256 KiB wait, the rest is lost")
    }

    @Test("corruption flips a bit, and an empty one has none", arguments: Ground.allCases)
    func corruption(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        both.link(.corrupt(1))
        let place = both.b.socket.endpoint(isIPv6: false)
        try both.a.socket.send([], to: place)
        try both.a.socket.send([0, 0, 0], to: place)
        both.world.pass(.milliseconds(1))
        #expect(both.b.received[0] == [] && both.b.received[1].reduce(0) { $0 + $1.nonzeroBitCount } == 1)
    }

    @Test("a frozen node keeps what its queue holds, in order, and counts the rest", arguments: Ground.allCases)
    func frozen(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        both.b.socket.node.freeze()
        try both.send(2000)
        both.world.pass(.seconds(5))
        #expect(both.b.received.isEmpty)
        both.b.socket.node.thaw()
        both.world.pass(.milliseconds(1))
        let kept = both.b.texts.compactMap(Int.init)
        #expect(kept == Array(0..<kept.count) && (800...830).contains(kept.count))
        #expect(both.b.socket.droppedCount == 2000 - kept.count && both.b.socket.receivedCount == kept.count)
    }

    @Test("a burst of thousands is whole, and virtual time does not wait for what the kernel dropped")
    func burst() throws {
        for ground in Ground.allCases {
            let both = try Both(ground)
            defer { both.world.shutDown() }
            try both.send(5000)
            let start = HostClock.monotonicNanoseconds
            both.world.pass(.milliseconds(1))
            #expect(both.b.texts == (0..<5000).map(String.init), "\(ground)")
            #expect(HostClock.monotonicNanoseconds - start < 20_000_000_000)
            #expect(!both.world.network.transport.isBusy)
        }
    }

    @Test("what a killed node sent arrives, and a killed receiver hears nothing", arguments: Ground.allCases)
    func kills(_ ground: Ground) throws {
        let both = try Both(ground)
        defer { both.world.shutDown() }
        both.link(.latency(.milliseconds(100), jitter: .zero))
        try both.send(2)
        both.a.socket.node.end(.killed)
        both.world.pass(.seconds(1))
        #expect(both.b.texts == ["0", "1"])
        let other = try Postbox(both.world.node("c"))
        try other.send("x", to: "b", 9000)
        both.b.socket.node.end(.killed)
        both.world.pass(.seconds(1))
        #expect(both.b.received.count == 2 && !both.world.network.transport.isBusy)
    }

    @Test("the journal says what became of each, and answers are caused by what they answer")
    func journal() throws {
        for ground in Ground.allCases {
            let both = try Both(ground)
            defer { both.world.shutDown() }
            both.b.answers = true
            try both.a.send("x", to: "b", 9000)
            both.world.pass(.milliseconds(1))
            both.world.inject(.loss(1), from: "a", to: "b")
            try both.a.send("yy", to: "b", 9000)
            both.world.pass(.milliseconds(1))
            let events = (0..<both.world.journal.events.count).map { both.world.journal.events[$0] }
            let lines = events.filter { if case .datagram = $0.body { true } else { false } }
            #expect(
                lines.map { "\($0.body)" } == [
                    "datagram a->b 1 B sent", "datagram b->a 1 B sent", "datagram a->b 2 B sent",
                    "datagram a->b 2 B lost",
                ], "\(ground)")
            #expect(lines[1].cause == lines[0].number && lines[3].cause == lines[2].number)
        }
    }

    @Test("the same seed gives the same journal under every fault at once")
    func determinism() throws {
        func run() throws -> String {
            let both = try Both(.memory)
            defer { both.world.shutDown() }
            both.b.answers = true
            for kind in [
                .loss(0.2), .duplicate(0.2), .reorder(0.2), .latency(.milliseconds(5), jitter: .milliseconds(3)),
            ]
                as [FaultKind]
            {
                both.world.inject(kind, both: true)
            }
            for index in 0..<200 {
                try both.a.send("\(index)", to: "b", index % 7 == 0 ? 9001 : 9000)
                both.world.pass(.milliseconds(1))
            }
            both.world.pass(.seconds(1))
            return both.world.journal.text
        }
        #expect(try run() == run())
    }
}

@Suite("The ledger of datagrams")
struct DatagramLedgerTests {
    private func entry(_ port: UInt16, _ count: Int = 1) -> DatagramLedger.Entry {
        .init(
            source: Endpoint(.loopback, port), byteCount: count, shown: Endpoint(.loopback, port), cause: UInt64(port))
    }

    @Test("one is retired by its receipt, its receiver's end, a drop, or by giving it up")
    func retiring() {
        let ledger = DatagramLedger()
        var drops = 0
        let flow = DatagramLedger.Flow { drops }
        #expect(!ledger.isBusy)
        ledger.sent(entry(1), flow)
        #expect(ledger.isBusy && flow.byteCount == 1)
        #expect(ledger.received(from: Endpoint(.loopback, 2), byteCount: 1, flow) == nil, "from outside")
        #expect(ledger.received(from: Endpoint(.loopback, 1), byteCount: 1, flow) != nil && !ledger.isBusy)

        for port in 1...3 as ClosedRange<UInt16> { ledger.sent(entry(port), flow) }
        #expect(ledger.received(from: Endpoint(.loopback, 2), byteCount: 1, flow) != nil, "1 was dropped")
        drops = 1
        #expect(ledger.isBusy, "3 is still to come")
        drops = 2
        #expect(!ledger.isBusy && flow.byteCount == 0, "no, it is not")

        ledger.sent(entry(4), flow)
        ledger.forget()
        #expect(!ledger.isBusy)
        ledger.sent(entry(5), flow)
        ledger.retire(flow)
        #expect(!ledger.isBusy)
        ledger.sent(entry(6), flow)
        #expect(!ledger.isBusy, "nothing is under way to who is gone")
    }
}
