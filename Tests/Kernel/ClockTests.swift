import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// Writes down what ran, and when.
private final class Diary {
    var lines: [String] = []
}

@Suite("The World's clock and its loop")
struct ClockTests {
    @Test("timers fire at their time, those of equal time in the order in which they were set")
    func order() {
        let world = memoryWorld()
        let diary = Diary()
        for (name, milliseconds) in [("c", 30), ("a", 10), ("b", 20), ("a2", 10), ("c2", 30)] {
            world.after(.milliseconds(milliseconds)) { diary.lines.append("\(name)@\(world.elapsed)") }
        }
        world.pass(.milliseconds(25))
        #expect(diary.lines == ["a@10ms", "a2@10ms", "b@20ms"])
        world.pass(.milliseconds(5))
        #expect(diary.lines.suffix(2) == ["c@30ms", "c2@30ms"])
    }

    @Test(
        "thousands of random timers, some cancelled, fire in order of time and setting",
        arguments: 1...10 as ClosedRange<UInt64>)
    func model(_ seed: UInt64) {
        let world = memoryWorld()
        let diary = Diary()
        var random = SeededRandom(seed: seed)
        var expected: [(time: Int, number: Int)] = []
        for number in 0..<5000 {
            let time = random.below(400)
            let timer = world.after(.milliseconds(time)) { diary.lines.append("\(number)") }
            // Enough cancellations that the heap is swept.
            if random.below(10) < 7 {
                world.cancel(timer)
                world.cancel(timer)
            } else {
                expected.append((time, number))
            }
        }
        #expect(world.timerCount == expected.count)
        expected.sort { $0 < $1 }
        world.pass(.milliseconds(200))
        #expect(diary.lines == expected.filter { $0.time <= 200 }.map { "\($0.number)" })
        world.pass(.seconds(1))
        #expect(diary.lines == expected.map { "\($0.number)" } && world.timerCount == 0)
    }

    @Test("a cancelled timer's place is safe from the old handle")
    func staleHandle() {
        let world = memoryWorld()
        let diary = Diary()
        let first = world.after(.seconds(1)) { diary.lines.append("first") }
        world.cancel(first)
        world.after(.seconds(1)) { diary.lines.append("second") }
        world.cancel(first)
        world.pass(.seconds(2))
        #expect(diary.lines == ["second"])
    }

    @Test("advance ends exactly where it said, and what fires on the way sees its own time")
    func advance() {
        let world = memoryWorld()
        let diary = Diary()
        world.after(.seconds(1)) {
            diary.lines.append("\(world.elapsed)")
            world.after(.milliseconds(500)) { diary.lines.append("\(world.elapsed)") }
            world.after(.seconds(10)) { diary.lines.append("\(world.elapsed)") }
        }
        #expect(world.advance(by: .seconds(2)))
        #expect(world.elapsed == .seconds(2) && diary.lines == ["1s", "1.5s"])
        #expect(world.nextTimerTime == world.epoch + .seconds(11))
        #expect(!world.advance(by: .seconds(60), unless: { diary.lines.count == 3 }))
        #expect(world.elapsed == .seconds(11))
    }

    @Test("step moves to the next timer, not past the limit, and says when there is none")
    func step() {
        let world = memoryWorld()
        world.after(.seconds(3)) {}
        #expect(!world.step(until: world.now + .seconds(2)) && world.elapsed == .zero)
        #expect(world.step() && world.elapsed == .seconds(3))
        #expect(!world.step())
    }

    @Test("work for now runs in order, after what was there, without moving time")
    func ready() {
        let world = memoryWorld()
        let diary = Diary()
        world.enqueue {
            diary.lines.append("1")
            world.enqueue { diary.lines.append("3") }
        }
        world.enqueue { diary.lines.append("2") }
        world.drain()
        #expect(diary.lines == ["1", "2", "3"] && world.elapsed == .zero)
    }

    @Test("work that keeps creating work is stopped and reported, timers of no time included")
    func livelock() {
        for usesTimers in [false, true] {
            let world = memoryWorld()
            func again() { if usesTimers { world.after(.zero, again) } else { world.enqueue(again) } }
            again()
            #expect(!world.advance(by: .seconds(1)))
            #expect(world.isLivelocked && world.elapsed <= .seconds(1))
            world.shutDown()
        }
    }

    @Test("without a host clock to follow, time stays virtual")
    func virtualOnly() {
        let world = memoryWorld { $0.speed = .real }
        #expect(world.speed == .virtual)
        world.setSpeed(ClockSpeed(60))
        world.turn(longestWait: .seconds(5))
        #expect(world.speed == .virtual && world.elapsed == .zero)
    }

    @Test("speeds are clamped to what is sane")
    func speeds() {
        #expect(ClockSpeed(-1) == .virtual && ClockSpeed(.nan) == .virtual)
        #expect(ClockSpeed(1e12).factor == 1_000_000)
        #expect(
            "\(ClockSpeed.virtual) \(ClockSpeed.real) \(ClockSpeed(60)) \(ClockSpeed(0.5))" == "virtual real x60 x0.5")
    }

    @Test("a host clock is followed at the set speed, and never backwards")
    func followsHost() {
        final class Source: EventSource {
            var hostNanoseconds: Int64 = 1_000_000
            var polls: [Int64] = []
            func poll(timeoutNanoseconds: Int64, onWake: () -> Void) -> Int {
                polls.append(timeoutNanoseconds)
                return 0
            }
        }
        let source = Source()
        var configuration = WorldConfiguration(transport: MemoryTransport(), eventSource: source)
        configuration.speed = ClockSpeed(60)
        let world = World(configuration)
        var fired: LabDuration?
        world.after(.seconds(30)) { fired = world.elapsed }
        source.hostNanoseconds += 250_000_000
        world.turn(longestWait: .seconds(1))
        #expect(world.elapsed == .seconds(15) && fired == nil)
        #expect(source.polls.last == 250_000_000, "fifteen lab seconds are a quarter of a host second")
        source.hostNanoseconds += 300_000_000
        world.turn(longestWait: .milliseconds(10))
        #expect(fired == .seconds(30), "above real time, timers fire at their time")
        #expect(world.elapsed == .seconds(33))
        #expect(source.polls.last == 10_000_000)
        source.hostNanoseconds -= 200_000_000
        world.turn(longestWait: .zero)
        #expect(world.elapsed == .seconds(33))
        world.setSpeed(.virtual)
        let stopped = world.elapsed
        source.hostNanoseconds += 5_000_000_000
        world.turn(longestWait: .zero)
        #expect(world.elapsed == stopped)
        world.setSpeed(.real)
        world.pass(.seconds(100))
        source.hostNanoseconds += 1_000_000_000
        world.turn(longestWait: .zero)
        #expect(world.elapsed == stopped + .seconds(101), "an advance moves the anchor along")
    }

    @Test("the Date field is made once a second and is right after a jump")
    func dateField() {
        let world = memoryWorld()
        #expect(String(decoding: world.dateField, as: UTF8.self) == "Date: Wed, 20 Dec 2023 15:00:00 GMT\r\n")
        world.pass(.milliseconds(999))
        #expect(String(decoding: world.dateField, as: UTF8.self) == "Date: Wed, 20 Dec 2023 15:00:00 GMT\r\n")
        world.pass(.milliseconds(1))
        #expect(String(decoding: world.dateField, as: UTF8.self) == "Date: Wed, 20 Dec 2023 15:00:01 GMT\r\n")
    }
}
