import CommandKit
import FeatureFlagsEngine
import FeatureFlagsService
import KernelJSON
import KernelStructures

extension FlagAnswer {
    /// An answer as it is shown: by `flags-cli`, by curl, and as JSON.
    var view: View {
        switch self {
        case .created(let flag):
            View(.text("Flag created: \(flag.name) (disabled by default)", json: flag.json))
        case .changed(let lines):
            View(.text(lines.joined(separator: "\n"), json: .object([("log", .array(lines.map { .string($0) }))])))
        case .flags(let flags, let environment): Self.list(flags, environment)
        case .flag(let flag, let environment, let schedule, let segments):
            Self.one(flag, environment, schedule, segments)
        case .evaluation(let explanation, let context): explanation.shortView(context)
        case .explanation(let explanation, let context): explanation.longView(context)
        case .difference(let difference, let flag, let what): difference.view(flag, what)
        case .stats(let statistics): statistics.view
        case .experiment(let experiment, let flag, let goal): experiment.view(flag, goal)
        case .audit(let entries): Self.audit(entries)
        case .stale(let flags): Self.stale(flags)
        case .environments(let names):
            View(.text(names.joined(separator: "\n"), json: .array(names.map { .string($0) })))
        case .segments(let segments): Self.segments(segments)
        case .tokens(let tokens): Self.tokens(tokens)
        case .token(let token, let secret):
            View(
                .text(
                    "Token \(token.name): \(secret)\n(shown once; only a digest is kept. flags-cli takes it as "
                        + "--token KEY, other programs send it as Authorization)",
                    json: .object([
                        ("name", .string(token.name)), ("kind", .string(token.kind.rawValue)),
                        ("secret", .string(secret)),
                    ])))
        case .recorded(let count, let outside, let dropped):
            View(
                .text(
                    counted(count, "event") + " recorded" + (dropped > 0 ? ", \(dropped) found no room" : "")
                        + (outside == 0
                            ? "" : "; \(outside) of people who are shown no variant, and take no part in it"),
                    json: .object([
                        ("recorded", .integer(count)), ("outside", .integer(outside)), ("dropped", .integer(dropped)),
                    ])))
        }
    }

    // MARK: Flags

    private static func status(_ state: FlagState) -> View.Cell {
        if state.isKilled { return .text("killed", style: .bad) }
        return state.isEnabled ? .text("on", style: .good) : .text("off", style: .faint)
    }

    private static func list(_ flags: [FlagRecord], _ environment: String) -> View {
        View(
            .table(
                .init(
                    [
                        .init("FLAG", key: "name", flexible: true), .init("KIND", key: "kind"),
                        .init("IN \(environment.uppercased())", key: "status"),
                        .init("PERCENT", key: "percent", right: true), .init("RULES", key: "rules", right: true),
                        .init("VARIANTS", key: "variants", flexible: true),
                    ],
                    rows: flags.map { flag in
                        let state = flag.state(in: environment)
                        let targeted = state.strategies.filter { !$0.constraints.isEmpty || !$0.segments.isEmpty }
                        let rules = Set(targeted.map { $0.title ?? $0.id })
                        let variants = state.variants.map(\.name)
                        return [
                            .text(flag.name), .text(flag.kind.rawValue), status(state), .integer(state.generalPercent),
                            .integer(rules.count),
                            variants.isEmpty
                                ? .none
                                : .init(variants.joined(separator: ", "), json: .array(variants.map { .string($0) })),
                        ]
                    }, whenEmpty: "no flags yet; make one: flags-cli create new-checkout-flow")))
    }

    private static func one(
        _ flag: FlagRecord, _ environment: String, _ schedule: RolloutSchedule?, _ segments: [Int: String]
    ) -> View {
        let state = flag.state(in: environment)
        var fields: [View.Field] = [
            .init("flag", key: "name", .text(flag.name)), .init("kind", key: "kind", .text(flag.kind.rawValue)),
            .init("environment", key: "environment", .text(environment)),
            .init("status", key: "status", status(state)),
            .init("created", key: "created_at", .text(flag.createdAt.description)),
            .init("last seen", key: "last_seen_at", flag.lastSeenAt.map { .text($0.description) } ?? .none),
        ]
        if !flag.description.isEmpty {
            fields.append(.init("description", key: "description", .text(flag.description)))
        }
        if !flag.dependencies.isEmpty {
            let text = flag.dependencies.map { ($0.isEnabled ? "" : "not ") + $0.feature }.joined(separator: ", ")
            fields.append(.init("depends on", key: "dependencies", .text(text)))
        }
        if let schedule {
            let next = schedule.steps[schedule.next]
            fields.append(
                .init(
                    "schedule", key: "schedule",
                    .init("\(next)% at \(schedule.nextAt), then a step every \(schedule.every)", json: schedule.json)))
        }
        var view = View(.record(fields), .table(strategies(state, segments)))
        if !state.variants.isEmpty { view.parts.append(.table(variants(state.variants))) }
        view.json = flag.json
        return view
    }

