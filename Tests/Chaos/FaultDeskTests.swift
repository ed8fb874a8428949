import ChaosEngine
import ChaosService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("The desk of faults")
struct FaultDeskTests {
    private func perform(_ desk: FaultDesk, _ text: String, on target: String, _ radius: BlastRadius = .init()) throws {
        _ = try desk.perform(
            .inject(words: text.split(separator: " ").map(String.init), target: target, lasts: nil, radius: radius))
    }

    // @covers CHAOS-H5
    // Toy: the fault survives its controller.
    @Test("a runner that is not heard of any more loses its faults, whatever has become of it")
    func leases() throws {
        let farm = try Farm(1)
        let desk = FaultDesk(farm.world, lease: .seconds(10))
        try perform(desk, "latency 2s", on: "Server-A")
        _ = try desk.perform(.signal("STOP", target: "Server-A", lasts: nil, radius: .init()))
        for _ in 0..<5 {
            farm.pass(.seconds(9))
            desk.renew()
        }
        #expect(farm.world.faults.rules.count == 1)
        #expect(farm.world.nodes["Server-A"]?.isFrozen == true)
        // Nobody renews: the timer is the World's.
        farm.pass(.milliseconds(9_999))
        #expect(farm.world.faults.rules.count == 1)
        farm.pass(.milliseconds(1))
        #expect(farm.world.faults.isEmpty)
        #expect(farm.world.nodes["Server-A"]?.isFrozen == false)
    }

    // @covers CHAOS-C2
    @Test("targets are names and patterns, a share of them, and no more than the budget")
    func radius() throws {
        let farm = try Farm(8)
        let desk = FaultDesk(farm.world, lease: nil)
        try perform(desk, "latency 1s", on: "server-*", BlastRadius(percent: 25))
        let text = try #require(farm.world.faults.rules.first?.text)
        #expect(text.split(separator: ",").count == 2, "\(text)")
        #expect(throws: FaultDesk.Failure.self) { try perform(desk, "latency 1s", on: "nobody-*") }
        let careful = FaultDesk(farm.world, lease: nil, nodeBudget: 3)
        #expect(throws: FaultDesk.Failure.self) { try perform(careful, "loss 5%", on: "Server-*") }
        try perform(careful, "loss 5%", on: "Server-B")
        #expect(farm.world.faults.rules.count == 2)
        // The same seed chooses the same nodes.
        let again = try Farm(8)
        let second = FaultDesk(again.world, lease: nil)
        try perform(second, "latency 1s", on: "server-*", BlastRadius(percent: 25))
        #expect(again.world.faults.rules.first?.text == text)
    }

