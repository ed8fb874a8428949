import Glibc
import KernelStorage
import KernelStructures
import KernelWorld
import LogModelEngine
import TestSupport
import Testing

@testable import LogStoreEngine
@testable import LogStoreService

@Suite("An agent that has to wait, or must not begin")
struct AgentHoldTests {
    @Test("two agents never share their cursors: the second one is told how to have its own")
    func oneAtATime() throws {
        let bench = try AgentBench()
        let other = NodeDisk(base: bench.base, owner: DiskOwner(2))
        func second() throws -> LogAgent {
            try LogAgent(bench.settings, disk: other, directory: "/agent", identity: "other")
        }
        let error = #expect(throws: LogAgentStartError.self) { try second() }
        #expect(error?.description.contains("--state") == true && error?.description.contains("--name") == true)
        bench.agent.close()
        #expect(try second().identity == "me")
    }

    @Test("cursors that are none are named, with what to do about it", arguments: ["", "{}", "[]", "{\"agent\":"])
    func damagedCursors(_ text: String) throws {
        let bench = try AgentBench()
        bench.agent.close()
        try bench.disk.store(Array(text.utf8), at: "/agent/cursors.json")
        let error = #expect(throws: LogAgentStartError.self) { try bench.open() }
        #expect(error?.description.hasPrefix("/agent/cursors.json: ") == true)
        #expect(error?.description.contains("remove it") == true)
    }

    @Test("a full disk is no reason not to begin again")
    func fullDisk() throws {
        let bench = try AgentBench()
        try bench.write("one\n")
        bench.scan()
        bench.agent.close()
        bench.disk.faults.isFull = true
        try bench.open()
        bench.scan()
        try bench.deliver()
        #expect(bench.stored == ["one"])
    }

