import KernelHosting
import KernelJSON
import ShortenerEngine

/// Takes what `/api/export` gives: a link as JSON a line. Each line stands for itself, and the answer says of each that
/// was not taken why.
final class LinkImport {
    private let host: ShortenerHost
    private let exchange: HTTPExchange
    private var lines: [[UInt8]] = []
    private var next = 0
    private var importedCount = 0
    private var problems: [JSONValue] = []

    static let lineLimit = 100_000
    private static let problemLimit = 1000
    /// What an export has.
    private static let members = [
        "code", "short_url", "original_url", "created_at", "valid_since", "expires_at", "max_visits", "redirect",
        "title",
        "tags", "forward_query", "rules", "owner", "deleted_at", "version", "clicks",
    ]

    init(_ host: ShortenerHost, _ exchange: HTTPExchange) {
        self.host = host
        self.exchange = exchange
    }

    func begin() throws {
        try exchange.expectPlainBody()
        lines = exchange.body.split(separator: 10).map(Array.init).filter { !$0.allSatisfy { $0 <= 32 } }
        guard lines.count <= Self.lineLimit else {
            throw HTTPProblem(413, "there are more than \(Self.lineLimit) lines", remedy: "send them in parts")
        }
        go()
    }

    private func go() {
        guard next < lines.count else {
            return exchange.answer(json: ["imported": .integer(importedCount), "refused": .array(problems)])
        }
        next += 1
        do {
            let link = try link(JSONCursor(JSONValue(parsing: lines[next - 1])))
            host.database.run([LinkTables.insert(link)]) { [self] result in
                switch result {
                case .failure(let failure): refuse(failure.description)
                case .success(let rows) where rows.first?.isEmpty == false:
                    host.stored(link)
                    importedCount += 1
                case .success: refuse("the code '\(link.code)' is taken")
                }
                // Not one call deeper for each line.
                host.node.enqueue { self.go() }
            }
        } catch {
            refuse((error as? HTTPProblem)?.detail ?? "\(error)")
            host.node.enqueue { self.go() }
        }
    }

    private func refuse(_ why: String) {
        guard problems.count < Self.problemLimit else { return }
        problems.append(["line": .integer(next), "detail": .string(why)])
    }

    private func link(_ body: JSONCursor) throws -> Link {
        try body.expectNoMembers(besides: Self.members)
        // What is counted is counted here anew; but nonsense says that the line is damaged.
        for name in ["clicks", "version"] { _ = try body[name].ifPresent?.integer(in: 0...1 << 53) }
        let code = try body["code"].string()
        try LinkKey.check(code)
        var link = Link(
            code: code, target: try host.checkedTarget(try body["original_url"].string(), exchange),
            createdAt: try LinkAPI.moment(body["created_at"]) ?? host.node.wallClock.wholeMilliseconds)
        link.validSince = try LinkAPI.moment(body["valid_since"])
        link.expiresAt = try LinkAPI.moment(body["expires_at"])
        link.maxVisits = try body["max_visits"].ifPresent?.integer(in: 1...1_000_000_000_000)
        link.redirect = try LinkAPI.redirect(body["redirect"]) ?? host.settings.redirect
        link.title = try body["title"].ifPresent?.string()
        link.tags = try body["tags"].ifPresent?.array().map { try $0.string() } ?? []
        link.forwardsQuery = try body["forward_query"].ifPresent?.bool() ?? false
        link.deletedAt = try LinkAPI.moment(body["deleted_at"])
        link.isAlias = true
        link.owner = try body["owner"].ifPresent?.string()
        link.rules =
            try body["rules"].ifPresent?.array().map { item in
                try RedirectRule(item) { [host, exchange] in try host.checkedTarget($0, exchange) }
            } ?? []
        guard link.rules.count <= RedirectRule.limit else {
            throw HTTPProblem(400, "there are more than \(RedirectRule.limit) rules", remedy: "leave some out")
        }
        try host.checkDetails(title: link.title, tags: link.tags)
        return link
    }
}
