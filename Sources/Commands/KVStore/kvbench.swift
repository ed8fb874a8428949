import CommandKit
import CommandRedis
import CommandServices
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

extension KVStoreCommands {
    /// `kv-bench --writes 100000 --key-size 16 --value-size 256`
    static var kvBench: Command {
        let count = CommandDescription.Value.integer(0...10_000_000)
        let description = CommandDescription(
            "kv-bench", "writes and reads a key-value store with many clients, and measures",
            usage: "[--writes N] [--reads N] [FLAGS]",
            flags: [
                .init("writes", nil, count, "how many SETs (100000)"),
                .init("reads", nil, count, "how many GETs after them (0)"),
                .init("key-size", nil, .integer(4...1024), "bytes of a key (16)"),
                .init("value-size", nil, .integer(1...(1 << 20)), "bytes of a value (256)"),
                .init("clients", "c", .integer(1...5000), "connections (50)"),
                .init("pipeline", "P", .integer(1...10_000), "requests a connection has under way (1)"),
                .init("keys", nil, .integer(1...100_000_000), "different keys (as many as writes; 100000 without any)"),
                .init("sequential", nil, "keys in order instead of by chance"),
                .init("seed", nil, .integer(0...Int.max), "where chance begins (1)"),
            ] + KVStoreCommands.addressFlags + [CommonFlags.json],
            examples: [
                "kv-bench --writes 100000 --key-size 16 --value-size 256", "kv-bench --writes 0 --reads 10000",
                "kv-bench --clients 1 --writes 1000 --json",
            ],
            group: .clients,
            details: """
                Times are the lab's: on a simulated disk and network they are what those are
                said to cost; in real time they are real. Latencies are in the JSON.
                Keys are drawn by chance, some of them twice and some never; the same seed draws
                the same ones again, and --sequential takes each once.
                Where a node of a cluster says MOVED, the node that has the key is asked: both
                ways are in the figures, and how many there were stands beside them. If a node
                goes, the figures so far are shown, and the status is 1.
                """)
        return Command(description) { invocation in
            .running(KVBench(invocation.process, try KVBench.Settings(invocation)))
        }
    }
}

/// Real clients over the network: each has a number of requests under way, and sends the next with each reply.
final class KVBench: Program {
    struct Settings {
        let address: RedisAddress
        let writes: Int
        let reads: Int
        let keyByteCount: Int
        let valueByteCount: Int
        let clients: Int
        let pipeline: Int
        let keys: Int
        let isSequential: Bool
        let seed: UInt64
        let wantsJSON: Bool

        private static let defaultCount = 100_000

        init(_ invocation: Invocation) throws {
            let arguments = invocation.arguments
            address = try RedisAddress(invocation, port: 6379, server: "lsm-kv")
            writes = arguments.integer("writes") ?? Self.defaultCount
            reads = arguments.integer("reads") ?? 0
            keyByteCount = arguments.integer("key-size") ?? 16
            valueByteCount = arguments.integer("value-size") ?? 256
            clients = arguments.integer("clients") ?? 50
            pipeline = arguments.integer("pipeline") ?? 1
            keys = max(1, arguments.integer("keys") ?? (writes > 0 ? writes : Self.defaultCount))
            isSequential = arguments.has("sequential")
            seed = UInt64(arguments.integer("seed") ?? 1)
            wantsJSON = arguments.wantsJSON
        }
    }

    private struct Phase {
        let isWriting: Bool
        let count: Int
        var sent = 0
        var done = 0
        var missing = 0
        /// Requests that another node had to be asked.
        var moved = 0
        let startedAt: LabTime
        /// Microseconds, of at most a million requests.
        var latencies: [Int32] = []
    }

    private struct OtherNode: Hashable {
        let client: Int
        let target: HostPort
    }

    /// Two nodes that send one to one another would do so for ever.
    private static let redirectionLimit = 5
    private let process: Process
    private let settings: Settings
    private var random: SeededRandom
    private var connections: [RESPClientConnection] = []
    /// To the other nodes of a cluster, by client and node.
    private var others: [OtherNode: RESPClientConnection] = [:]
    private var openCount = 0
    private var phase: Phase?
    private var results: [View.Field] = []
    private let values: [UInt8]
    private var request: [UInt8] = []

    init(_ process: Process, _ settings: Settings) {
        self.process = process
        self.settings = settings
        random = SeededRandom(seed: settings.seed)
        // Letters by chance; a value is a piece of them.
        values = (0..<settings.valueByteCount + 4096).map { [generator = random] index in
            var one = generator.fork("\(index / 8)")
            return 97 + UInt8(truncatingIfNeeded: one.next() >> UInt64(index % 8 * 8)) % 26
        }
    }

    func start() {
        for _ in 0..<settings.clients {
            let connection = RESPClientConnection()
            connection.onOpen = { [self] in opened() }
            connection.onEnd = { [self] failure in fail(settings.address.complaint(failure, connection)) }
            do throws(NetworkError) {
                try connection.connect(
                    from: process.node, to: settings.address.destination, security: settings.address.security)
            } catch {
                return fail("\(error)")
            }
            connections.append(connection)
        }
    }

    private func opened() {
        openCount += 1
        if openCount == settings.clients { begin(isWriting: true, settings.writes) }
    }

    private func begin(isWriting: Bool, _ count: Int) {
        if count == 0 { return isWriting ? begin(isWriting: false, settings.reads) : finish() }
        phase = Phase(isWriting: isWriting, count: count, startedAt: process.node.world.now)
        for client in connections.indices { for _ in 0..<settings.pipeline { sendNext(client) } }
    }

