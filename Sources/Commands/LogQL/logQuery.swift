import CommandKit
import CommandServices
import KernelStructures
import LogQLEngine
import ShellSession

extension LogQLCommands {
    static let defaultPort: UInt16 = 5141

    /// `log-query 'level:warning AND service:payments' --from 1h`
    static var logQuery: Command {
        Command(description) { invocation in
            let arguments = invocation.arguments
            let asked = try question(arguments, now: invocation.process.node.wallClock)
            let server = arguments.endpoint("server") ?? HostPort(host: "localhost", port: defaultPort)
            if arguments.has("follow") {
                return .running(LogFollower(invocation.process, asked, server: server, wantsJSON: arguments.wantsJSON))
            }
            return .running(
                asked.asked(
                    by: invocation.process, at: server, wantsJSON: arguments.wantsJSON,
                    timeout: arguments.duration("timeout") ?? .seconds(60)))
        }
    }

    private typealias Flag = CommandDescription.Flag

    private static var description: CommandDescription {
        let flags: [Flag] = [
            Flag("server", "s", .endpoint, "where the collector is (localhost:\(defaultPort))"),
            Flag("from", nil, .text("TIME"), "since when: 1h ago, or RFC 3339 (1h)"),
            Flag("to", nil, .text("TIME"), "until when, likewise (now)"),
            Flag("limit", "n", .integer(1...5_000), "lines; the newest are shown (1000)"),
            Flag("group-by", nil, .text("FIELD"), "counts lines by the value of a field"),
            Flag("count", nil, "counts lines, all of them or by --group-by"),
            Flag("step", nil, .duration(), "time between two values of a metric query; without it, one value"),
            Flag("follow", "f", "goes on with what comes in"),
            Flag("explain", nil, "which chunks were read, and why the others were not"),
            Flag("stats", nil, "what the query has cost, behind its result"),
            Flag("labels", nil, "whole lines with all their labels"),
            Flag("timeout", nil, .duration(), "how long to wait for the answer (60s)"), CommonFlags.json,
        ]
        return CommandDescription(
            "log-query", "searches logs", usage: "[patterns|stats] QUERY [--from TIME]", flags: flags,
            arguments: .init([.word(["patterns", "stats"]), .text], 1...2),
            examples: [
                "log-query 'level:warning AND service:payments' --from 1h",
                "log-query 'level:error' --from 24h --group-by service --count",
                "log-query '{service=\"payment\"} |= \"timeout\" | json | took > 2s' --explain",
                "log-query 'sum by (level) (rate({service=\"payment\"}[5m]))'",
                "log-query patterns 'service:payment'", "log-query timeout --follow",
            ], group: .clients,
            details: """
                A query is a search or LogQL. In a search, words stand for words of the line in
                any case, field:value for a label or a member of a JSON or logfmt line; AND, OR,
                NOT, parentheses, "phrases", wor*, code:>=500, code:[500 TO 599], code:* for
                lines that have one. A trace is found by the digits that trace shows. LogQL
                begins with a selector or a function. The server may be a real Loki as well; it
                knows LogQL only.

                patterns shows what lines have in common, stats how much there is.
                """)
    }

    private static func question(_ arguments: ParsedArguments, now: LabTime) throws(UsageError) -> LogQuestion {
        let words = arguments.arguments
        var verb = ""
        var text = words[0]
        if words.count == 2 {
            guard text == "patterns" || text == "stats" else {
                throw UsageError("log-query: '\(words[1])' is one word too many; put the query in quotation marks")
            }
            verb = text
            text = words[1]
        } else if text == "patterns" || text == "stats" {
            throw UsageError(
                "log-query: \(text) of what? Write a query behind it; to search for the word, write '\"\(text)\"'")
        }
        let expression: LogQLExpression
        do throws(LogQLError) {
            expression = try LogQLExpression(anyOf: text)
        } catch {
            throw UsageError("log-query: \(error.description)")
        }
        let end = try moment(arguments, "to", now)
        let through = end ?? now
        let from = try moment(arguments, "from", now) ?? through - .seconds(3600)
        guard from < through else { throw UsageError("log-query: --from is not before --to") }
        var question = LogQuestion(expression: expression, text: text, from: from, through: through)
        question.isOpenEnded = end == nil || end == now
        question.limit = arguments.integer("limit") ?? 1_000
        question.step = arguments.duration("step")
        question.explains = arguments.has("explain")
        question.showsStatistics = arguments.has("stats")
        question.showsLabels = arguments.has("labels")
        try setKind(&question, verb, arguments)
        return question
    }

    private static func setKind(
        _ question: inout LogQuestion, _ verb: String, _ arguments: ParsedArguments
    ) throws(UsageError) {
        let field = arguments.text("group-by")
        if let field {
            guard LogQuestion.isField(field) else {
                throw UsageError("log-query: --group-by: '\(field)' is no field: letters, digits and _")
            }
        }
        let counts = arguments.has("count") || field != nil
        guard !question.expression.isMetric || !counts && verb.isEmpty && !arguments.has("follow") else {
            throw UsageError(
                "log-query: a metric query gives numbers; it cannot be counted, followed or cut to patterns")
        }
        switch verb {
        case "patterns": question.kind = .patterns
        case "stats": question.kind = .statistics
        default: question.kind = question.expression.isMetric ? .numbers : counts ? .count(field) : .lines
        }
    }

    /// RFC 3339, or how long before now.
    private static func moment(
        _ arguments: ParsedArguments, _ flag: String, _ now: LabTime
    ) throws(UsageError) -> LabTime? {
        guard let text = arguments.text(flag) else { return nil }
        if let time = LabTime(parsing: text) { return time }
        if text == "now" { return now }
        if let back = LabDuration(parsing: text.hasPrefix("-") ? text.dropFirst() : text[...], bareUnit: .seconds(1)) {
            return now - back
        }
        throw UsageError("log-query: --\(flag): '\(text)'? write 1h for an hour ago, or 2023-12-20T15:00:00Z")
    }
}
