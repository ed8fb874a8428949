import Glibc
import KernelClock
import KernelHosting
import KernelLoopback
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A world on real sockets with virtual time.
struct SocketLab {
    let poller: Poller
    let world: World

    init(exposesLocalhost: Bool = false, speed: ClockSpeed = .virtual) throws {
        poller = try Poller()
        let transport = try SocketTransport(poller: poller, place: .lab(exposesLocalhost: exposesLocalhost))
        var configuration = WorldConfiguration(transport: transport, eventSource: poller)
        configuration.speed = speed
        world = World(configuration)
    }

    /// Descriptors of this process that are sockets at an address of this lab.
    func socketCount(_ node: Node) -> Int {
        let subnet = node.address.ipv4!.bits >> 16
        func isOurs(_ address: sockaddr_in) -> Bool {
            address.sin_family == sa_family_t(AF_INET) && UInt32(bigEndian: address.sin_addr.s_addr) >> 16 == subnet
        }
        return (0..<4096).count { descriptor in
            [getsockname, getpeername].contains { ask in
                var address = sockaddr_in()
                var length = socklen_t(MemoryLayout<sockaddr_in>.size)
                let result = withUnsafeMutablePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(Int32(descriptor), $0, &length) }
                }
                return result == 0 && isOurs(address)
            }
        }
    }
}

