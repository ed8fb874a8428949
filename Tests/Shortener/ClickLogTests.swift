import KernelStorage
import KernelStructures
import Testing

@testable import ShortenerEngine

@Suite("Clicks on their way")
struct ClickLogTests {
    private func click(_ number: Int) -> Click {
        Click(
            code: "c\(number)", time: LabTime(nanoseconds: Int64(number)), referrer: "direct", agent: .curl,
            visitor: UInt64(number))
    }

    private func disk(_ base: SimulatedDisk, _ owner: Int = 1) -> NodeDisk {
        NodeDisk(base: base, owner: DiskOwner(owner))
    }

    private func all(_ log: ClickLog, from position: ClickPosition = ClickPosition(), limit: Int = 1 << 20) throws
        -> (codes: [String], torn: Int)
    {
        var (position, codes, torn) = (position, [String](), 0)
        while true {
            let reading = try log.read(from: position, limit: limit)
            codes += reading.clicks.map(\.code)
            torn += reading.tornBytes
            if reading.end == position { return (codes, torn) }
            position = reading.end
        }
    }

    @Test("what is appended is read back in order, over segments and lives, from wherever counting has stopped")
    func order() throws {
        let base = SimulatedDisk()
        var log = try ClickLog(disk: disk(base), directory: "/clicks")
        log.segmentByteCount = 300
        for number in 0..<40 { try log.append(click(number)) }
        #expect(try all(log).codes == (0..<40).map { "c\($0)" })
        #expect(try all(log, limit: 100).codes == (0..<40).map { "c\($0)" }, "in small pieces, too")
        let half = try log.read(from: ClickPosition(), limit: 1 << 20)
        log.close()
        log = try ClickLog(disk: disk(base), directory: "/clicks")
        for number in 40..<45 { try log.append(click(number)) }
        #expect(try all(log, from: half.end).codes == (half.clicks.count..<45).map { "c\($0)" })
        try log.discard(before: log.end)
        #expect(try all(log).codes == (40..<45).map { "c\($0)" })
    }

    @Test("room that a killed life has kept behind its last click is no click, no damage, and gone")
    func room() throws {
        // What a kill leaves of the last record: all of it, or all but so many of its last bytes.
        for missing in [0, 1, 7, 20] {
            let base = SimulatedDisk()
            let disk = disk(base)
            let log = try ClickLog(disk: disk, directory: "/clicks")
            var last = click(4)
            // It ends with a zero itself.
            last.name = ClickName(book: 77, serial: 0)
            for number in 0..<4 { try log.append(click(number)) }
            try log.append(last)
            let whole = log.end.offset
            let file = try disk.open("/clicks/clicks-00000001.log", [.write])
            try file.write([UInt8](repeating: 0, count: 100_000), at: whole - missing)
            let next = try ClickLog(disk: disk, directory: "/clicks")
            try next.append(click(5))
            let found = try all(next)
            let isWhole = missing < 2
            #expect(found.codes == (isWhole ? ["c0", "c1", "c2", "c3", "c4", "c5"] : ["c0", "c1", "c2", "c3", "c5"]))
            #expect(file.size == whole && (found.torn > 0) != isWhole, "\(missing)")
        }
    }

    // @covers URL-C3
    @Test("power lost at any byte: what was synced is there, and half a record is told")
    func power() throws {
        for seed in 0..<60 as Range<UInt64> {
            let base = SimulatedDisk()
            let log = try ClickLog(disk: disk(base), directory: "/clicks")
            for number in 0..<5 { try log.append(click(number)) }
            try log.sync()
            for number in 5..<9 { try log.append(click(number)) }
            _ = base.losePower(owner: DiskOwner(1), policy: .random(seed: seed))
            let next = try ClickLog(disk: disk(base), directory: "/clicks")
            try next.append(click(100))
            let found = try all(next).codes
            #expect(found.prefix(5) == ["c0", "c1", "c2", "c3", "c4"])
            #expect(found.last == "c100", "what comes after the damage is read")
            #expect(found.dropFirst(5).dropLast() == (5..<9).map { "c\($0)" }.prefix(found.count - 6)[...])
        }
    }

    @Test("bytes that are no record end a segment, and never the process")
    func noise() throws {
        let base = SimulatedDisk()
        let own = disk(base)
        var log = try ClickLog(disk: own, directory: "/clicks")
        try log.append(click(1))
        let file = try own.open("/clicks/\(ClickLog.name(1))", [.write])
        var random = SeededRandom(seed: 3)
        try file.write((0..<200).map { _ in UInt8(truncatingIfNeeded: random.next()) }, at: file.size)
        log = try ClickLog(disk: own, directory: "/clicks")
        try log.append(click(2))
        let found = try all(log)
        #expect(found.codes == ["c1", "c2"] && found.torn == 200)
    }

    @Test("a byte that changes is damage: no click is counted that nobody has made")
    func flips() throws {
        let base = SimulatedDisk()
        let own = disk(base)
        let log = try ClickLog(disk: own, directory: "/clicks")
        for number in 0..<3 { try log.append(click(number)) }
        log.close()
        let next = try ClickLog(disk: own, directory: "/clicks")
        let file = try own.open("/clicks/\(ClickLog.name(1))", [.write])
        let bytes = try file.read(at: 0, count: file.size)
        let written = try next.read(from: ClickPosition(), limit: 1 << 20).clicks
        #expect(written.count == 3)
        for place in bytes.indices {
            try file.write([bytes[place] ^ 0x10], at: place)
            let found = try next.read(from: ClickPosition(), limit: 1 << 20).clicks
            #expect(found.count < 3 && found == Array(written.prefix(found.count)), "byte \(place)")
            try file.write([bytes[place]], at: place)
        }
    }

    @Test("a record reads as it was written, and anything else not at all")
    func coding() throws {
        var named = click(7)
        named.name = ClickName(book: 1 << 61, serial: 1 << 40)
        for click in [click(7), named] {
            var writer = RecordWriter()
            click.encode(into: &writer)
            for cut in 0...writer.bytes.count {
                var reader = RecordReader(writer.bytes, in: 0..<cut)
                let read = Result { () throws(RecordReader.Malformed) in try Click(reading: &reader) }
                #expect((try? read.get()) == (cut == writer.bytes.count ? click : nil), "\(cut)")
            }
        }
    }

    @Test("totals add up, and days begin at midnight of the zone")
    func totals() {
        var totals = ClickTotals()
        let late = LabTime(parsing: "2024-01-15T23:30:00Z")!
        for (number, agent) in [(1, VisitorAgent.bot), (2, .chrome), (2, .chrome)] {
            totals.add(
                Click(code: "a", time: late, referrer: "x.org", agent: agent, visitor: mixed(UInt64(number))),
                zoneSeconds: 3600)
        }
        #expect(totals.clicks == ["a": 3] && totals.bots == ["a": 1])
        #expect(totals.days.map { "\($0.key.day) \($0.value)" } == ["2024-01-16 3"])
        #expect(totals.visitors["a"]?.count == 2)
    }
}
