import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var log: Command {
        let description = CommandDescription(
            "log", "which log lines are shown", usage: "[level LEVEL [TAG…] | mute TAG… | only TAG… | all] [--json]",
            flags: [CommonFlags.json], arguments: .init([.word(["level", "mute", "only", "all"]), .tag], 0...100),
            examples: ["log", "log level debug LB", "log mute LB", "log only LB", "log all"], group: .session,
            details: "Levels: debug, info, warning, error. The journal keeps every line, shown or not.")
        return Command(description) { invocation in
            let session = invocation.session
            var words = invocation.arguments.arguments[...]
            guard let verb = words.popFirst() else { return .view(state(session)) }
            switch verb {
            case "all" where words.isEmpty: session.logFilter = LogFilter()
            case "level":
                guard let word = words.popFirst() else { throw UsageError("log: which level? log level debug") }
                guard let level = LogLevel.allCases.first(where: { "\($0)" == word.lowercased() }) else {
                    let names = LogLevel.allCases.map { "\($0)" }
                    throw UsageError(
                        "log: '\(word)' is not a level; \(names.joined(separator: ", "))\(didYouMean(word, among: names))"
                    )
                }
                if words.isEmpty { session.logFilter.defaultLevel = level }
                for tag in try tags(words, session) { session.logFilter.levels[tag] = level }
            case "mute":
                if words.isEmpty { throw UsageError("log: mute which tag? log mute LB") }
                session.logFilter.muted.formUnion(try tags(words, session))
            case "only":
                if words.isEmpty {
                    throw UsageError("log: only which tag? log only LB; log all shows everything again")
                }
                session.logFilter.only = Set(try tags(words, session))
            default:
                throw UsageError(
                    "log: '\(verb)' is none of level, mute, only, all\(didYouMean(verb, among: ["level", "mute", "only", "all"]))"
                )
            }
            return .success
        }
    }

    private static func tags(_ words: ArraySlice<String>, _ session: Session) throws -> [String] {
        try words.map { word in
            let tag = word.uppercased()
            guard session.commands.tags.contains(tag) else {
                throw UsageError("log: no component logs as '\(word)'\(didYouMean(tag, among: session.commands.tags))")
            }
            return tag
        }
    }

    private static func state(_ session: Session) -> View {
        let filter = session.logFilter
        let rows = session.commands.tags.map { tag -> [View.Cell] in
            let isShown = !filter.muted.contains(tag) && (filter.only.isEmpty || filter.only.contains(tag))
            return [
                .text(tag), .text(isShown ? "shown" : "muted"), .text("\(filter.levels[tag] ?? filter.defaultLevel)"),
            ]
        }
        return View(
            .table(
                .init(
                    [.init("TAG", key: "tag"), .init("STATE", key: "state"), .init("LEVEL", key: "level")], rows: rows,
                    whenEmpty: "no tags")))
    }
}