@Suite("Loopback sockets under virtual time", .serialized)
struct LoopbackTests {
    @Test("nodes have addresses of their own in the lab's own part of 127.0.0.0/8, and two labs never meet")
    func addresses() throws {
        let (first, second) = (try SocketLab(), try SocketLab())
        defer {
            first.world.shutDown()
            second.world.shutDown()
        }
        let nodes = (0..<300).map { first.world.node("n\($0)") }
        #expect(
            Set(nodes.map(\.address)).count == 300
                && nodes.allSatisfy { $0.address.ipv4!.bits >> 16 == nodes[0].address.ipv4!.bits >> 16 })
        let other = second.world.node("n0")
        #expect(
            nodes[0].address.ipv4!.bits >> 24 == 127
                && other.address.ipv4!.bits >> 16 != nodes[0].address.ipv4!.bits >> 16)
        let (a, b) = (try Acceptor(nodes[0], port: 8081), try Acceptor(other, port: 8081))
        let client = try first.world.nodes.startClient().dial("localhost", 8081)
        first.world.pass(.milliseconds(1))
        second.world.pass(.milliseconds(1))
        #expect(client.events == ["opened"] && a.accepted.count == 1 && b.accepted.isEmpty)
    }

    @Test("a claimed part of the loopback net is free again when its lab is gone")
    func claims() throws {
        var numbers: Set<UInt32> = []
        for _ in 0..<300 {
            let lab = try SocketLab()
            numbers.insert(lab.world.node("a").address.ipv4!.bits >> 16)
            lab.world.shutDown()
        }
        #expect(numbers.count < 50)
    }

    @Test("time stands still while bytes are under way: nothing is late, however much it is")
    func flight() throws {
        let lab = try SocketLab()
        defer { lab.world.shutDown() }
        let (a, b) = (lab.world.node("a"), lab.world.node("b"))
        let acceptor = try Acceptor(b, port: 9000)
        acceptor.prepare = { recorder in recorder.onReceived = { $0.stream.write($0.bytes.suffix(1).map { $0 }) } }
        let client = try a.dial("b", 9000)
        lab.world.after(.milliseconds(1)) {}
        lab.world.drain()
        #expect(client.events == ["opened"] && lab.world.elapsed == .zero)
        let bytes = randomBytes(8 << 20, seed: 1)
        client.stream.write(bytes)
        client.stream.finish()
        lab.world.drain()
        #expect(acceptor.first.bytes == bytes && acceptor.first.lastEvent == "ended")
        #expect(lab.world.elapsed == .zero && !lab.world.network.transport.isBusy)
    }

    @Test("connections behave as in memory: refusal, half-close, reset, kill, freeze, faults")
    func parity() throws {
        func run(_ world: World) throws -> [[String]] {
            let (a, b) = (world.node("a"), world.node("b"))
            let acceptor = try Acceptor(b, port: 9000)
            let refused = try a.dial("b", 9001)
            let half = try a.dial("b", 9000)
            half.stream.write("x")
            half.stream.finish()
            world.pass(.seconds(1))
            acceptor.accepted[0].stream.write("y")
            acceptor.accepted[0].stream.finish()
            world.pass(.seconds(1))
            let aborting = try a.dial("b", 9000)
            world.pass(.seconds(1))
            aborting.stream.abort()
            world.pass(.seconds(1))
            b.freeze()
            let frozen = try a.dial("b", 9000)
            frozen.stream.write("waiting")
            world.pass(.seconds(100))
            let before = acceptor.accepted.count
            b.thaw()
            world.pass(.seconds(1))
            world.inject(.latency(.seconds(1), jitter: .zero), from: "a", for: .seconds(10))
            frozen.stream.write("slow")
            world.pass(.milliseconds(999))
            let early = acceptor.accepted[2].text
            world.pass(.milliseconds(2))
            let partition = world.inject(.block(partition: true), both: true)
            b.end(.killed)
            world.pass(.seconds(5))
            let silent = frozen.lastEvent ?? ""
            world.faults.remove(partition)
            world.pass(.seconds(5))
            b.start()
            _ = try Acceptor(b, port: 9000)
            let dark = try a.dial("b", 9000)
            world.pass(.seconds(1))
            b.end(.poweredOff)
            world.pass(.seconds(1))
            let unheard = dark.lastEvent ?? ""
            let late = try a.dial("b", 9000)
            world.pass(.seconds(130))
            b.start()
            world.pass(.seconds(1))
            return [
                refused.events, half.events, [half.text], acceptor.accepted[0].events, aborting.events,
                acceptor.accepted[1].events, frozen.events,
                ["\(before)", early, acceptor.accepted[2].text, silent, unheard], acceptor.accepted[2].events,
                dark.events, late.events,
            ]
        }
        let lab = try SocketLab()
        let (memory, sockets) = (try run(memoryWorld()), try run(lab.world))
        #expect(memory == sockets)
        #expect(
            sockets[6] == ["opened", "ended"] && sockets[7] == ["2", "waiting", "waitingslow", "opened", "opened"]
                && sockets[10] == ["closed timedOut"])
        lab.world.shutDown()
    }

    @Test("a thousand clients that break off leave no descriptor behind")
    func descriptors() throws {
        let lab = try SocketLab()
        defer { lab.world.shutDown() }
        let server = lab.world.node("server")
        let acceptor = try Acceptor(server, port: 9000)
        acceptor.prepare = { $0.closesAtEnd = true }
        lab.world.drain()
        let before = lab.socketCount(server)
        #expect(before >= 1)
        for round in 0..<1000 {
            let client = lab.world.nodes.startClient()
            let recorder = try client.dial("localhost", 9000)
            if round % 4 != 0 { lab.world.drain() }
            recorder.stream.write("GET / HT")
            switch round % 3 {
            case 0: recorder.stream.abort()
            case 1: client.end(.exited)
            default: recorder.stream.close()
            }
            if client.isAlive { client.end(.killed) }
            lab.world.nodes.forget(client)
            lab.world.drain()
        }
        lab.world.pass(.seconds(5))
        #expect(lab.socketCount(server) == before)
        #expect(lab.world.network.openStreamCount == 0 && lab.world.network.orphanCount == 0)
        #expect(!lab.world.network.transport.isBusy)
    }

    @Test("a stranger outside the lab reaches a node through localhost, at real speed")
    func outside() throws {
        let lab = try SocketLab(exposesLocalhost: true)
        defer { lab.world.shutDown() }
        final class Hello: HTTPService {
            func requestBegan(_ connection: HTTPServerConnection) {}
            func requestEnded(_ connection: HTTPServerConnection) {
                connection.respond(status: 200, body: "hello \(connection.stream.peerName)\n")
            }
        }
        let service = Hello()
        let node = lab.world.node("web")
        let server = HTTPServer(node: node, service: service)
        try server.listen(on: 18_437)
        var notices: [String] = []
        lab.world.onNotice = { notices.append($0) }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(18_437).bigEndian
        address.sin_addr.s_addr = IPv4Address(127, 0, 0, 1).bits.bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0)
        let request = Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        #expect(send(descriptor, request, request.count, 0) == request.count)
        var answer: [UInt8] = []
        let deadline = HostClock.monotonicNanoseconds + 5_000_000_000
        while HostClock.monotonicNanoseconds < deadline, !String(decoding: answer, as: UTF8.self).hasSuffix("outside\n")
        {
            lab.world.turn(longestWait: .milliseconds(10))
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { answer += buffer[..<count] }
        }
        #expect(String(decoding: answer, as: UTF8.self).hasSuffix("\r\n\r\nhello outside\n"))
        #expect(lab.world.speed == .real, "an outside client lives in real time")
        #expect(notices == ["the clock is real while a client from outside is connected, then virtual again"])
        lab.world.setSpeed(.virtual)
        #expect(lab.world.speed == .real && notices.count == 2, "not while it is there, and that is said")
        close(descriptor)
        while HostClock.monotonicNanoseconds < deadline, lab.world.speed != .virtual {
            lab.world.turn(longestWait: .milliseconds(10))
        }
        #expect(lab.world.speed == .virtual && lab.world.chosenSpeed == .virtual)
        #expect(notices.last == "the clock is virtual again: no client from outside is connected")
    }

    @Test("a hurrying clock does not run past what is under way", arguments: [60, 10_000, 1_000_000])
    func hurrying(_ factor: Double) throws {
        let lab = try SocketLab(speed: ClockSpeed(factor))
        defer { lab.world.shutDown() }
        let (a, b) = (lab.world.node("a"), lab.world.node("b"))
        let acceptor = try Acceptor(b)
        acceptor.prepare = { $0.onReceived = { $0.stream.write("pong") } }
        var answers = 0
        var late = 0
        /// Asks once a second of lab time, and gives up after 100 ms.
        func ask() {
            guard let client = try? a.dial("b") else { return }
            client.closesAtEnd = true
            client.stream.write("ping")
            let timeout = a.after(.milliseconds(100)) {
                late += 1
                client.stream.abort()
            }
            client.onReceived = { recorder in
                a.cancel(timeout)
                answers += 1
                recorder.stream.close()
            }
            a.after(.seconds(1)) { ask() }
        }
        ask()
        let start = HostClock.monotonicNanoseconds
        while answers + late < 100, HostClock.monotonicNanoseconds - start < 20_000_000_000 {
            lab.world.turn(longestWait: .milliseconds(5))
        }
        #expect(late == 0 && answers > 0, "\(answers) answers, \(late) late")
        let took = Double(HostClock.monotonicNanoseconds - start) / 1e9
        #expect(lab.world.elapsed.seconds <= took * factor + 1, "it may be slower, never faster")
    }

    @Test("a real clock is followed on sockets as in the prompt")
    func realTime() throws {
        let lab = try SocketLab(speed: ClockSpeed(1000))
        defer { lab.world.shutDown() }
        var fired: LabDuration?
        lab.world.after(.seconds(20)) { fired = lab.world.elapsed }
        let start = HostClock.monotonicNanoseconds
        while fired == nil, HostClock.monotonicNanoseconds - start < 5_000_000_000 {
            lab.world.turn(longestWait: .milliseconds(50))
        }
        let took = HostClock.monotonicNanoseconds - start
        #expect(fired != nil && fired! >= .seconds(20))
        #expect(took >= 19_000_000, "twenty seconds at a thousandfold speed are twenty milliseconds")
    }
}

