import CacheLayerEngine
import CacheLayerService
import KernelStorage
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// The journal of write-behind: killed, without power, and with a disk that fails, at each step.
@Suite struct WriteBehindLogTests {
    /// Appends writes 1, 2, … of three keys, confirms some of them, and notes what was said to be safe.
    private final class Program {
        let world: World
        let node: Node
        let log: WriteBehindLog
        /// By key, the last write that was said to be safe.
        var promised: [String: UInt64] = [:]
        /// Those that the source has confirmed and that were told to the log.
        var confirmed: Set<UInt64> = []
        /// Those of which the note is safe.
        var safelyConfirmed: Set<UInt64> = []

        init(_ disk: any Disk) {
            var configuration = WorldConfiguration(transport: MemoryTransport())
            configuration.disk = disk
            world = World(configuration)
            node = world.node("api")
            log = WriteBehindLog(node: node, directory: "/data", rewriteBytes: 60)
        }

        func run(_ count: Int) {
            guard (try? log.open()) != nil else { return }
            for number in 1...UInt64(count) {
                let key = "k\(number % 3)"
                log.append(.write(sequence: number, since: world.now, key: key, value: [UInt8(number)])) { failure in
                    if failure == nil { self.promised[key] = number }
                }
                // Some come together, some alone.
                if number % 2 == 0 { world.pass(.milliseconds(1)) }
                if number % 5 == 0 {
                    world.pass(.milliseconds(1))
                    confirmed.insert(number - 1)
                    log.append(.confirmed([number - 1])) { failure in
                        if failure == nil { self.safelyConfirmed.insert(number - 1) }
                    }
                    world.pass(.milliseconds(1))
                }
            }
            world.pass(.milliseconds(1))
        }
    }

    private func reopen(_ disk: any Disk) throws -> [String: UInt64] {
        let program = Program(disk)
        var found: [String: UInt64] = [:]
        for case .write(let sequence, _, let key, let value) in try program.log.open() {
            #expect(value == [UInt8(sequence)])
            found[key] = sequence
        }
        return found
    }

    private func check(_ program: Program, _ found: [String: UInt64], _ text: String) {
        for (key, number) in program.promised {
            let isThere = found[key].map { $0 >= number } ?? false
            #expect(isThere || program.confirmed.contains(number), "\(key) was promised as \(number): \(text)")
        }
        for (key, number) in found {
            #expect(number % 3 == UInt64(key.dropFirst()), "\(text)")
            // Nothing older than what was confirmed comes back.
            let newer = program.safelyConfirmed.filter { $0 % 3 == number % 3 && $0 > number }
            #expect(newer.isEmpty, "\(key) is back as \(number), and \(newer) were confirmed: \(text)")
        }
    }

    @Test("power goes at each operation of the disk: what was promised is there")
    func power() throws {
        // @covers CL-H3
        for policy in [PowerLossPolicy.dropAll, .random(seed: 1), .random(seed: 2)] {
            var place = 0
            while true {
                let base = SimulatedDisk()
                let disk = CrashDisk(base)
                disk.crashAt = place
                let program = Program(disk)
                program.run(30)
                let isOver = !disk.isDead
                _ = base.losePower(owner: program.node.disk.owner, policy: policy)
                check(program, try reopen(base), "power at \(place)")
                if isOver {
                    #expect(program.log.rewriteCount > 1)
                    break
                }
                place += 1
            }
            #expect(place > 10)
        }
    }

    @Test("killed at any moment: what is in the system's memory stays")
    func killed() throws {
        for count in 1...12 {
            let base = SimulatedDisk()
            let program = Program(base)
            program.run(count)
            program.node.end(.killed)
            check(program, try reopen(base), "killed after \(count)")
        }
    }

    @Test("after a sync that failed it takes no more writes, and says so")
    func failedSync() throws {
        let program = Program(SimulatedDisk())
        _ = try program.log.open()
        program.node.disk.faults.failingSyncs = 1
        var heard: [String?] = []
        program.log.append(.write(sequence: 1, since: .at(0), key: "a", value: [])) { heard.append($0) }
        program.world.pass(.milliseconds(1))
        program.log.append(.write(sequence: 2, since: .at(0), key: "a", value: [])) { heard.append($0) }
        program.world.pass(.milliseconds(1))
        #expect(heard.count == 2 && heard.allSatisfy { $0 != nil })
        #expect(program.log.brokenReason != nil)
    }

    @Test("a full disk refuses a write and leaves no piece of it; with room again it goes on")
    func full() throws {
        let base = SimulatedDisk()
        let program = Program(base)
        _ = try program.log.open()
        var heard: [String?] = []
        func append(_ number: UInt64) {
            program.log.append(.write(sequence: number, since: .at(0), key: "a", value: [UInt8(number)])) {
                heard.append($0)
            }
            program.world.pass(.milliseconds(1))
        }
        append(1)
        program.node.disk.faults.tornWrites = 1
        append(2)
        append(3)
        #expect(heard.map { $0 == nil } == [true, false, true])
        #expect(try reopen(base) == ["a": 3])
    }

    @Test("writes that come together share one sync")
    func group() throws {
        let program = Program(SimulatedDisk())
        _ = try program.log.open()
        var safe = 0
        for number in UInt64(1)...50 {
            program.log.append(.write(sequence: number, since: .at(0), key: "a", value: [])) { _ in safe += 1 }
        }
        program.world.pass(.milliseconds(10))
        #expect(safe == 50)
        #expect(program.log.syncCount == 1)
    }
}
