import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("Nodes and their lives")
struct NodeTests {
    @Test("a second node of a living name gets a number; one that has ended comes back at its address")
    func names() throws {
        let world = memoryWorld()
        let first = world.node("web")
        let second = world.node("Web")
        #expect(second.name == "Web-2" && second.address != first.address)
        first.end(.killed)
        let again = world.node("WEB")
        #expect(again === first && again.lifeCount == 2 && again.isAlive)
        #expect(world.nodes["wEb"] === first && world.nodes.at(first.address) === first)
        #expect(world.nodes.allServices.map(\.name) == ["web", "Web-2"])
    }

    @Test("addresses are distinct over hundreds of nodes and inside 127.0.0.0/8")
    func addresses() {
        let world = memoryWorld()
        let addresses = (0..<600).map { world.node("n\($0)").address }
        #expect(Set(addresses).count == 600)
        #expect(addresses.allSatisfy { $0.isLoopback && $0 != .loopback && $0.ipv4!.bits & 255 != 0 })
    }

    @Test(
        "nothing a life set in motion reaches the next one",
        arguments: [Node.State.killed, .stopped, .exited, .poweredOff])
    func lives(_ end: Node.State) throws {
        let world = memoryWorld()
        let node = world.node("a")
        var ran: [String] = []
        node.after(.seconds(1)) { ran.append("old timer") }
        node.enqueue { ran.append("old work") }
        node.end(end)
        #expect(node.state == end)
        node.start()
        node.after(.seconds(1)) { ran.append("new timer") }
        world.pass(.seconds(2))
        #expect(ran == ["new timer"])
        #expect(node.listeners.isEmpty && node.openConnections == 0)
    }

    @Test("its end is told once, and a second end does nothing")
    func ends() {
        let world = memoryWorld()
        let node = world.node("a")
        var heard: [Node.State] = []
        node.onEnd = { heard.append($0) }
        node.end(.running)
        #expect(node.isAlive)
        node.end(.killed)
        node.end(.stopped)
        #expect(heard == [.killed] && node.state == .killed)
    }

    @Test("a frozen node does nothing, and does it all in order when it is thawed")
    func freezing() {
        let world = memoryWorld()
        let node = world.node("a")
        var ran: [String] = []
        for second in 1...3 { node.after(.seconds(second)) { ran.append("\(second)@\(world.elapsed)") } }
        node.after(.seconds(8)) { ran.append("8@\(world.elapsed)") }
        world.pass(.milliseconds(1500))
        node.freeze()
        node.freeze()
        world.pass(.milliseconds(3500))
        #expect(ran == ["1@1s"])
        node.thaw()
        world.drain()
        #expect(ran == ["1@1s", "2@5s", "3@5s"])
        world.pass(.seconds(5))
        #expect(ran.last == "8@8s")
    }

    @Test("what was held for a frozen life dies with it")
    func killedWhileFrozen() {
        let world = memoryWorld()
        let node = world.node("a")
        var ran = false
        node.after(.seconds(1)) { ran = true }
        node.freeze()
        world.pass(.seconds(2))
        node.end(.killed)
        node.start()
        world.pass(.seconds(2))
        #expect(!ran)
    }

    @Test("a timer that is cancelled while its node is frozen does not fire, even if it was due")
    func cancelledWhileFrozen() {
        let world = memoryWorld()
        let node = world.node("a")
        var ran: [Int] = []
        let timers = (1...3).map { second in node.after(.seconds(second)) { ran.append(second) } }
        node.freeze()
        world.pass(.milliseconds(2500))
        node.cancel(timers[0])
        node.cancel(timers[2])
        world.pass(.seconds(2))
        node.thaw()
        world.pass(.seconds(2))
        #expect(ran == [2])
    }

    @Test("what a node missed can cancel what else it missed, as it could have in time")
    func cancelledByAnotherMissed() {
        let world = memoryWorld()
        let node = world.node("a")
        var ran: [Int] = []
        var second: TimerID?
        node.after(.seconds(1)) {
            ran.append(1)
            node.cancel(second)
        }
        second = node.after(.seconds(2)) { ran.append(2) }
        node.after(.seconds(3)) {
            ran.append(3)
            node.freeze()
        }
        node.after(.seconds(4)) { ran.append(4) }
        node.freeze()
        world.pass(.seconds(5))
        node.thaw()
        world.drain()
        #expect(ran == [1, 3], "frozen again by the third, it does not reach the fourth")
        node.thaw()
        world.drain()
        #expect(ran == [1, 3, 4])
    }

    @Test("a node draws the same chances whoever else is there")
    func ownChance() {
        let (alone, crowded) = (memoryWorld(), memoryWorld())
        for index in 0..<5 {
            let one = crowded.node("other\(index)")
            _ = one.draw { $0.next() }
        }
        let a = alone.node("a").draw { random in (0..<20).map { _ in random.next() } }
        let b = crowded.node("a").draw { random in (0..<20).map { _ in random.next() } }
        #expect(a == b)
        let other = memoryWorld(seed: 2).node("a").draw { random in (0..<20).map { _ in random.next() } }
        #expect(a != other)
    }

    @Test("clients of terminals come and go without a trace in the tables")
    func transient() throws {
        let world = memoryWorld()
        let server = world.node("b")
        let acceptor = try Acceptor(server)
        for _ in 0..<100 {
            let client = world.nodes.startClient()
            #expect(client.name == NodeTable.clientName && client.address == .loopback && client.isTransient)
            let recorder = try client.dial("localhost")
            world.pass(.milliseconds(1))
            #expect(recorder.lastEvent == "opened")
            client.end(.exited)
            world.nodes.forget(client)
        }
        world.pass(.seconds(5))
        #expect(world.nodes.all.count == 1 && world.nodes.allServices.count == 1)
        #expect(acceptor.accepted.count == 100 && acceptor.accepted.allSatisfy { $0.events.contains("ended") })
        #expect(world.nodes["client"] == nil)
        let living = world.nodes.startClient()
        world.nodes.forget(living)
        #expect(world.nodes.all.count == 2, "a living client is not forgotten")
    }

    @Test("what the disk cost is waited for")
    func diskTime() throws {
        let world = memoryWorld()
        let node = world.node("a")
        try node.disk.store([1, 2, 3], at: "/x")
        var done: LabDuration?
        node.afterDisk { done = world.elapsed }
        world.pass(.seconds(1))
        #expect(done == .microseconds(20) + LabDuration(nanoseconds: 1))
    }
}