@Suite("The ledger of bytes under way")
struct FlightLedgerTests {
    private func pair(_ ledger: FlightLedger, port: UInt16 = 1) -> FlightLedger.Pair {
        let node = memoryWorld().node("a")
        return ledger.connectStarted(
            client: node, local: Endpoint(.loopback, port), target: Endpoint(.loopback, 80), isAccepting: true)
    }

    @Test("is busy from the first SYN to the last byte's and end's arrival")
    func lifecycle() {
        let ledger = FlightLedger()
        #expect(!ledger.isBusy)
        let pair = pair(ledger)
        #expect(ledger.isBusy)
        ledger.connectSettled(pair)
        ledger.connectSettled(pair)
        #expect(!ledger.isBusy)
        #expect(
            ledger.accepted(from: Endpoint(.loopback, 1)) === pair
                && ledger.accepted(from: Endpoint(.loopback, 1)) == nil)
        ledger.sent(10, pair.toServer, cause: 1)
        ledger.received(9, pair.toServer)
        #expect(ledger.isBusy)
        ledger.received(1, pair.toServer)
        #expect(!ledger.isBusy)
        ledger.endSent(pair.toServer)
        #expect(ledger.isBusy)
        ledger.endReceived(pair.toServer)
        #expect(!ledger.isBusy)
    }

    @Test("does not wait for a reader that does not want to read, or for one that is gone")
    func unwilling() {
        let ledger = FlightLedger()
        let pair = pair(ledger)
        ledger.connectSettled(pair)
        ledger.setReading(false, pair.toServer)
        ledger.sent(10, pair.toServer, cause: 1)
        #expect(!ledger.isBusy)
        ledger.setReading(true, pair.toServer)
        #expect(ledger.isBusy)
        ledger.retire(pair.toServer)
        #expect(!ledger.isBusy)
    }

    @Test("counts right after it once gave everything up as lost")
    func forgetting() {
        let ledger = FlightLedger()
        let (old, stuck) = (pair(ledger, port: 1), pair(ledger, port: 2))
        ledger.connectSettled(old)
        ledger.sent(10, old.toServer, cause: 1)
        ledger.forget()
        #expect(!ledger.isBusy)
        let new = pair(ledger, port: 3)
        #expect(ledger.isBusy)
        ledger.connectSettled(stuck)
        #expect(ledger.isBusy, "the one that was given up is not subtracted from the ones that count")
        ledger.connectSettled(new)
        ledger.sent(5, new.toServer, cause: 1)
        ledger.received(10, old.toServer)
        #expect(ledger.isBusy)
        ledger.received(5, new.toServer)
        #expect(!ledger.isBusy)
    }
}