    @Test("pipes and directories that a pattern fits are said, and not followed; nobody waits for a pipe")
    func specialFiles() throws {
        var template = Array("/tmp/sdlab-agent-XXXXXX".utf8CString)
        let path = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            for name in ["a.log", "pipe.log"] { unlink("\(path)/logs/\(name)") }
            for name in ["logs/dir.log", "logs", "state/spool"] { rmdir("\(path)/\(name)") }
            for name in ["cursors.json", "lock"] { unlink("\(path)/state/\(name)") }
            rmdir("\(path)/state")
            rmdir(path)
        }
        mkdir("\(path)/logs", 0o755)
        mkdir("\(path)/logs/dir.log", 0o755)
        mkfifo("\(path)/logs/pipe.log", 0o600)
        // Somebody has it open: so whoever opens it without looking does not wait for ever, and fails here.
        let descriptor = Glibc.open("\(path)/logs/pipe.log", O_RDWR | O_NONBLOCK)
        defer { close(descriptor) }
        let disk = NodeDisk(base: try FileDisk(root: path), owner: DiskOwner(1))
        try disk.store(Array("one\n".utf8), at: "/logs/a.log")
        var settings = AgentSettings()
        settings.patterns = ["/logs/*.log"]
        settings.readsFromStart = true
        let agent = try LogAgent(settings, disk: disk, directory: "/state", identity: "me")
        #expect(agent.scan(now: .documentedEpoch).found == ["/logs/a.log"])
        #expect(agent.problems.contains { $0.hasPrefix("/logs/pipe.log: no file") })
        #expect(agent.problems.contains { $0.hasPrefix("/logs/dir.log: Is a directory") })
        #expect(agent.nextToSend() != nil && agent.nextToSend() == nil)
        agent.close()
    }

    // MARK: What the collector takes later

    private func head(_ batch: [UInt8]?) throws -> AgentProtocol.BatchHead {
        let batch = try #require(batch)
        let end = try #require(batch.firstIndex(of: 10))
        return try batch[..<end].withUnsafeBytes { try AgentProtocol.BatchHead($0) }
    }

    @Test("of a file that is put off all comes back in its order, and others are sent before it")
    func order() throws {
        let bench = try AgentBench { $0.batchBytes = 8 }
        try bench.write("a1234567\na2345678\na3456789\n", to: "/var/log/a.log")
        try bench.write("b1234567\n", to: "/var/log/b.log")
        bench.scan()
        let agent = bench.agent!
        for (number, from) in [(1, 0), (2, 9), (3, 18)] {
            let sent = try head(agent.nextToSend())
            #expect(sent.number == number && sent.from == from && !sent.isAgain && sent.path == "/var/log/a.log")
        }
        #expect(agent.putOff(1) == "/var/log/a.log" && agent.heldPaths == ["/var/log/a.log"])
        let other = try head(agent.nextToSend())
        #expect(other.number == 4 && other.path == "/var/log/b.log" && !other.isAgain)
        bench.scan(after: 10)
        // 2 and 3 are not answered yet: what is sent now might be taken before they are put off.
        #expect(agent.nextToSend() == nil && agent.putOff(2) == nil)
        bench.scan(after: 10)
        #expect(agent.nextToSend() == nil && agent.putOff(3) == nil)
        #expect(agent.acknowledged(.init(number: 4)) == 1)
        bench.scan()
        for (number, from) in [(5, 0), (6, 9), (7, 18)] {
            let sent = try head(agent.nextToSend())
            #expect(sent.number == number && sent.from == from && sent.isAgain == (number == 5))
        }
        #expect(agent.acknowledged(.init(number: 7)) == 3 && agent.heldPaths.isEmpty && bench.isBalanced)
        #expect(agent.backlog == 0)
    }

    @Test("the delay doubles while nothing is taken, and a new connection knows nothing of the old one's batches")
    func delays() throws {
        let bench = try AgentBench()
        try bench.write("a\n")
        bench.scan()
        let agent = bench.agent!
        var waits: [Int] = []
        for _ in 0..<7 {
            var seconds = 0
            var sent = agent.nextToSend()
            while sent == nil, seconds < 100 {
                bench.scan()
                seconds += 1
                sent = agent.nextToSend()
            }
            waits.append(seconds)
            _ = agent.putOff(try head(sent).number)
        }
        #expect(waits == [0, 1, 2, 4, 8, 16, 30])
        bench.disconnect()
        bench.scan(after: 31)
        #expect(try head(agent.nextToSend()).number == 1)
        #expect(agent.acknowledged(.init(number: 1)) == 1)
    }

    @Test("one file with too much, or with too many streams, halts no other; all of it arrives, once, through kills")
    func otherFiles() throws {
        for seed in UInt64(1)...(isLong ? 40 : 5) {
            let world = memoryWorld(seed: seed)
            var random = SeededRandom(seed: seed)
            var settings = LogCollectorHost.Settings()
            settings.limits.streamBytesPerSecond = 1000
            settings.limits.streamBurstBytes = 3000
            func collector() throws -> LogCollectorHost {
                let host = LogCollectorHost(node: world.node("logs"), settings: settings)
                try host.start()
                return host
            }
            func agent() throws -> LogAgentHost {
                var settings = LogAgentHost.Settings()
                settings.collector = HostPort(host: "logs", port: 5140)
                settings.agent.patterns = ["/var/log/*.log"]
                settings.agent.readsFromStart = true
                settings.agent.batchBytes = 600
                settings.agent.memoryBytes = 8000
                let host = LogAgentHost(node: world.node("web"), settings: settings)
                try host.start()
                return host
            }
            let disk = NodeDisk(base: world.disk, owner: .lab)
            try disk.makeDirectory("/var/log")
            var written: [String] = []
            func write(_ name: String, _ lines: [String]) throws {
                written += lines
                let file = try disk.open("/var/log/\(name).log", [.write, .create])
                try file.write(Array(lines.map { $0 + "\n" }.joined().utf8), at: file.size)
            }
            var host = try collector()
            var shipper = try agent()
            let many = (0..<200).map {
                "{\"service\":\"much\",\"n\":\($0),\"x\":\"\(String(repeating: "x", count: 60))\"}"
            }
            try write("a", many)
            world.pass(.seconds(2))
            try write("b", ["{\"service\":\"other\",\"msg\":\"important\"}"])
            world.pass(.seconds(4))
            func stored(_ service: String) throws -> [String] {
                let store = try #require(host.store)
                var statistics = LogStatistics()
                let chunks = try store.select(
                    LogSelection([.equal("service", service)], from: .min, through: .max), &statistics)
                var merge = LogMerge(store, chunks, .forward, from: .min, through: .max)
                var lines: [String] = []
                while let (block, index) = try merge.next(&statistics) { lines.append(block.line(index)) }
                return lines
            }
            #expect(try stored("other").count == 1 && stored("much").count < 200)
            let said = "The collector takes no more of /var/log/a.log for now: Per stream rate limit exceeded"
            #expect(world.journal.text.ranges(of: said).count == 1)
            #expect(shipper.complaints.contains { $0.contains("/var/log/a.log") })
            for _ in 0..<6 {
                switch random.below(4) {
                case 0:
                    host.node.end(.killed)
                    host = try collector()
                case 1:
                    shipper.node.end(.killed)
                    shipper = try agent()
                case 2: world.inject(.block(partition: false), from: "web", to: "logs", both: true, for: .seconds(2))
                default: break
                }
                try write("b", ["{\"service\":\"other\",\"n\":\(written.count)}"])
                try write("a", ["{\"service\":\"much\",\"m\":\(written.count)}"])
                world.pass(.milliseconds(random.below(4000)))
                #expect(shipper.agent?.ledger.isBalanced == true)
            }
            world.pass(.seconds(300))
            let found = try stored("much") + stored("other")
            #expect(found.sorted() == written.sorted(), "seed \(seed): \(found.count) of \(written.count)")
            #expect(shipper.agent?.backlog == 0 && shipper.agent?.ledger.isBalanced == true)
        }
    }
}
