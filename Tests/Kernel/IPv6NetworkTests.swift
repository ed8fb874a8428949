import Glibc
import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// Both transports have to show the same.
@Suite("IPv6 in the lab", .serialized)
struct IPv6NetworkTests {
    private static func worlds() throws -> [World] { [memoryWorld(), try SocketLab().world] }

    @Test("a node has an address of its own in both families, and is reached at both")
    func addresses() throws {
        for world in try Self.worlds() {
            defer { world.shutDown() }
            let (a, b) = (world.node("a"), world.node("b"))
            #expect(a.address6.description == "fd5d:1ab::1" && b.address6.description == "fd5d:1ab::2")
            let acceptor = try Acceptor(b, port: 8081)
            let near = try a.dial("fd5d:1ab::2", 8081)
            world.pass(.milliseconds(1))
            #expect(near.events == ["opened"] && near.stream.remote.description == "[fd5d:1ab::2]:8081")
            #expect(near.stream.local.address == a.address6 && near.stream.local.port != 0)
            let far = acceptor.first.stream!
            #expect(far.remote == near.stream.local && far.local == near.stream.remote && far.peer === a)
            far.write("hello")
            world.pass(.milliseconds(1))
            #expect(near.text == "hello")
            let other = try a.dial(b.address.description, 8081)
            world.pass(.milliseconds(1))
            #expect(other.events == ["opened"] && other.stream.local.address == a.address)
        }
    }

    @Test("::1 leads to the first that took the port, as localhost does, and never out of the lab")
    func localhost() throws {
        for world in try Self.worlds() {
            defer { world.shutDown() }
            let client = world.nodes.startClient()
            let acceptors = try ["a", "b"].map { try Acceptor(world.node($0), port: 8081) }
            let reached = try client.dial("::1", 8081)
            let nobody = try client.dial("::1", 8082)
            let stranger = try client.dial("2001:db8::1", 8081)
            world.pass(.milliseconds(1))
            #expect(reached.events == ["opened"] && acceptors.map(\.accepted.count) == [1, 0])
            #expect(
                reached.stream.local.address == .loopback6 && acceptors[0].first.stream.remote.address == .loopback6)
            #expect(nobody.events == ["closed refused"] && stranger.events == ["closed refused"])
        }
    }

    @Test("faults lie on links between nodes, whatever the address")
    func faults() throws {
        for world in try Self.worlds() {
            defer { world.shutDown() }
            let (a, b) = (world.node("a"), world.node("b"))
            _ = try Acceptor(b, port: 80)
            _ = world.faults.inject(
                .refuse, on: LinkSelector(from: .any, to: .names(["b"]), isBothWays: false, text: "on b"), for: nil,
                text: "refuse on b")
            let near = try a.dial("fd5d:1ab::2")
            world.pass(.milliseconds(1))
            #expect(near.events == ["closed refused"])
        }
    }

    @Test("a program outside reaches a lab's port at ::1, in its own family")
    func outside() throws {
        let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = UInt16(18_438).bigEndian
        address.sin6_addr = in6addr_loopback
        let lab = try SocketLab(exposesLocalhost: true)
        defer { lab.world.shutDown() }
        let acceptor = try Acceptor(lab.world.node("web"), port: 18_438)
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        // A machine without IPv6 has no ::1, and nothing is wrong with it.
        guard connected == 0 else { return }
        let deadline = HostClock.monotonicNanoseconds + 5_000_000_000
        while acceptor.accepted.isEmpty, HostClock.monotonicNanoseconds < deadline {
            lab.world.turn(longestWait: .milliseconds(10))
        }
        let stream = try #require(acceptor.accepted.first?.stream)
        #expect(stream.remote.address == .loopback6 && stream.local.description == "[fd5d:1ab::1]:18438")
        #expect(stream.peer == nil)
    }
}
