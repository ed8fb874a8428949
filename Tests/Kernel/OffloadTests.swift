import Glibc
import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import Synchronization
import TestSupport
import Testing

/// Adds up, a number a slice.
private struct Adding: SlicedJob {
    let sliceCost = LabDuration.seconds(1)
    var left: Int
    var sum = 0
    mutating func step() -> Int? {
        sum += left
        left -= 1
        return left == 0 ? sum : nil
    }
}

@Suite("Jobs beside the loop", .serialized)
struct OffloadTests {
    @Test("in virtual time a whole job costs what it says, and a job in slices a cost a slice")
    func virtual() throws {
        let world = memoryWorld()
        let node = world.node("a")
        var heard: [String] = []
        try node.offload({ 6 * 7 }, cost: .seconds(5)) { heard.append("\($0)@\(world.elapsed)") }
        try node.offload(Adding(left: 4)) { heard.append("\($0)@\(world.elapsed)") }
        #expect(heard.isEmpty)
        world.pass(.seconds(10))
        #expect(heard == ["10@4s", "42@5s"])
    }

    @Test("a killed node hears nothing, and a frozen one later")
    func lives() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        var heard: [String] = []
        try a.offload(Adding(left: 4)) { heard.append("a \($0)") }
        try b.offload(Adding(left: 4)) { heard.append("b \($0)@\(world.elapsed)") }
        world.pass(.seconds(2))
        a.end(.killed)
        a.start()
        b.freeze()
        world.pass(.seconds(10))
        #expect(heard.isEmpty)
        b.thaw()
        world.pass(.seconds(10))
        #expect(heard == ["b 10@13s"])
    }

    @Test("waiting for a job does all of it at once")
    func waiting() throws {
        let world = memoryWorld()
        let node = world.node("a")
        var heard: [Int] = []
        let handle = try node.offload(Adding(left: 4)) { heard.append($0) }
        handle.wait()
        handle.wait()
        #expect(heard == [10] && world.elapsed == .zero)
        world.pass(.seconds(10))
        #expect(heard == [10])
    }

    // MARK: Threads

    private final class Lab {
        let poller: Poller
        let world: World
        init() throws {
            poller = try Poller()
            var configuration = WorldConfiguration(transport: MemoryTransport(), eventSource: poller)
            configuration.workers = try HostWorkerPool(poller)
            configuration.speed = .real
            world = World(configuration)
        }
        deinit { world.shutDown() }

        func turn(until condition: () -> Bool) {
            let deadline = HostClock.monotonicNanoseconds + 10_000_000_000
            while !condition(), HostClock.monotonicNanoseconds < deadline {
                world.turn(longestWait: .milliseconds(20))
            }
        }
    }

    /// A door that threads wait at until it is opened.
    private final class Door: Sendable {
        private let isOpen = Atomic<Bool>(false)
        func open() { isOpen.store(true, ordering: .releasing) }
        func wait() { while !isOpen.load(ordering: .acquiring) { sched_yield() } }
    }

    @Test("in real time threads do jobs, and the loop goes on")
    func threads() throws {
        let lab = try Lab()
        let node = lab.world.node("a")
        let here = UInt(pthread_self())
        let door = Door()
        var heard: [(Int, isElsewhere: Bool, cause: UInt64)] = []
        for number in 1...20 {
            let event = lab.world.journal.record(.command(terminal: 1, "\(number)"))
            try lab.world.journal.withCauseThrowing(event) {
                try node.offload(
                    {
                        door.wait()
                        return (number, UInt(pthread_self()) != here)
                    }, cost: .zero
                ) { heard.append(($0.0, $0.1, lab.world.journal.currentCause - event)) }
            }
        }
        var ticks = 0
        node.after(.milliseconds(5)) { ticks += 1 }
        lab.turn { ticks == 1 }
        #expect(heard.isEmpty && ticks == 1, "timers fire while the threads work")
        door.open()
        lab.turn { heard.count == 20 }
        #expect(Set(heard.map(\.0)) == Set(1...20) && heard.allSatisfy { $0.isElsewhere && $0.cause == 0 })
    }

    @Test("time does not step past a job that a thread is doing")
    func steps() throws {
        let lab = try Lab()
        let node = lab.world.node("a")
        var heard: LabDuration?
        try node.offload({ usleep(100_000) }, cost: .zero) { _ in heard = lab.world.elapsed }
        lab.world.advance(by: .seconds(60))
        #expect(heard.map { $0 < .seconds(1) } == true, "\(String(describing: heard))")
    }

    @Test("a kill ends a job in slices and drops the result of any; waiting gets it at once")
    func killed() throws {
        struct Endless: SlicedJob {
            let sliceCost = LabDuration.zero
            let ended: Door
            mutating func step() -> Int? { nil }
        }
        let lab = try Lab()
        let (a, b) = (lab.world.node("a"), lab.world.node("b"))
        var heard: [Int] = []
        try a.offload(Endless(ended: Door())) { heard.append($0) }
        try a.offload({ 1 }, cost: .zero) { heard.append($0) }
        a.end(.killed)
        let handle = try b.offload(
            {
                usleep(10_000); return 2
            }, cost: .zero
        ) { heard.append($0) }
        handle.wait()
        #expect(heard == [2])
        handle.wait()
        // Its thread is free again.
        var last = 0
        for number in 1...8 { try b.offload({ number }, cost: .zero) { _ in last += 1 } }
        lab.turn { last == 8 }
        #expect(heard == [2] && last == 8)
    }

    @Test("there is a limit to the jobs that wait")
    func limit() throws {
        let lab = try Lab()
        let node = lab.world.node("a")
        let door = Door()
        var heard = 0
        for _ in 0..<HostWorkerPool.jobLimit { try node.offload({ door.wait() }, cost: .zero) { _ in heard += 1 } }
        #expect(throws: OffloadError.tooManyJobs(HostWorkerPool.jobLimit)) {
            try node.offload({ door.wait() }, cost: .zero) { _ in heard += 1 }
        }
        door.open()
        lab.turn { heard == HostWorkerPool.jobLimit }
        #expect(heard == HostWorkerPool.jobLimit)
    }
}

extension Journal {
    fileprivate func withCauseThrowing(_ cause: UInt64, _ body: () throws -> Void) throws {
        var failure: (any Error)?
        withCause(cause) { do { try body() } catch { failure = error } }
        if let failure { throw failure }
    }
}