    private static func strategies(_ state: FlagState, _ segments: [Int: String]) -> View.Table {
        .init(
            [
                .init("STRATEGY", key: "name"), .init("PERCENT", key: "percent", right: true),
                .init("WHO", key: "who", flexible: true),
            ],
            rows: state.strategies.map { strategy in
                let groups = strategy.segments.map { "segment \(segments[$0] ?? "\($0), which is gone")" }
                let who = (groups + strategy.constraints.map(\.text)).joined(separator: " and ")
                return [
                    .text(strategy.name), strategy.rolloutPercent.map { .integer($0) } ?? .none,
                    .text(who.isEmpty ? "everybody" : who),
                ]
            }, whenEmpty: state.isEnabled ? "no strategies: everybody sees it" : "no strategies yet")
    }

    private static func variants(_ variants: [FlagVariantDefinition]) -> View.Table {
        let total = max(1, variants.reduce(0) { $0 + $1.weight })
        return .init(
            [
                .init("VARIANT", key: "name", flexible: true), .init("WEIGHT", key: "weight", right: true),
                .init("SHARE", key: "share", right: true), .init("PAYLOAD", key: "payload", flexible: true),
            ],
            rows: variants.map { variant in
                [
                    .text(variant.name), .integer(variant.weight), .share(Double(variant.weight) / Double(total)),
                    variant.payload.map { .init("\($0.type): \($0.value)", json: $0.json) } ?? .none,
                ]
            }, whenEmpty: "")
    }

    // MARK: Around them

    private static func audit(_ entries: [FlagAuditEntry]) -> View {
        var view = View(
            .table(
                .init(
                    [
                        .init("TIME", key: "createdAt"), .init("WHO", key: "createdBy", flexible: true),
                        .init("FLAG", key: "featureName", flexible: true),
                        .init("WHERE", key: "environment", flexible: true), .init("WHAT", key: "text", flexible: true),
                    ],
                    rows: entries.map { entry in
                        [
                            .text(LabTime(nanoseconds: entry.at.unixSeconds * 1_000_000_000).description),
                            .text(entry.who), entry.flag.map { .text($0) } ?? .none,
                            entry.environment.map { .text($0) } ?? .none, .text(entry.text),
                        ]
                    }, whenEmpty: "nothing has been changed yet")))
        view.json = .array(entries.map(\.json))
        return view
    }

    private static func stale(_ flags: [StaleFlag]) -> View {
        View(
            .table(
                .init(
                    [
                        .init("FLAG", key: "name", flexible: true), .init("KIND", key: "kind"),
                        .init("AGE", key: "age_ms", right: true), .init("WHY", key: "reason", flexible: true),
                        .init("WHAT TO DO", key: "remedy", flexible: true),
                    ],
                    rows: flags.map { flag in
                        let age = LabDuration.seconds(Int(flag.age.seconds)).rounded
                        return [
                            .text(flag.name), .text(flag.kind.rawValue), .init(age, json: .milliseconds(flag.age)),
                            .text(flag.reason), .text(flag.remedy),
                        ]
                    }, whenEmpty: "no flag has outlived its use")))
    }

    private static func segments(_ segments: [FlagSegment]) -> View {
        var view = View(
            .table(
                .init(
                    [
                        .init("ID", key: "id", right: true), .init("SEGMENT", key: "name", flexible: true),
                        .init("WHO", key: "who", flexible: true),
                    ],
                    rows: segments.map { segment in
                        let who = segment.constraints.map(\.text).joined(separator: " and ")
                        return [.integer(segment.id), .text(segment.name), .text(who.isEmpty ? "everybody" : who)]
                    }, whenEmpty: "no segments yet")))
        view.json = .array(segments.map(\.json))
        return view
    }

    private static func tokens(_ tokens: [FlagToken]) -> View {
        View(
            .table(
                .init(
                    [
                        .init("TOKEN", key: "name", flexible: true), .init("KIND", key: "kind"),
                        .init("ENVIRONMENT", key: "environment", flexible: true), .init("CREATED", key: "created_at"),
                    ],
                    rows: tokens.map { token in
                        [
                            .text(token.name), .text(token.kind.rawValue),
                            token.environment.map { .text($0) } ?? .none, .text(token.createdAt.description),
                        ]
                    }, whenEmpty: "no tokens: everybody may come")))
    }
}

extension View.Cell {
    /// A part of a whole: a percentage for people, 0…1 for programs.
    static func share(_ share: Double) -> View.Cell {
        .init(fixedDecimal(share * 100, places: 1) + "%", json: .number(share))
    }
}
