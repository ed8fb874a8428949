import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import LockCheckEngine
import LockCheckService
import ShellSession

extension LockCommands {
    /// `lock-check --worlds 1000`
    static var lockCheck: Command {
        let description = CommandDescription(
            "lock-check", "lock servers in many worlds where everything fails, and what clients saw",
            usage: "[--seed N] [--worlds N] [FLAGS]",
            flags: [
                .init(
                    "seed", nil, .integer(0...Int.max), "this world alone, moment by moment; or the first of --worlds"),
                .init("worlds", nil, .integer(1...1_000_000), "how many, each from a seed of its own (100)"),
                .init("clients", nil, .integer(2...CheckedWorld.clientLimit), "clients in each world (6)"),
                .init("served", nil, "the servers themselves, over HTTP, and not just what decides in them"),
                .init("messages", nil, "with --seed, also what the members tell one another"), CommonFlags.json,
            ],
            examples: [
                "lock-check", "lock-check --worlds 1000", "lock-check --seed 17", "lock-check --served --worlds 50",
            ], group: .clients,
            details: """
                In each world three to five members lose power, are killed, paused, cut off,
                split and slowed down; their clocks differ and their disks fail; members come
                and go. Half of the clients read and write registers, the others take locks,
                sleep and die with them. Then it is judged whether one register at a time can
                explain all answers (linearizability), and whether a lock ever had two holders
                or a lease ended early. A seed is always the same world, here and in the tests.
                With --served each member is a whole lock server with its log, its connections
                and its gateway, and clients speak HTTP with it; that takes longer.
                Nothing of this lab takes part in it. Status 1: something was found.
                """)
        return Command(description) { invocation in try LockCheck(invocation).run() }
    }
}

/// `lock-check` at work.
private struct LockCheck {
    private let invocation: Invocation
    private let firstSeed: UInt64
    private let count: Int
    private let showsMoments: Bool
    private var settings = CheckedWorld.Settings()
    private let kind: any StudiedWorld.Type

    init(_ invocation: Invocation) throws {
        self.invocation = invocation
        let arguments = invocation.arguments
        let seed = arguments.integer("seed")
        let worlds = arguments.integer("worlds")
        showsMoments = seed != nil && worlds == nil
        if arguments.has("messages"), !showsMoments {
            throw UsageError("lock-check: --messages shows one world: lock-check --seed N --messages")
        }
        let isServed = arguments.has("served")
        if isServed, arguments.has("messages") {
            throw UsageError("lock-check: --messages are those of worlds without --served")
        }
        kind = isServed ? ServedWorld.self : CheckedWorld.self
        firstSeed = UInt64(seed ?? 0)
        count = showsMoments ? 1 : worlds ?? 100
        settings.clients = arguments.integer("clients") ?? settings.clients
        settings.keepsMoments = showsMoments
        settings.keepsMessages = arguments.has("messages")
    }

    func run() throws -> Outcome {
        if showsMoments { return showOne() }
        var study = WorldStudy(settings, of: kind)
        for offset in 0..<count {
            if invocation.session.isInterrupted { return .done(130) }
            study.play(firstSeed &+ UInt64(offset))
        }
        var view = View(Self.table(study.tally))
        let isGood = study.findings.isEmpty
        var lines = study.findings.map { "seed \($0.seed): \($0.failures.joined(separator: "; "))" }
        lines.append(
            isGood
                ? "\(counted(count, "world")): every answer is explained, no lock had two holders, no lease ended early"
                : "to see one of them, moment by moment: lock-check --seed \(study.findings[0].seed)\(clientWords)")
        view.parts.append(.text(lines.joined(separator: "\n"), json: .null))
        view.json = .object([
            ("worlds", .integer(count)), ("first_seed", .integer(Int(clamping: firstSeed))), ("holds", .bool(isGood)),
            (
                "findings",
                .array(
                    study.findings.map {
                        .object([
                            ("seed", .integer(Int(clamping: $0.seed))),
                            ("failures", .array($0.failures.map { .string($0) })),
                        ])
                    })
            ),
            ("counts", Self.counts(study.tally)),
        ])
        return show(view, isGood)
    }

    /// The same kind of world with the same clients is the same world.
    private var clientWords: String {
        (kind == ServedWorld.self ? " --served" : "")
            + (settings.clients == CheckedWorld.Settings().clients ? "" : " --clients \(settings.clients)")
    }

    private func showOne() -> Outcome {
        let world = kind.init(seed: firstSeed, settings)
        let failures = world.play()
        let rows = world.moments.map { moment -> [View.Cell] in
            [
                View.Cell(CheckedWorld.clock(moment.microseconds), json: .integer(moment.microseconds)),
                .text(moment.subject.description),
                .text(moment.text, style: moment.text.hasPrefix("WRONG") ? .bad : .plain),
            ]
        }
        let timeline = View.Table(
            [
                .init("TIME", key: "microseconds", right: true), .init("WHO", key: "subject"),
                .init("WHAT", key: "text"),
            ], rows: rows, whenEmpty: "nothing happened")
        var view = View(.table(timeline), Self.table(world.tally))
        let verdict =
            failures.isEmpty
            ? "seed \(firstSeed): every answer is explained, no lock had two holders, no lease ended early"
            : "seed \(firstSeed): \(failures.joined(separator: "; "))"
        view.parts.append(.text(verdict, json: .null))
        view.json = .object([
            ("seed", .integer(Int(clamping: firstSeed))), ("holds", .bool(failures.isEmpty)),
            ("failures", .array(failures.map { .string($0) })), ("counts", Self.counts(world.tally)),
            (
                "timeline",
                .array(
                    world.moments.map {
                        .object([
                            ("microseconds", .integer($0.microseconds)), ("subject", .string("\($0.subject)")),
                            ("text", .string($0.text)),
                        ])
                    })
            ),
        ])
        return show(view, failures.isEmpty)
    }

    private func show(_ view: View, _ isGood: Bool) -> Outcome {
        if isGood { return .view(view) }
        invocation.process.output.write(invocation.process.text(of: view, for: invocation.arguments))
        return .done(1)
    }

    private static func table(_ tally: WorldTally) -> View.Content {
        .table(
            .init(
                [.init("WHAT", key: "what", flexible: true), .init("HOW OFTEN", key: "count", right: true)],
                rows: WorldTally.Kind.allCases.filter { tally[$0] > 0 }.map { [.text($0.words), .integer(tally[$0])] },
                whenEmpty: "nothing happened"))
    }

    private static func counts(_ tally: WorldTally) -> JSONValue {
        .object(WorldTally.Kind.allCases.map { ($0.key, .integer(tally[$0])) })
    }
}
