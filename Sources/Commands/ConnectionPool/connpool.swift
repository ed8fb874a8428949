import CommandKit
import CommandServices
import ConnectionPoolEngine
import KernelStructures
import ShellSession

extension ConnectionPoolCommands {
    /// `connpool suspend`
    static var connpool: Command {
        let description = CommandDescription(
            "connpool", "looks at a running connection pool, or changes it", operates: true,
            subcommands: [
                .init(
                    "show", "its connections: state, age, uses, when each has to go", flags: [CommonFlags.json],
                    examples: ["connpool show"]),
                .init(
                    "suspend", "lends nothing to whoever asks from now on; they wait", examples: ["connpool suspend"]),
                .init("resume", "serves those who wait", examples: ["connpool pool-test resume"]),
                .init(
                    "evict", "closes all connections, or one", usage: "[NUMBER]", arguments: .init([.text], 0...1),
                    examples: ["connpool evict 3"], details: "Idle ones now, others when they come back."),
                .init(
                    "metrics", "Prometheus text, by HikariCP's names", flags: [CommonFlags.json],
                    examples: ["connpool metrics"]),
                .init(
                    "what-if", "the demand seen so far in a pool of another size", usage: "[SIZE…]",
                    flags: [CommonFlags.json], arguments: .init([.text], 0...100),
                    examples: ["connpool what-if 2 5 20"], details: "Replayed in virtual time."),
            ], group: .components)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let test = try invocation.session.pool(named: arguments.target)
            let now = invocation.session.world.now
            switch arguments.verb {
            case "show": return .view(test.connectionsView(now: now))
            case "metrics":
                let page = HikariMetrics.page(test.pool.engine)
                return .view(View(.text(page, json: .string(page))))
            case "suspend":
                guard test.pool.operate({ $0.suspend(now: $1) }) else {
                    throw CommandFailure("it is suspended already")
                }
            case "resume":
                guard test.pool.operate({ $0.resume(now: $1) }) else { throw CommandFailure("it is not suspended") }
            case "evict": try evict(test, arguments.arguments)
            default: return .view(try whatIf(test, arguments.arguments))
            }
            return .success
        }
    }

    private static func evict(_ test: PoolTest, _ words: [String]) throws {
        guard let word = words.first else {
            _ = test.pool.operate { $0.evictAll(now: $1) }
            return
        }
        guard let number = Int(word) else {
            throw UsageError("connpool evict: '\(word)' is not the number of a connection; see connpool show")
        }
        guard test.pool.operate({ $0.evict(number: number, now: $1) }) else {
            throw CommandFailure("it has no connection \(number); see connpool show")
        }
    }

    private static func whatIf(_ test: PoolTest, _ words: [String]) throws -> View {
        let engine = test.pool.engine
        let sizes = try (words.isEmpty ? ["\(engine.configuration.maximumPoolSize)"] : words).map { word -> Int in
            guard let size = Int(word), (1...1000).contains(size) else {
                throw UsageError("connpool what-if: '\(word)' is not a size of 1 to 1000")
            }
            return size
        }
        guard let recording = engine.recording, recording.count > 0 else {
            throw CommandFailure("nothing was borrowed and returned yet, so there is no demand to replay")
        }
        let creation = engine.metrics.creation
        let connectTime = LabDuration.milliseconds(creation.count == 0 ? 0 : creation.sum / creation.count)
        let rows = sizes.map { size -> [View.Cell] in
            var configuration = engine.configuration
            configuration.maximumPoolSize = size
            configuration.minimumIdle = min(configuration.effectiveMinimumIdle, size)
            let result = PoolSimulation.replay(recording, configuration, connectTime: connectTime)
            return [
                .integer(size), .integer(result.created), .duration(result.waits.mean),
                .duration(result.waits.percentile(0.99)), .duration(result.waits.maximum), .integer(result.timedOut),
                .duration(result.duration),
            ]
        }
        return View(
            .text(
                "\(counted(recording.count, "borrow")) replayed; opening takes \(connectTime)\n",
                json: .object([("borrows", .integer(recording.count)), ("connect_ms", .milliseconds(connectTime))])),
            .table(
                .init(
                    [
                        .init("SIZE", key: "size", right: true), .init("OPENED", key: "opened", right: true),
                        .init("WAIT MEAN", key: "wait_mean_ms", right: true),
                        .init("P99", key: "wait_p99_ms", right: true), .init("MAX", key: "wait_max_ms", right: true),
                        .init("TIMED OUT", key: "timed_out", right: true), .init("TOOK", key: "took_ms", right: true),
                    ], rows: rows, whenEmpty: "")))
    }
}

extension PoolTest {
    func connectionsView(now: LabTime) -> View {
        let rows = pool.engine.listings.map { listing -> [View.Cell] in
            [
                .integer(listing.connection.number), .text(listing.state),
                listing.openedAt.map { .duration(now - $0) } ?? .none,
                listing.state == "idle" ? listing.lastUsed.map { .duration(now - $0) } ?? .none : .none,
                .integer(listing.uses), listing.retireAt.map { .duration($0 - now) } ?? .none,
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("CONN", key: "conn", right: true), .init("STATE", key: "state"),
                        .init("AGE", key: "age_ms", right: true),
                        .init("IDLE", key: "idle_ms", right: true), .init("USES", key: "uses", right: true),
                        .init("HAS TO GO IN", key: "has_to_go_in_ms", right: true),
                    ], rows: rows, whenEmpty: "no connections")))
    }
}