    private func sendNext(_ client: Int) {
        guard var current = phase, current.sent < current.count else { return }
        let number = settings.isSequential ? current.sent % settings.keys : random.below(settings.keys)
        current.sent += 1
        phase = current
        compose(number, isWriting: current.isWriting)
        send(Request(client: client, number: number, isWriting: current.isWriting, sentAt: process.node.world.now))
    }

    /// One request on its way, perhaps from node to node.
    private struct Request {
        let client: Int
        let number: Int
        let isWriting: Bool
        let sentAt: LabTime
        var redirections = 0
    }

    /// Sends what was composed last.
    private func send(_ one: Request, to connection: RESPClientConnection? = nil) {
        (connection ?? connections[one.client]).send(encoded: request) { [self] result in
            guard case .success(let reply) = result else { return }
            received(reply, one)
        }
    }

    /// Asks the node that has the key.
    private func redirect(_ one: Request, to target: HostPort, isAsking: Bool) {
        guard phase != nil else { return }
        var one = one
        one.redirections += 1
        phase!.moved += 1
        let place = OtherNode(client: one.client, target: target)
        let connection: RESPClientConnection
        if let known = others[place] {
            connection = known
        } else {
            connection = RESPClientConnection()
            connection.onEnd = { [self] failure in fail("\(target): \(failure)") }
            do throws(NetworkError) {
                try connection.connect(from: process.node, to: target, security: settings.address.security)
            } catch {
                return fail("\(error)")
            }
            others[place] = connection
        }
        if isAsking { connection.send(["ASKING"]) { _ in } }
        compose(one.number, isWriting: one.isWriting)
        send(one, to: connection)
    }

    private func compose(_ number: Int, isWriting: Bool) {
        request.removeAll(keepingCapacity: true)
        request.append(utf8: isWriting ? "*3\r\n$3\r\nSET\r\n$" : "*2\r\n$3\r\nGET\r\n$")
        request.append(decimal: settings.keyByteCount)
        request.append(utf8: "\r\n")
        // `key:` and as many digits as there is room for; short keys have the number's last digits.
        let name = settings.keyByteCount > 12 ? "key:" : ""
        let digits = Array(String(number).utf8.suffix(settings.keyByteCount - name.utf8.count))
        request.append(utf8: name)
        for _ in 0..<settings.keyByteCount - name.utf8.count - digits.count { request.append(48) }
        request.append(contentsOf: digits)
        request.append(utf8: "\r\n")
        guard isWriting else { return }
        request.append(utf8: "$")
        request.append(decimal: settings.valueByteCount)
        request.append(utf8: "\r\n")
        let start = number % 4096
        request.append(contentsOf: values[start..<start + settings.valueByteCount])
        request.append(utf8: "\r\n")
    }

    private func received(_ reply: RESPValue, _ one: Request) {
        if case .error(let text) = reply {
            if let (isAsking, target) = RedisRedirection.parse(text), one.redirections < Self.redirectionLimit {
                return redirect(one, to: target, isAsking: isAsking)
            }
            return fail("the server answered: \(text)")
        }
        guard phase != nil else { return }
        phase!.done += 1
        if reply == .null { phase!.missing += 1 }
        if phase!.latencies.count < 1_000_000 {
            phase!.latencies.append(Int32(clamping: (process.node.world.now - one.sentAt).nanoseconds / 1000))
        }
        if phase!.done == phase!.count { endPhase() } else { sendNext(one.client) }
    }

    private func endPhase() {
        guard let done = phase else { return }
        phase = nil
        show(done)
        if done.isWriting { begin(isWriting: false, settings.reads) } else { finish() }
    }

    /// What has been done of a phase, which may not be all.
    private func show(_ done: Phase) {
        let elapsed = process.node.world.now - done.startedAt
        let rate = elapsed.seconds > 0 ? Int((Double(done.done) / elapsed.seconds).rounded()) : done.done
        let what = done.isWriting ? "writes" : "reads"
        if settings.wantsJSON {
            let sorted = done.latencies.sorted()
            func percentile(_ share: Double) -> View.Cell {
                .integer(Int(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]))
            }
            results += [
                .init(what, key: what, .integer(done.done)),
                .init("\(what)_ms", key: "\(what)_ms", .duration(elapsed)),
                .init("\(what)_per_second", key: "\(what)_per_second", .integer(rate)),
                .init("\(what)_us_p50", key: "\(what)_us_p50", percentile(0.5)),
                .init("\(what)_us_p99", key: "\(what)_us_p99", percentile(0.99)),
            ]
            if done.moved > 0 { results.append(.init("\(what)_moved", key: "\(what)_moved", .integer(done.moved))) }
            if !done.isWriting { results.append(.init("missing", key: "missing", .integer(done.missing))) }
        } else {
            let seconds = fixedDecimal(elapsed.seconds, places: elapsed.seconds < 1 ? 3 : 1)
            let missing = done.missing > 0 ? ", \(done.missing) not found" : ""
            let moved = done.moved > 0 ? ", \(done.moved) moved" : ""
            process.print("Benchmark: \(done.done) \(what) in \(seconds)s (\(rate) \(what)/sec\(missing)\(moved))")
        }
    }

    private func finish() {
        for connection in connections { connection.close() }
        for connection in others.values { connection.close() }
        connections = []
        others = [:]
        process.noteMeasuredTime()
        results.append(.init("time", key: "time", .text(process.measuredTime)))
        if settings.wantsJSON { process.output.write(process.text(of: View(.record(results)), asJSON: true)) }
        if process.isRunning { process.exit(0) }
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        let unfinished = phase
        phase = nil
        if let unfinished, unfinished.done > 0 {
            show(unfinished)
            if settings.wantsJSON { process.output.write(process.text(of: View(.record(results)), asJSON: true)) }
        }
        process.complain(text)
        process.exit(1)
    }
}
