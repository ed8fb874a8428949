import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import LogStoreEngine

/// An agent with a collector that is a list, files on a simulated disk, and applications that write to them.
final class AgentBench {
    let base = SimulatedDisk()
    let crash: CrashDisk
    let disk: NodeDisk
    /// Applications write as somebody else: their bytes are durable at once.
    let application: NodeDisk
    var agent: LogAgent!
    var settings: AgentSettings
    var now = LabTime.documentedEpoch
    /// What the collector has: by file, what was taken up to which offset; and the lines.
    var offsets: [Int: Int] = [:]
    var stored: [String] = []
    /// Batches that were sent on this connection.
    private var received = 0

    init(_ change: (inout AgentSettings) -> Void = { _ in }) throws {
        crash = CrashDisk(base)
        disk = NodeDisk(base: crash, owner: DiskOwner(1))
        application = NodeDisk(base: base, owner: .lab)
        settings = AgentSettings()
        settings.patterns = ["/var/log/*.log"]
        settings.readsFromStart = true
        change(&settings)
        try application.makeDirectory("/var/log")
        try open()
    }

    func open() throws {
        agent = nil
        received = 0
        agent = try LogAgent(settings, disk: disk, directory: "/agent", identity: "me")
    }

    func write(_ text: String, to path: String = "/var/log/app.log") throws {
        let file = try application.open(path, [.write, .create])
        try file.write(Array(text.utf8), at: file.size)
    }

    @discardableResult
    func scan(after seconds: Int = 1) -> [String] {
        now = now + .seconds(seconds)
        return agent.scan(now: now).found
    }

    /// The collector takes what comes, as `AgentSession` does, and says so.
    func deliver(_ limit: Int = .max, acknowledges: Bool = true) throws {
        for _ in 0..<limit {
            guard let bytes = agent.nextToSend() else { break }
            let batch = try #require(AgentBatch(bytes))
            var offset = batch.from
            var place = 0
            let known = offsets[batch.generation] ?? 0
            for (span, length) in zip(batch.spans, batch.lengths) {
                if offset + span > known {
                    stored.append(String(decoding: batch.text[place..<place + length], as: UTF8.self))
                }
                offset += span
                place += length
            }
            offsets[batch.generation] = max(known, offset)
            received += 1
            if acknowledges { _ = agent.acknowledged(.init(number: received)) }
        }
    }

    func disconnect() {
        agent.disconnected()
        received = 0
    }

    var isBalanced: Bool { agent.ledger.isBalanced }
}

@Suite("The agent")
struct LogAgentTests {
    // @covers LOG-H1 LOG-M1
    @Test(
        "it begins at the end of files that were there, at the beginning of those that come, and goes on where it was")
    func tailing() throws {
        let bench = try AgentBench { $0.readsFromStart = false }
        try bench.write("old\n")
        #expect(bench.scan() == ["/var/log/app.log"])
        try bench.write("one\ntw")
        try bench.write("new\n", to: "/var/log/other.log")
        #expect(bench.scan() == ["/var/log/other.log"])
        try bench.deliver()
        #expect(bench.stored == ["one", "new"])
        bench.agent.close()
        try bench.write("o\nthree\n")
        try bench.open()
        #expect(bench.scan() == ["/var/log/app.log", "/var/log/other.log"])
        try bench.deliver()
        #expect(bench.stored == ["one", "new", "two", "three"])
        #expect(bench.isBalanced && bench.agent.ledger.suspectedLosses == 0)
    }

    @Test("a file that is renamed in the middle of a line is read to its end, and the new one from its beginning")
    func rotation() throws {
        let bench = try AgentBench()
        try bench.write("one\ntw")
        bench.scan()
        try bench.application.rename("/var/log/app.log", to: "/var/log/app.log.1")
        try bench.write("first\n")
        #expect(bench.scan() == ["/var/log/app.log"])
        // Whoever wrote it has it open still.
        try bench.write("o\nthree\n", to: "/var/log/app.log.1")
        bench.scan()
        try bench.deliver()
        #expect(bench.stored.sorted() == ["first", "one", "three", "two"])
        for _ in 0..<10 { bench.scan() }
        #expect(bench.agent.paths == ["/var/log/app.log"] && bench.isBalanced)
    }

