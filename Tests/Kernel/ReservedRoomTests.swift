import KernelStorage
import KernelStructures
import TestSupport
import Testing

@Suite("Room that is kept for a file")
struct ReservedRoomTests {
    @Test(
        "a file with room is read, grows, ends and is cut as any other, and is left as long as its bytes",
        arguments: 1...20 as ClosedRange<UInt64>)
    func agreement(_ seed: UInt64) throws {
        let directory = TemporaryDirectory()
        let disk = try FileDisk(root: directory.path)
        let file = try disk.open("/a", [.write, .create], owner: .lab)
        let simulated = SimulatedDisk()
        let plain = try simulated.open("/a", [.write, .create], owner: .lab)
        var random = SeededRandom(seed: seed)
        file.reserve(2500)
        for step in 1...300 {
            let (operation, offset) = (random.below(40), random.below(3000))
            let bytes = randomBytes(random.below(400), seed: random.next())
            switch operation {
            case 0:
                try file.truncate(to: offset)
                try plain.truncate(to: offset)
            case 1: file.reserve(2500)
            case 2, 3: try file.sync()
            default:
                // Most writes go on at the end, as those of a log do.
                let place = operation < 30 ? plain.size : offset
                if place > 3000 { continue }
                try file.write(bytes, at: place)
                try plain.write(bytes, at: place)
            }
            guard file.size == plain.size, try file.read(at: offset, count: 4000) == plain.read(at: offset, count: 4000)
            else {
                Issue.record("seed \(seed), step \(step): \(file.size) and \(plain.size) bytes")
                return
            }
        }
        file.close()
        withExtendedLifetime(simulated) {}
        let left = try disk.open("/a", [], owner: .lab)
        #expect(left.size == plain.size)
        #expect(try left.read(at: 0, count: 10_000) == plain.read(at: 0, count: 10_000))
    }

    @Test("what is written there is with the kernel at once, with nothing but zeros behind it")
    func othersSeeIt() throws {
        let directory = TemporaryDirectory()
        let disk = try FileDisk(root: directory.path)
        let file = try disk.open("/a", [.write, .create], owner: .lab)
        file.reserve(1 << 16)
        try file.write([1, 2, 3], at: 0)
        // Who opens it now sees what whoever comes after a kill sees. Not each file system has room to keep.
        let other = try disk.open("/a", [], owner: .lab)
        let bytes = try other.read(at: 0, count: 1 << 17)
        #expect([3, 1 << 16].contains(bytes.count) && bytes[..<3] == [1, 2, 3] && bytes[3...].allSatisfy { $0 == 0 })
        #expect(file.size == 3)
    }
}
