import CommandKit
import CommandServices
import ConnectionPoolEngine
import KernelStructures
import ShellSession

extension ConnectionPoolCommands {
    /// `connpool suspend`
    static var connpool: Command {
        let verbs = ["show", "suspend", "resume", "evict", "metrics", "what-if"]
        let description = CommandDescription(
            "connpool", "looks at a running connection pool, or changes it",
            usage: "[NODE] VERB [ARGUMENT…] [--json]", flags: [CommonFlags.json],
            arguments: .init([.word(verbs), .word(verbs)], 1...100),
            examples: [
                "connpool show", "connpool suspend", "connpool pool-test resume", "connpool evict 3",
                "connpool what-if 2 5 20",
            ], group: .components,
            details: """
                show            its connections: state, age, uses, when each has to go
                suspend         lends nothing to whoever asks from now on; they wait
                resume          serves them
                evict [NUMBER]  closes all connections, or one: idle ones now, others when
                                they come back
                metrics         Prometheus text, by HikariCP's names
                what-if SIZE…   what the demand seen so far would have met in a pool of
                                another size, replayed in virtual time
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            let isNamed = !verbs.contains(words[0])
            let name = isNamed ? words.removeFirst() : nil
            guard let verb = words.first else {
                throw UsageError("connpool: what is \(name ?? "it") to do? \(verbs.joined(separator: ", "))")
            }
            guard verbs.contains(verb) else {
                throw UsageError("connpool: unknown verb '\(verb)'\(didYouMean(verb, among: verbs))")
            }
            words.removeFirst()
            let test = try invocation.session.pool(named: name)
            return try operate(test, verb, words, invocation)
        }
    }

    private static func operate(_ test: PoolTest, _ verb: String, _ words: [String], _ invocation: Invocation) throws
        -> Outcome
    {
        if !["evict", "what-if"].contains(verb), let extra = words.first {
            throw UsageError("connpool: '\(extra)' is one word too many after \(verb)")
        }
        let now = invocation.session.world.now
        switch verb {
        case "show": return .view(test.connectionsView(now: now))
        case "metrics":
            return .view(
                View(
                    .text(
                        HikariMetrics.page(test.pool.engine),
                        json: .string(
                            HikariMetrics.page(test.pool.engine)))))
        case "suspend":
            guard test.pool.operate({ $0.suspend(now: $1) }) else { throw CommandFailure("it is suspended already") }
        case "resume":
            guard test.pool.operate({ $0.resume(now: $1) }) else { throw CommandFailure("it is not suspended") }
        case "evict": try evict(test, words)
        default: return .view(try whatIf(test, words))
        }
        return .success
    }

    private static func evict(_ test: PoolTest, _ words: [String]) throws {
        guard let word = words.first else {
            _ = test.pool.operate { $0.evictAll(now: $1) }
            return
        }
        guard let number = Int(word), words.count == 1 else {
            throw UsageError("connpool: evict takes the number of one connection, or nothing; see connpool show")
        }
        guard test.pool.operate({ $0.evict(number: number, now: $1) }) else {
            throw CommandFailure("it has no connection \(number); see connpool show")
        }
    }

    private static func whatIf(_ test: PoolTest, _ words: [String]) throws -> View {
        let engine = test.pool.engine
        let sizes = try (words.isEmpty ? ["\(engine.configuration.maximumPoolSize)"] : words).map { word -> Int in
            guard let size = Int(word), (1...1000).contains(size) else {
                throw UsageError("connpool: what-if: '\(word)' is not a size of 1 to 1000")
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
                        .init("SIZE", right: true), .init("OPENED", right: true),
                        .init("WAIT MEAN", key: "wait_mean_ms", right: true),
                        .init("P99", key: "wait_p99_ms", right: true), .init("MAX", key: "wait_max_ms", right: true),
                        .init("TIMED OUT", right: true), .init("TOOK", key: "took_ms", right: true),
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
                        .init("CONN", right: true), .init("STATE"), .init("AGE", key: "age_ms", right: true),
                        .init("IDLE", key: "idle_ms", right: true), .init("USES", right: true),
                        .init("HAS TO GO IN", key: "has_to_go_in_ms", right: true),
                    ], rows: rows, whenEmpty: "no connections")))
    }
}