    @Test("a file that was renamed while the agent was away is found, and read from where it was")
    func rotatedMeanwhile() throws {
        let bench = try AgentBench()
        try bench.write("one\n")
        bench.scan()
        try bench.deliver()
        bench.agent.close()
        try bench.write("two\n")
        try bench.application.rename("/var/log/app.log", to: "/var/log/app.log.1")
        try bench.write("three\n")
        try bench.open()
        bench.scan()
        try bench.deliver()
        #expect(bench.stored.sorted() == ["one", "three", "two"] && bench.agent.ledger.suspectedLosses == 0)
    }

    @Test("a file that is emptied under it is read from its beginning, also if it has grown beyond where it was")
    func copyTruncate() throws {
        let bench = try AgentBench()
        try bench.write("one\ntwo\n")
        bench.scan()
        try bench.deliver()
        try bench.application.open("/var/log/app.log", [.write]).truncate(to: 0)
        try bench.write("three\n")
        bench.scan()
        try bench.application.open("/var/log/app.log", [.write]).truncate(to: 0)
        try bench.write("four, which is longer than anything that was there before\n")
        bench.scan()
        try bench.deliver()
        #expect(bench.stored == ["one", "two", "three", "four, which is longer than anything that was there before"])
        #expect(bench.agent.ledger.suspectedLosses == 2 && bench.isBalanced)
    }

    @Test("lines that are really equal stay, and those that are sent twice do not")
    func equalLines() throws {
        let bench = try AgentBench()
        try bench.write("same\nsame\nsame\n")
        bench.scan()
        try bench.deliver(acknowledges: false)
        bench.disconnect()
        try bench.deliver()
        #expect(bench.stored == ["same", "same", "same"] && bench.agent.ledger.stored.lines == 3)
    }

    @Test("lines of one message stay together, up to a limit and until nobody goes on")
    func multiline() throws {
        let rule = try MultilineRule(start: "^\\d")
        let bench = try AgentBench { $0.multiline = rule }
        try bench.write("1 error\n  at a\n  at b\n2 fine\n")
        bench.scan(after: 0)
        try bench.deliver()
        #expect(bench.stored == ["1 error\n  at a\n  at b"])
        bench.scan()
        try bench.deliver()
        #expect(bench.stored.last == "2 fine" && bench.stored.count == 2 && bench.isBalanced)
    }

    // @covers LOG-C1 LOG-C2
    @Test("while the collector is away memory and spool fill up to their limits, and then it reads no more")
    func away() throws {
        let bench = try AgentBench {
            $0.memoryBytes = 4000
            $0.spoolBytes = 20_000
            $0.batchBytes = 500
        }
        var written: [String] = []
        for number in 0..<1500 {
            written.append("line \(number) \(String(repeating: "x", count: 40))")
            try bench.write(written[number] + "\n")
            if number % 10 == 0 { bench.scan() }
            #expect(bench.isBalanced)
        }
        #expect(bench.agent.spooledBytes > 15_000 && bench.agent.spooledBytes <= 20_000)
        #expect(bench.agent.unreadBytes > 0 && bench.agent.ledger.dropped.lines == 0)
        for _ in 0..<400 {
            bench.scan()
            try bench.deliver()
        }
        #expect(bench.stored == written && bench.isBalanced && bench.agent.ledger.stored.lines == 1500)
        #expect(bench.agent.spooledBytes == 0)
    }

