import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShellSession

/// `shorten audit --seen FILE`: asks of every click that somebody has seen whether it is in the books, as many ids at a
/// time as a server takes. Its status is 1 if one is missing.
final class SeenClicksQuestion: Program {
    private let process: Process
    private let server: HostPort
    private let request: HTTPCall.Request
    private let wantsJSON: Bool
    private var parts: [[String]]
    private var counts: [(name: String, count: Int)] = []
    private var missing: [JSONValue] = []
    private var unknown: [JSONValue] = []

    /// Ids in one request.
    private static let partCount = 10_000
    /// The longest file, in bytes.
    static let fileLimitBytes = 256 << 20
    private static let names = ["seen", "in_books", "missing", "waiting", "unknown"]
    /// Ids that people are shown of a kind.
    private static let shownCount = 20

    /// - Parameter ids: as they stand in the file; an id that stands there twice is asked for once.
    init(
        _ process: Process, _ ids: [String], at server: HostPort, fields: [(name: String, value: String)],
        timeout: LabDuration, wantsJSON: Bool
    ) {
        self.process = process
        self.server = server
        self.wantsJSON = wantsJSON
        var request = HTTPCall.Request(
            "POST", url: HTTPURL(host: server.host, port: server.port, target: "/api/audit"))
        request.fields =
            [("User-Agent", process.name)] + fields.filter { $0.name != "Content-Type" }
            + [("Content-Type", "text/plain")]
        request.deadline = timeout
        request.answer = .collected(limitBytes: ServerQuestion.bodyLimitBytes)
        self.request = request
        var known: Set<String> = []
        let distinct = ids.filter { known.insert($0).inserted }
        parts = stride(from: 0, to: distinct.count, by: Self.partCount).map {
            Array(distinct[$0..<min($0 + Self.partCount, distinct.count)])
        }
        counts = Self.names.map { ($0, 0) }
    }

    func start() { ask() }

    private func ask() {
        guard !parts.isEmpty else { return finish() }
        var request = request
        request.body = Array((parts.removeFirst().joined(separator: "\n") + "\n").utf8)
        HTTPCall(process.node, request) { [self] result in
            guard process.isRunning else { return }
            do throws(CommandFailure) {
                try take(result)
                ask()
            } catch {
                process.fail(error.description, status: error.status)
            }
        }.start()
    }

    private func take(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) throws(CommandFailure) {
        let response: HTTPCall.Response
        do throws(HTTPCall.Failure) { response = try result.get() } catch {
            throw CommandFailure(
                ServerQuestion.sentence(error, server, whenRefused: ShortenerCommands.advice(server)))
        }
        let text = try ServerQuestion.text(response)
        let limits = JSONLimits(bytes: ServerQuestion.bodyLimitBytes)
        guard let answer = try? JSONValue(parsing: text, limits: limits), case .integer? = answer["seen"] else {
            throw CommandFailure("\(server) does not know ids of clicks: is it another version?")
        }
        for (index, name) in Self.names.enumerated() {
            if case .integer(let count)? = answer[name] { counts[index].count += count }
        }
        if case .array(let items)? = answer["missing_clicks"] { missing += items }
        if case .array(let items)? = answer["unknown_ids"] { unknown += items }
    }

    private func finish() {
        process.output.write(wantsJSON ? json.text + "\n" : lines.map { $0 + "\n" }.joined())
        process.exit(missing.isEmpty ? 0 : 1)
    }

    private var json: JSONValue {
        .object(
            counts.map { (key: $0.name, value: .integer($0.count)) } + [
                (key: "missing_clicks", value: .array(missing)), (key: "unknown_ids", value: .array(unknown)),
            ])
    }

    // MARK: For people

    private var lines: [String] {
        let count = Dictionary(uniqueKeysWithValues: counts.map { ($0.name, $0.count) })
        var parts = ["\(count["in_books"] ?? 0) in the books", "\(count["missing"] ?? 0) missing"]
        if let waiting = count["waiting"], waiting > 0 { parts.append("\(waiting) on their way") }
        parts.append("\(count["unknown"] ?? 0) unknown")
        var lines = ["\(counted(count["seen"] ?? 0, "click")) seen: " + parts.joined(separator: ", ")]
        var rest = missing[...]
        while let first = rest.first {
            let same = rest.prefix { Self.isSamePlace($0, first) }
            lines += Self.place(first)
            lines += Self.shown(same.map { ShortenerText.text($0["id"]) })
            rest = rest.dropFirst(same.count)
        }
        if !unknown.isEmpty {
            lines.append("No shortener of this database has given these out:")
            lines += Self.shown(unknown.map { ShortenerText.text($0) })
        }
        return lines
    }

    private static func isSamePlace(_ a: JSONValue, _ b: JSONValue) -> Bool {
        ["node", "since", "until", "within_window"].allSatisfy { a[$0] == b[$0] }
    }

    private static func place(_ click: JSONValue) -> [String] {
        let node = ShortenerText.text(click["node"])
        guard click["within_window"] == true else {
            return ["Missing at \(node), and no failing power explains it:"]
        }
        return [
            "Lost with the power at \(node), after \(ShortenerText.text(click["since"]))",
            "and before \(ShortenerText.text(click["until"])):",
        ]
    }

    private static func shown(_ ids: [String]) -> [String] {
        ids.prefix(shownCount).map { "  " + $0.prefix(70) }
            + (ids.count > shownCount ? ["  and \(ids.count - shownCount) more; --json has all of them"] : [])
    }
}
