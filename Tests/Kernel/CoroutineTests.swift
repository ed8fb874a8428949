import Glibc
import KernelClock
import KernelCoroutines
import KernelLoopback
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("Code that is left in its midst", .serialized) struct CoroutineTests {
    /// Says how far it is, and gives way after each step.
    private static func counting(to end: Int, _ say: @escaping (String) -> Void) -> (Slice) -> Int {
        { slice in
            for number in 1...end {
                say("\(number)")
                if !slice.offer() {
                    say("stopped")
                    return -number
                }
            }
            return end
        }
    }

    @Test("it and its caller take turns, on threads of their own, and never run at once")
    func turns() throws {
        var log: [String] = []
        let here = pthread_self()
        var elsewhere: pthread_t?
        let body = Self.counting(to: 3) { log.append($0) }
        let coroutine = try Coroutine { slice in
            elsewhere = pthread_self()
            return body(slice)
        }
        #expect(log.isEmpty, "nothing runs before it is resumed")
        for round in 0..<3 {
            #expect(coroutine.resume() == nil)
            log.append("caller \(round)")
        }
        #expect(!coroutine.isOver)
        #expect(coroutine.resume() == 3)
        #expect(coroutine.isOver && coroutine.resume() == nil)
        #expect(log == ["1", "caller 0", "2", "caller 1", "3", "caller 2"])
        #expect(elsewhere != nil && pthread_equal(elsewhere!, here) == 0)
    }

    @Test("stopped, it runs to its end at once; one that has not begun never does; nobody's is stopped")
    func stopping() throws {
        var log: [String] = []
        let coroutine = try Coroutine(Self.counting(to: 1_000_000) { log.append($0) })
        _ = coroutine.resume()
        #expect(coroutine.stop() == -1)
        #expect(coroutine.stop() == nil)
        #expect(try Coroutine(Self.counting(to: 2) { log.append($0) }).stop() == nil)
        var forgotten: Coroutine<Int>? = try Coroutine(Self.counting(to: 5) { log.append("forgotten " + $0) })
        _ = forgotten?.resume()
        forgotten = nil
        #expect(log == ["1", "stopped", "forgotten 1", "forgotten stopped"])
    }

    @Test("there are never more threads than the limit, few stay, and what a coroutine held is let go of")
    func threads() throws {
        final class Held {}
        weak var seen: Held?
        var many: [Coroutine<Int>] = []
        var refusal: CoroutineError?
        while many.count <= CoroutineThreads.limit, refusal == nil {
            do throws(CoroutineError) {
                let held = Held()
                seen = held
                let coroutine = try Coroutine { slice in withExtendedLifetime(held) { slice.offer() ? 1 : 0 } }
                _ = coroutine.resume()
                many.append(coroutine)
            } catch {
                refusal = error
            }
        }
        // Other tests may have some of them.
        #expect(refusal == .tooMany(CoroutineThreads.limit) && many.count > CoroutineThreads.limit / 2)
        let last = many.removeLast()
        #expect(last.resume() == 1)
        for coroutine in many { #expect(coroutine.resume() == 1) }
        many = []
        #expect(seen == nil)
        for _ in 0..<10_000 {
            let coroutine = try Coroutine { slice in slice.offer() }
            _ = coroutine.resume()
            #expect(coroutine.resume() == true)
        }
        #expect(CoroutineThreads.count <= CoroutineThreads.limit / 2)
    }

    @Test("in virtual time each slice costs what it says, the same on every run")
    func virtual() throws {
        let world = memoryWorld()
        let node = world.node("a")
        var log: [String] = []
        for name in ["x", "y"] {
            let body = Self.counting(to: 2) { log.append("\(name)\($0)@\(world.elapsed)") }
            try node.runInSlices(sliceCost: .seconds(2), body) { log.append("\(name)=\($0)@\(world.elapsed)") }
        }
        #expect(log.isEmpty)
        world.pass(.seconds(10))
        #expect(log == ["x1@0s", "y1@0s", "x2@2s", "y2@2s", "x=2@4s", "y=2@4s"])
    }

    @Test("the end of a life stops what runs in slices, and nobody hears of it; a frozen node goes on later")
    func lives() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        var log: [String] = []
        try a.runInSlices(sliceCost: .seconds(1), Self.counting(to: 4) { log.append("a" + $0) }) { _ in
            log.append("a heard")
        }
        try b.runInSlices(sliceCost: .seconds(1), Self.counting(to: 2) { log.append("b" + $0) }) {
            log.append("b=\($0)@\(world.elapsed)")
        }
        world.pass(.milliseconds(500))
        a.end(.killed)
        #expect(log == ["a1", "b1", "astopped"])
        a.start()
        b.freeze()
        world.pass(.seconds(10))
        #expect(log.count == 3)
        b.thaw()
        world.pass(.seconds(10))
        #expect(log[3...] == ["b2", "b=2@11.5s"])
    }

    @Test("thousands of worlds with something in slices leave neither threads nor memory behind")
    func worlds() throws {
        final class Held {}
        weak var seen: Held?
        for _ in 0..<2000 {
            let world = memoryWorld()
            let held = Held()
            seen = held
            try world.node("a").runInSlices(
                sliceCost: .seconds(1), { slice in withExtendedLifetime(held) { while slice.offer() {} } },
                completion: {})
            world.pass(.seconds(3))
            world.shutDown()
        }
        #expect(seen == nil)
        #expect(CoroutineThreads.count <= CoroutineThreads.limit / 2)
    }

    @Test("in real time others have their turn, and what gives way goes on in turn, one a turn")
    func real() throws {
        let poller = try Poller()
        var configuration = WorldConfiguration(transport: MemoryTransport(), eventSource: poller)
        configuration.speed = .real
        let world = World(configuration)
        defer { world.shutDown() }
        let node = world.node("a")
        var log: [String] = []
        for name in ["x", "y"] {
            let body = Self.counting(to: 3) { log.append(name + $0) }
            try node.runInSlices(sliceCost: .seconds(100), body) { _ in log.append(name + "!") }
        }
        var perTurn: [Int] = []
        let deadline = HostClock.monotonicNanoseconds + 10_000_000_000
        while !log.contains("y!"), HostClock.monotonicNanoseconds < deadline {
            let before = log.count
            world.turn(longestWait: .milliseconds(20))
            perTurn.append(log.count - before)
        }
        #expect(log == ["x1", "y1", "x2", "y2", "x3", "y3", "x!", "y!"])
        #expect(perTurn.dropFirst().allSatisfy { $0 <= 1 }, "\(perTurn)")
        #expect(world.elapsed < .seconds(5), "work takes the time that it takes")
    }
}
