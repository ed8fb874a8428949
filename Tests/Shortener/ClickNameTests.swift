import KernelJSON
import KernelStorage
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@testable import ShortenerEngine
@testable import ShortenerService

@Suite("What clicks are called, and which of them are in the books")
struct ClickNameTests {
    private func click(_ name: ClickName?) -> Click {
        Click(
            code: "c", time: LabTime(nanoseconds: 0), referrer: "direct", agent: .other, visitor: 1, name: name)
    }

    private func book(isClosed: Bool, endedWithoutWord: Bool) -> ClickBooks.Book {
        let time = LabTime(nanoseconds: 0)
        return ClickBooks.Book(
            node: "urls", beganAt: time, syncedAt: time, endedAt: isClosed ? time : nil,
            endedWithoutWord: endedWithoutWord, isClosed: isClosed)
    }

    @Test("whichever of six clicks are entered: those are in the books, a gap is no power failure, a tail is one")
    func everySubset() {
        for entered in 0..<64 {
            let serials = (0..<6 as Range<UInt64>).filter { entered & 1 << $0 != 0 }
            let runs = ClickRun.of(serials.map { click(ClickName(book: 9, serial: $0)) })
            #expect(runs.flatMap { Array($0.first...$0.last) } == serials)
            for (isClosed, withoutWord) in [(false, false), (true, false), (true, true)] {
                var books = ClickBooks()
                books.add(book(isClosed: isClosed, endedWithoutWord: withoutWord), number: 9)
                for run in runs { books.add(run: run.first, run.last, of: run.book) }
                for serial in 0..<6 as Range<UInt64> {
                    let isGap = serial < serials.last ?? 0
                    let expected: ClickBooks.Fate =
                        serials.contains(serial)
                        ? .counted
                        : isGap
                            ? .missing(isPromised: false)
                            : isClosed ? .missing(isPromised: withoutWord) : .waiting
                    #expect(books.fate(of: ClickName(book: 9, serial: serial)) == expected, "\(entered) \(serial)")
                    #expect(books.fate(of: ClickName(book: 8, serial: serial)) == .unknown)
                }
            }
        }
    }

    @Test("clicks without a name, and those of two lives, are in runs of their own or in none")
    func runs() {
        let names = [(1, 0), (1, 1), (2, 2), (2, 3), (1, 4)].map { ClickName(book: $0.0, serial: $0.1) }
        let runs = ClickRun.of([click(nil)] + names.map { click($0) } + [click(nil)])
        #expect(runs.map { [$0.book, $0.first, $0.last] } == [[1, 0, 1], [2, 2, 3], [1, 4, 4]])
    }

    @Test("what is gathered is written in one go, and what the disk refuses is forgotten")
    func gathering() throws {
        let disk = NodeDisk(base: SimulatedDisk(), owner: DiskOwner(1))
        let log = try ClickLog(disk: disk, directory: "/clicks")
        for serial in 0..<3 as Range<UInt64> { log.gather(click(ClickName(book: 1, serial: serial))) }
        #expect(try log.read(from: ClickPosition()).clicks.isEmpty && log.gatheredCount == 3)
        try log.write()
        disk.faults.tornWrites = 1
        log.gather(click(ClickName(book: 1, serial: 3)))
        #expect(throws: DiskError.self) { try log.write() }
        #expect(log.gatheredCount == 0)
        try log.append(click(ClickName(book: 1, serial: 4)))
        #expect(try log.read(from: ClickPosition()).clicks.map(\.name?.serial) == [0, 1, 2, 4])
    }

    @Test("an id has 32 digits that tell nobody anything without the key, and no two are alike")
    func seal() throws {
        let seal = ClickSeal(key: (1, 2))
        var texts: Set<String> = []
        for serial in [0, 1, 2, 127, 128, 129, 1 << 40, 3] as [UInt64] {
            let name = ClickName(book: 77, serial: serial)
            let text = seal.text(name)
            #expect(text.utf8.count == 32 && seal.name(text.utf8) == name && texts.insert(text).inserted)
            #expect(ClickSeal(key: (1, 2)).text(name) == text, "whatever was sealed before")
            #expect(ClickSeal(key: (1, 3)).name(text.utf8) != name)
            var forged = Array(text.utf8)
            forged[31] = forged[31] == 48 ? 49 : 48
            #expect(seal.name(forged)?.book != 77)
        }
        // FIPS 197, appendix B, has other bytes; these are ours, so that ids outlive a change of the program.
        #expect(ClickSeal(key: (0, 0)).text(ClickName(book: 0, serial: 0)) == "66e94bd4ef8a2c3b884cfa59ca342b2e")
        for bad in ["", "66e9", "66e94bd4ef8a2c3b884cfa59ca342b2", "66e94bd4ef8a2c3b884cfa59ca342b2g"] {
            #expect(seal.name(bad.utf8) == nil)
        }
    }

