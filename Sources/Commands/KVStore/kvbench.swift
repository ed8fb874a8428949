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
                .init("keys", nil, .integer(1...100_000_000), "different keys (as many as writes)"),
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

        init(_ invocation: Invocation) throws {
            let arguments = invocation.arguments
            address = try RedisAddress(invocation, port: 6379, server: "lsm-kv")
            writes = arguments.integer("writes") ?? 100_000
            reads = arguments.integer("reads") ?? 0
            keyByteCount = arguments.integer("key-size") ?? 16
            valueByteCount = arguments.integer("value-size") ?? 256
            clients = arguments.integer("clients") ?? 50
            pipeline = arguments.integer("pipeline") ?? 1
            keys = max(1, arguments.integer("keys") ?? writes)
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
        let startedAt: LabTime
        /// Microseconds, of at most a million requests.
        var latencies: [Int32] = []
    }

    private let process: Process
    private let settings: Settings
    private var random: SeededRandom
    private var connections: [RESPClientConnection] = []
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
        for connection in connections { for _ in 0..<settings.pipeline { sendNext(connection) } }
    }

    private func sendNext(_ connection: RESPClientConnection) {
        guard var current = phase, current.sent < current.count else { return }
        let number = settings.isSequential ? current.sent % settings.keys : random.below(settings.keys)
        current.sent += 1
        phase = current
        compose(number, isWriting: current.isWriting)
        let sentAt = process.node.world.now
        connection.send(encoded: request) { [self] result in
            guard case .success(let reply) = result else { return }
            received(reply, sentAt, connection)
        }
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

    private func received(_ reply: RESPValue, _ sentAt: LabTime, _ connection: RESPClientConnection) {
        if case .error(let text) = reply { return fail("the server answered: \(text)") }
        guard phase != nil else { return }
        phase!.done += 1
        if reply == .null { phase!.missing += 1 }
        if phase!.latencies.count < 1_000_000 {
            phase!.latencies.append(Int32(clamping: (process.node.world.now - sentAt).nanoseconds / 1000))
        }
        if phase!.done == phase!.count { endPhase() } else { sendNext(connection) }
    }

    private func endPhase() {
        guard let done = phase else { return }
        phase = nil
        let elapsed = process.node.world.now - done.startedAt
        let rate = elapsed.seconds > 0 ? Int((Double(done.count) / elapsed.seconds).rounded()) : done.count
        let what = done.isWriting ? "writes" : "reads"
        if settings.wantsJSON {
            let sorted = done.latencies.sorted()
            func percentile(_ share: Double) -> View.Cell {
                .integer(Int(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]))
            }
            results += [
                .init(what, key: what, .integer(done.count)),
                .init("\(what)_ms", key: "\(what)_ms", .duration(elapsed)),
                .init("\(what)_per_second", key: "\(what)_per_second", .integer(rate)),
                .init("\(what)_us_p50", key: "\(what)_us_p50", percentile(0.5)),
                .init("\(what)_us_p99", key: "\(what)_us_p99", percentile(0.99)),
            ]
            if !done.isWriting { results.append(.init("missing", key: "missing", .integer(done.missing))) }
        } else {
            let seconds = fixedDecimal(elapsed.seconds, places: elapsed.seconds < 1 ? 3 : 1)
            let missing = done.missing > 0 ? ", \(done.missing) not found" : ""
            process.print("Benchmark: \(done.count) \(what) in \(seconds)s (\(rate) \(what)/sec\(missing))")
        }
        if done.isWriting { begin(isWriting: false, settings.reads) } else { finish() }
    }

    private func finish() {
        for connection in connections { connection.close() }
        connections = []
        process.noteMeasuredTime()
        results.append(.init("time", key: "time", .text(process.measuredTime)))
        if settings.wantsJSON { process.output.write(process.text(of: View(.record(results)), asJSON: true)) }
        if process.isRunning { process.exit(0) }
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        phase = nil
        process.complain(text)
        process.exit(1)
    }
}