    @Test("a restore takes back its own faults of that kind and place, and nobody else's")
    func restoring() throws {
        let farm = try Farm(2)
        try farm.inject("latency 1s on Server-A")
        let desk = FaultDesk(farm.world, lease: nil)
        try perform(desk, "latency 2s", on: "Server-A")
        try perform(desk, "latency 2s", on: "Server-B")
        try perform(desk, "disk-full", on: "Server-A")
        _ = try desk.perform(.restore(kind: "network", target: "Server-A"))
        #expect(
            farm.world.faults.rules.map(\.text) == [
                "latency 1s on Server-A", "latency 2s on server-b", "disk-full on server-a",
            ] || farm.world.faults.rules.count == 3)
        #expect(desk.openCount == 2)
        #expect(desk.revertAll() == 2)
        #expect(farm.world.faults.rules.map(\.text) == ["latency 1s on Server-A"])
    }

    @Test("clocks that were set wrong are set right again, and what was stopped for a time goes on")
    func nodes() throws {
        let farm = try Farm(2)
        let desk = FaultDesk(farm.world, lease: nil)
        _ = try desk.perform(.skew(.seconds(3600), target: "Server-A"))
        #expect(farm.world.nodes["Server-A"]?.clockSkew == .seconds(3600))
        _ = try desk.perform(.signal("STOP", target: "Server-B", lasts: .seconds(5), radius: .init()))
        farm.pass(.seconds(5))
        #expect(farm.world.nodes["Server-B"]?.isFrozen == false)
        var restarted: [String] = []
        let hooked = FaultDesk(
            farm.world, lease: nil,
            hooks: .init(restart: {
                restarted.append($0)
                return nil
            }))
        // Stopped, and killed while it is: a thaw is no restart.
        _ = try hooked.perform(.signal("STOP", target: "Server-B", lasts: .seconds(60), radius: .init()))
        _ = try hooked.perform(.signal("SIGKILL", target: "Server-B", lasts: .seconds(5), radius: .init()))
        #expect(farm.world.nodes["Server-B"]?.isAlive == false)
        farm.pass(.seconds(5))
        #expect(restarted == ["Server-B"])
        desk.close()
        #expect(farm.world.nodes["Server-A"]?.clockSkew == .zero)
        #expect(throws: FaultDesk.Failure.self) { try perform(desk, "latency 1s", on: "Server-A") }
    }

    // @covers CHAOS-H4
    @Test("a processor that is busy makes a node slow, and its end makes it fast again")
    func processor() throws {
        let farm = try Farm(1)
        let request = try FaultRequest(["cpu", "80%", "on", "Server-A", "for", "10s"])
        _ = farm.world.faults.inject(request, in: farm.world)
        var times: [LabDuration] = []
        for _ in 0..<20 {
            let start = farm.world.now
            let client = try RawClient(farm.client, "localhost", 8081)
            client.write("GET /delay/7ms HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            while client.statuses.isEmpty { farm.pass(.milliseconds(1)) }
            times.append(farm.world.now - start)
        }
        // It runs 20 of 100 ms: who comes in the other 80 waits for them to pass.
        #expect((times.max() ?? .zero) >= .milliseconds(70))
        farm.pass(.seconds(10))
        #expect(farm.world.faults.isEmpty)
        #expect(farm.world.nodes["Server-A"]?.isFrozen == false)
        let client = try RawClient(farm.client, "localhost", 8081)
        client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        farm.pass(.milliseconds(1))
        #expect(client.statuses == [200])
    }

    // @covers CHAOS-H4
    @Test("memory that is full ends in the out-of-memory killer")
    func memory() throws {
        let farm = try Farm(2)
        let request = try FaultRequest(["memory", "5s", "on", "Server-A"])
        _ = farm.world.faults.inject(request, in: farm.world)
        farm.pass(.seconds(4))
        #expect(farm.world.nodes["Server-A"]?.isAlive == true)
        farm.pass(.seconds(2))
        #expect(farm.world.nodes["Server-A"]?.state == .killed)
        #expect(farm.world.nodes["Server-B"]?.state == .running)
        #expect(farm.world.faults.isEmpty)
    }

    // @covers CHAOS-C2
    @Test("a cohort's requests fail, and nobody else's")
    func cohort() throws {
        let farm = try Farm(1)
        try farm.inject("fail http 503 with X-Cohort=beta on Server-A")
        for (fields, expected) in [("", 200), ("X-Cohort: beta\r\n", 503), ("X-Cohort: alpha\r\n", 200)] {
            let client = try RawClient(farm.client, "localhost", 8081)
            client.write("GET / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
            farm.pass(.milliseconds(1))
            #expect(client.statuses == [expected])
        }
        let shared = try Farm(1)
        try shared.inject("fail http 503 30% on Server-A")
        var failed = 0
        for _ in 0..<500 {
            let client = try RawClient(shared.client, "localhost", 8081)
            client.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            shared.pass(.milliseconds(1))
            if client.statuses == [503] { failed += 1 }
        }
        #expect(abs(Double(failed) - 150) <= 4 * (500 * 0.3 * 0.7).squareRoot())
    }
}
