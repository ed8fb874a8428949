import KernelStructures
import Testing

@testable import LogStoreEngine

@Suite("an agent without room, and the times of its lines")
struct AgentDropTests {
    private static func settings(_ settings: inout AgentSettings) {
        settings.memoryBytes = 1 << 10
        settings.spoolBytes = 2 << 10
        settings.whenFull = .dropOldest
    }

    private static func line(_ number: Int) -> String { "line \(number) of a service that writes a lot\n" }

    @Test("drop-oldest keeps the newest, though the oldest are on their way and nobody answers")
    func keepsNewest() throws {
        let bench = try AgentBench(Self.settings)
        for number in 1...200 {
            try bench.write(Self.line(number))
            bench.scan()
            // The collector takes what comes, and its disk is full.
            try bench.deliver(acknowledges: false)
            #expect(bench.agent.spooledBytes <= 2 << 10)
            #expect(bench.isBalanced)
        }
        #expect(bench.agent.ledger.unclear.lines == 0)
        bench.disconnect()
        // What was on its way may have arrived: it is said so.
        let ledger = bench.agent.ledger
        #expect(ledger.dropped.lines > 100 && ledger.unclear.lines > 0 && ledger.isBalanced)
        bench.stored = []
        bench.offsets = [:]
        try bench.deliver()
        #expect(bench.stored.last == String(Self.line(200).dropLast()))
        let kept = bench.stored.count
        #expect(kept >= 10)
        #expect(bench.stored == (200 - kept + 1...200).map { String(Self.line($0).dropLast()) })
        #expect(bench.agent.ledger.waiting.lines == 0 && bench.isBalanced)
    }

    @Test("what was given up while it was on its way is stored if the collector says so after all")
    func lateAnswer() throws {
        let bench = try AgentBench(Self.settings)
        for number in 1...60 {
            try bench.write(Self.line(number))
            bench.scan()
            try bench.deliver(acknowledges: false)
        }
        _ = bench.agent.acknowledged(.init(number: AgentProtocol.windowBatches))
        let ledger = bench.agent.ledger
        #expect(ledger.stored.lines > 0 && ledger.unclear.lines == 0 && ledger.isBalanced)
        try bench.deliver()
        #expect(Set(bench.stored).count == bench.stored.count)
        #expect(bench.agent.ledger.stored.lines + bench.agent.ledger.dropped.lines == 60)
    }

    @Test(
        "drop-newest and wait stay within the spool's limit, too",
        arguments: [
            AgentSettings.FullPolicy.wait, .dropNewest,
        ])
    func others(policy: AgentSettings.FullPolicy) throws {
        let bench = try AgentBench {
            Self.settings(&$0)
            $0.whenFull = policy
        }
        for number in 1...200 {
            try bench.write(Self.line(number))
            bench.scan()
            #expect(bench.agent.spooledBytes <= 2 << 10 && bench.isBalanced)
        }
        try bench.deliver()
        while bench.agent.unreadBytes > 0 {
            bench.scan()
            try bench.deliver()
        }
        #expect(bench.stored.first == String(Self.line(1).dropLast()))
        #expect(policy == .wait ? bench.stored.count == 200 : bench.agent.ledger.dropped.lines > 50)
    }

    @Test("a line has the time at which it was read, through spool and restart, and no two have the same")
    func times() throws {
        let bench = try AgentBench { $0.memoryBytes = 256 }
        try bench.write("one\ntwo\n")
        bench.scan()
        let first = bench.now.nanoseconds
        for number in 0..<20 {
            try bench.write("more \(number)\n")
            bench.scan()
        }
        #expect(bench.agent.spooledBytes > 0)
        bench.agent.close()
        try bench.open()
        bench.scan(after: 600)
        var times: [Int64] = []
        while let bytes = bench.agent.nextToSend() {
            let batch = try #require(AgentBatch(bytes))
            for line in 0..<batch.lines {
                let run = try #require(batch.times.last { $0.line <= line })
                times.append(run.time(ofLine: line))
            }
            _ = bench.agent.acknowledged(.init(number: .max - 1))
        }
        #expect(times.count == 22 && Array(times.prefix(2)) == [first, first + 1])
        #expect(times == times.sorted() && Set(times).count == times.count)
        #expect(times[2] - times[0] >= 1_000_000_000 && times[2] - times[0] < 2_000_000_000)
    }

    @Test("times that cannot be are refused")
    func badTimes() {
        func head(_ times: String) -> String {
            #"{"batch":1,"inode":"1","generation":1,"path":"/a","from":0,"spans":[2,2],"lengths":[1,1],"#
                + #""times":\#(times)}"#
        }
        func read(_ text: String) -> AgentProtocol.BatchHead? {
            Array(text.utf8).withUnsafeBytes { try? AgentProtocol.BatchHead($0) }
        }
        #expect(read(head("[0,5]"))?.times == [.init(line: 0, nanoseconds: 5)])
        for bad in ["[0]", "[0,5,0,6]", "[1,5,0,6]", "[0,-1]", "[0,9223372036854775807]", "7"] {
            #expect(read(head(bad)) == nil, "\(bad)")
        }
    }
}