    @Test("while the collector takes what it is sent nothing goes into the spool; when it stops, everything does")
    func spoolIsForStalls() throws {
        let bench = try AgentBench {
            $0.memoryBytes = 4000
            $0.batchBytes = 500
        }
        // More than is read at once.
        let written = (0..<20_000).map { "line \($0) \(String(repeating: "x", count: 40))" }
        try bench.write("first\n")
        bench.scan()
        try bench.deliver()
        try bench.write(written.map { $0 + "\n" }.joined())
        var rounds = 0
        while bench.stored.count < 20_001 {
            bench.scan(after: 0)
            #expect(bench.agent.spooledBytes == 0 && bench.isBalanced)
            if bench.agent.unreadBytes > 0 { #expect(!bench.agent.canGoOn, "memory is full") }
            try bench.deliver(40)
            rounds += 1
            try #require(rounds < 1000)
        }
        #expect(bench.stored == ["first"] + written && rounds > 10)
        // It accepts the connection, and takes no more: a second later the spool does.
        try bench.write(written.map { $0 + "\n" }.joined())
        bench.scan(after: 0)
        bench.scan(after: 0)
        #expect(bench.agent.spooledBytes == 0 && bench.agent.unreadBytes > 0)
        bench.scan(after: 1)
        #expect(bench.agent.spooledBytes > 0 && bench.isBalanced)
        for _ in 0..<200 {
            bench.scan(after: 0)
            try bench.deliver()
        }
        #expect(bench.stored.count == 40_001 && bench.agent.spooledBytes == 0 && bench.isBalanced)
        // Once it is away there is no waiting.
        bench.disconnect()
        try bench.write(written.map { $0 + "\n" }.joined())
        for _ in 0..<10 { bench.scan(after: 0) }
        #expect(bench.agent.spooledBytes > 0 && bench.agent.unreadBytes == 0)
    }

    @Test(
        "what is dropped for want of room is counted, whichever policy",
        arguments: [AgentSettings.FullPolicy.dropOldest, .dropNewest])
    func dropping(_ policy: AgentSettings.FullPolicy) throws {
        let bench = try AgentBench {
            $0.memoryBytes = 4000
            $0.spoolBytes = 0
            $0.batchBytes = 500
            $0.whenFull = policy
        }
        for number in 0..<500 {
            try bench.write("line \(number) \(String(repeating: "x", count: 40))\n")
            bench.scan()
            #expect(bench.isBalanced)
        }
        let dropped = bench.agent.ledger.dropped.lines
        #expect(dropped > 300 && bench.agent.unreadBytes == 0)
        try bench.deliver(1000)
        for _ in 0..<50 { try bench.deliver(1000) }
        #expect(bench.stored.count == 500 - dropped && bench.isBalanced)
        #expect(bench.stored.contains { $0.hasPrefix("line 0 ") } == (policy == .dropNewest))
    }

    @Test("a collector that will never take a line is believed, and the book still agrees")
    func rejected() throws {
        let bench = try AgentBench()
        try bench.write("a\nbb\nccc\n")
        bench.scan()
        _ = bench.agent.nextToSend()
        #expect(bench.agent.acknowledged(.init(number: 1, rejected: 2, reason: "too old")) == 1)
        #expect(bench.isBalanced && bench.agent.ledger.rejected.lines == 2 && bench.agent.rejections == ["too old": 2])
        // What was never sent cannot be acknowledged.
        #expect(bench.agent.acknowledged(.init(number: .max - 1)) == 0 && bench.isBalanced)
    }

    @Test("a full disk keeps the spool from growing, and nothing is lost")
    func fullDisk() throws {
        let bench = try AgentBench {
            $0.memoryBytes = 2000
            $0.batchBytes = 500
        }
        bench.scan()
        bench.disk.faults.isFull = true
        for number in 0..<200 {
            try bench.write("line \(number) \(String(repeating: "x", count: 40))\n")
            bench.scan()
        }
        #expect(bench.agent.spooledBytes == 0 && bench.isBalanced && bench.agent.unreadBytes > 0)
        bench.disk.faults.isFull = false
        for _ in 0..<100 {
            bench.scan()
            try bench.deliver()
        }
        #expect(bench.stored.count == 200 && bench.isBalanced)
    }

    @Test("lines that are too long are cut, and counted")
    func longLines() throws {
        let bench = try AgentBench { $0.lineLimitBytes = 100 }
        try bench.write(
            String(repeating: "a", count: 150) + "\nshort\n" + String(repeating: "b", count: 1000) + "\nend\n")
        bench.scan()
        try bench.deliver()
        #expect(bench.stored.first?.count == 100 && bench.stored.contains("short") && bench.stored.last == "end")
        #expect(bench.agent.ledger.cutLines >= 2 && bench.isBalanced)
    }

    @Test("whatever operation of its disk is the last one before power goes, every line arrives once")
    func powerLoss() throws {
        func run(_ bench: AgentBench, _ written: inout [String], seed: UInt64) throws {
            var random = SeededRandom(seed: seed)
            for step in 0..<40 {
                let line = "line \(written.count) \(String(repeating: "x", count: random.below(90)))"
                written.append(line)
                try bench.write(line + "\n")
                if random.below(12) == 0 {
                    try bench.application.rename("/var/log/app.log", to: "/var/log/app.log.\(step)")
                    try bench.write("", to: "/var/log/app.log")
                }
                bench.scan()
                if random.below(3) == 0 { bench.agent.save() }
                if random.below(6) == 0 { bench.disconnect() }
                if random.below(2) == 0 { try bench.deliver(2, acknowledges: random.below(3) > 0) }
                #expect(bench.isBalanced)
                if bench.crash.isDead { return }
            }
        }
        let make = {
            try AgentBench {
                $0.patterns = ["/var/log/*"]
                $0.memoryBytes = 400
                $0.batchBytes = 150
                $0.spoolBytes = 2000
            }
        }
        let first = try make()
        var ignored: [String] = []
        try run(first, &ignored, seed: 3)
        for crashAt in stride(from: 8, to: first.crash.operations, by: isLong ? 1 : 5) {
            let bench = try make()
            var written: [String] = []
            bench.crash.crashAt = crashAt
            try run(bench, &written, seed: 3)
            _ = bench.base.losePower(owner: DiskOwner(1), policy: .random(seed: UInt64(crashAt)))
            bench.crash.crashAt = .max
            try bench.open()
            for _ in 0..<60 {
                bench.scan()
                try bench.deliver()
                #expect(bench.isBalanced)
            }
            let counts = Dictionary(bench.stored.map { ($0, 1) }, uniquingKeysWith: +)
            #expect(counts.values.allSatisfy { $0 == 1 }, "power lost at \(crashAt): a line is there twice")
            let missing = written.filter { counts[$0] == nil }
            #expect(missing.isEmpty, "power lost at \(crashAt): \(missing.count), \(missing.first ?? "")")
        }
    }

    @Test("patterns fit as a shell's do")
    func patterns() throws {
        let base = SimulatedDisk()
        let disk = NodeDisk(base: base, owner: .lab)
        try disk.makeDirectory("/d")
        for name in ["a.log", "b.log", "ab.log", ".c.log", "a.txt", "a+b.log"] { try disk.store([], at: "/d/\(name)") }
        func found(_ pattern: String) -> [String] { PathPattern(pattern).paths(disk).map { DiskPath.name(of: $0) } }
        #expect(found("/d/*.log") == ["a+b.log", "a.log", "ab.log", "b.log"])
        #expect(found("/d/?.log") == ["a.log", "b.log"] && found("/d/[!a]*.log") == ["b.log"])
        #expect(found("/d/a+*") == ["a+b.log"] && found("/d/none") == ["none"] && found("/e/*") == [])
    }
}