    // @covers URL-H3
    @Test("whoever clicks is told what his click is called, and whoever only asks is not")
    func header() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/", "max_visits": 4}"#)
        let ids = try (0..<3).map { _ in try lab.ask("GET", "/\(code)").clickID }
        #expect(Set(ids.compactMap { $0 }).count == 3, "by way of the database, and from memory")
        #expect(try lab.ask("HEAD", "/\(code)").clickID == nil)
        let pixel = try lab.ask("GET", "/\(code)/track").clickID
        let nowhere = try lab.ask("GET", "/nowhere").clickID
        #expect(pixel != nil && nowhere != nil, "they are counted, too")
        #expect(try lab.ask("GET", "/\(code)").clickID == nil, "over: nothing is counted")
        let seen = try lab.audit((ids + [pixel, nowhere, "made-up"]).compactMap { $0 })
        #expect(seen["seen"] == 6 && seen["in_books"] == 5 && seen["missing"] == 0 && seen["unknown"] == 1)
        #expect(seen["unknown_ids"] == ["made-up"])
        let other = try ShortenerLab(seed: 2)
        #expect(try other.audit(ids.compactMap { $0 })["unknown"] == 3, "another database has another secret")
    }

    @Test("a disk that takes no click gives it no name")
    func refused() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        try lab.ask("GET", "/\(code)")
        let disk = lab.world.nodes["urls"]!.disk
        disk.faults.tornWrites = 1
        let refused = try lab.ask("GET", "/\(code)")
        #expect(refused.status == 301 && refused.clickID == nil)
        let id = try #require(try lab.ask("GET", "/\(code)").clickID)
        #expect(try lab.audit([id])["in_books"] == 1)
        #expect(try lab.ask("GET", "/api/stats/\(code)").json["clicks"] == 2)
    }

    /// What a run of visitors has seen until the power went.
    private struct Run {
        let lab: ShortenerLab
        let crash: CrashDisk
        /// By the link's code: each link is followed once.
        var seen: [(code: String, id: String)] = []
        var codes: [String] = []
    }

    private func run(crashAt: Int?) throws -> Run {
        let crash = CrashDisk(SimulatedDisk())
        let lab = try ShortenerLab(disk: crash) { $0.flushInterval = .milliseconds(150) }
        var run = Run(lab: lab, crash: crash)
        for number in 0..<10 { run.codes.append(try lab.shorten("{\"url\": \"http://a/\(number)\"}")) }
        lab.world.pass(.milliseconds(300))
        if let crashAt { crash.crashAt = crash.operations + crashAt }
        for code in run.codes where !crash.isDead {
            let answer = try lab.ask("GET", "/\(code)")
            if let id = answer.clickID { run.seen.append((code, id)) }
            lab.world.pass(.milliseconds(30))
        }
        return run
    }

    // @covers URL-C3
    @Test("power lost at each operation of the disk: what is said to be missing is what visitors saw and books lack")
    func powerLoss() throws {
        let whole = try run(crashAt: nil)
        #expect(whole.seen.count == 10)
        var lostCount = 0
        for point in stride(from: 0, to: 1000, by: isLong ? 1 : 3) {
            var run = try run(crashAt: point)
            let lab = run.lab
            let isOver = !run.crash.isDead
            lab.world.nodes["urls"]?.end(
                .poweredOff, powerLoss: point % 2 == 0 ? .dropAll : .random(seed: UInt64(point)))
            lab.world.pass(.milliseconds(5))
            run.crash.crashAt = .max
            try lab.begin()
            var lost: [String] = []
            for (code, id) in run.seen {
                if try lab.ask("GET", "/api/stats/\(code)").json["clicks"] == 0 { lost.append(id) }
            }
            lostCount += lost.count
            // At once, and when the life after it has clicks of its own.
            for isLater in [false, true] {
                if isLater { run.seen.append(("", try #require(try lab.ask("GET", "/\(run.codes[0])").clickID))) }
                let audit = try lab.audit(run.seen.map(\.id))
                guard case .array(let missing)? = audit["missing_clicks"] else {
                    return #expect(Bool(false), "\(audit)")
                }
                #expect(missing.map { $0["id"] } == lost.map { .string($0) }, "operation \(point)")
                #expect(missing.allSatisfy { $0["within_window"] == true }, "operation \(point)")
                #expect(audit["in_books"] == .integer(run.seen.count - lost.count) && audit["unknown"] == 0)
                #expect(audit["waiting"] == 0, "operation \(point)")
            }
            if isOver { break }
        }
        #expect(lostCount > 0, "the power has taken some")
    }

    @Test("the books name no click that was damaged, and do not take damage for a failing power")
    func damage() throws {
        let lab = try ShortenerLab { $0.flushInterval = .seconds(60) }
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        let ids = try (0..<5).map { _ in try #require(try lab.ask("GET", "/\(code)").clickID) }
        lab.kill()
        let disk = NodeDisk(base: lab.world.disk, owner: DiskOwner(99))
        let name = try #require(try disk.list("/clicks").filter { $0.hasPrefix("clicks-") }.max())
        let file = try disk.open("/clicks/\(name)", [.write])
        let size = file.size
        try file.write([0xFF], at: size - 3)
        file.close()
        try lab.begin()
        let audit = try lab.audit(ids)
        #expect(
            audit["in_books"] == 4 && audit["missing"] == 1 && audit["missing_clicks"]?[0]?["id"] == .string(ids[4]))
    }

    @Test("a directory of clicks that was lost gives no name and no place twice, and what follows is counted")
    func lostDirectory() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        let first = try (0..<3).map { _ in try #require(try lab.ask("GET", "/\(code)").clickID) }
        #expect(try lab.audit(first)["in_books"] == 3)
        lab.kill()
        let disk = NodeDisk(base: lab.world.disk, owner: DiskOwner(99))
        for name in try disk.list("/clicks") { try disk.remove("/clicks/\(name)") }
        try lab.begin()
        let more = try (0..<2).map { _ in try #require(try lab.ask("GET", "/\(code)").clickID) }
        #expect(Set(first + more).count == 5)
        #expect(try lab.audit(first + more)["in_books"] == 5)
        #expect(try lab.ask("GET", "/api/stats/\(code)").json["clicks"] == 5)
    }

    @Test("a visitor is the same one to the life after a kill")
    func sameVisitor() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        try lab.ask("GET", "/\(code)")
        lab.kill()
        try lab.begin()
        try lab.ask("GET", "/\(code)")
        let numbers = try lab.ask("GET", "/api/stats/\(code)?details").json
        #expect(numbers["clicks"] == 2 && numbers["unique_visitors"] == 1)
    }

    @Test("a link that is limited while its clicks are on their way counts them, too")
    func limitedLater() throws {
        let lab = try ShortenerLab { $0.flushInterval = .seconds(60) }
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        for _ in 0..<3 { try lab.ask("GET", "/\(code)") }
        #expect(try lab.ask("PATCH", "/api/links/\(code)", #"{"max_visits": 5}"#).status == 200)
        #expect(try (0..<4).map { _ in try lab.ask("GET", "/\(code)").status } == [301, 301, 410, 410])
    }

    /// Visitors come every 20 µs while the link is being limited.
    ///
    /// - Returns: how many were led on until the change was answered, and what the next visitor gets.
    private func limit(to count: Int) throws -> (led: Int, next: Int) {
        let lab = try ShortenerLab { $0.flushInterval = .seconds(60) }
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        let editor = try RawClient(try lab.world.node("editor"), "urls", 80)
        let visitor = try RawClient(try lab.world.node("visitors"), "urls", 80)
        let body = "{\"max_visits\": \(count)}"
        editor.write(
            "PATCH /api/links/\(code) HTTP/1.1\r\nHost: s.io\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        for _ in 0..<5000 where editor.bytes.isEmpty {
            visitor.write("GET /\(code) HTTP/1.1\r\nHost: s.io\r\n\r\n")
            lab.world.pass(.microseconds(20))
        }
        lab.world.pass(.milliseconds(20))
        #expect(editor.statuses == [200])
        return (visitor.statuses.count { $0 == 301 }, try lab.ask("GET", "/\(code)").status)
    }

    @Test("visitors who come while a link is being limited use it up, too: not one is forgotten between two books")
    func limitedMeanwhile() throws {
        let (led, next) = try limit(to: 100_000)
        #expect(led > 10 && next == 301)
        #expect(try limit(to: led) == (led, 410))
        #expect(try limit(to: led + 1) == (led, 301))
    }
}
