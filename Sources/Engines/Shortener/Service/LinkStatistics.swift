import KernelHosting
import KernelJSON
import KernelStructures
import ShortenerEngine

/// What has become of a link: its clicks, where they came from, and when. Clicks on their way are counted first, so
/// that the numbers are those of this moment, and add up.
struct LinkStatistics {
    unowned let host: ShortenerHost

    struct Numbers {
        var link: Link
        var clicks: Int
        var bots: Int
        var days: [(name: String, count: Int)]
        var referrers: [(name: String, count: Int)]
        var agents: [(name: String, count: Int)]
        var visitors: Int

        /// The documented four, and what is known beyond them.
        func json(details: Bool) -> JSONValue {
            var members: [(key: String, value: JSONValue)] = [
                ("clicks", .integer(clicks)), ("created_at", LinkAPI.json(link.createdAt)),
                (
                    "top_referrers",
                    .array(referrers.filter { $0.name != Referrer.direct }.prefix(10).map { .string($0.name) })
                ), ("clicks_by_day", Self.object(days)),
            ]
            if details {
                members += [
                    ("bots", .integer(bots)), ("unique_visitors", .integer(visitors)),
                    ("clicks_by_referrer", Self.object(referrers)), ("clicks_by_agent", Self.object(agents)),
                ]
            }
            return .object(members)
        }

        static func object(_ counts: [(name: String, count: Int)]) -> JSONValue {
            .object(counts.map { (key: $0.name, value: .integer($0.count)) })
        }
    }

    init(_ host: ShortenerHost) { self.host = host }

    /// The numbers of a link that whoever asks may see; to others it is not there.
    func read(_ code: String, for exchange: HTTPExchange, _ done: @escaping (Result<Numbers, HTTPProblem>) -> Void) {
        let caller: Caller
        do throws(HTTPProblem) { caller = try host.caller(exchange) } catch { return done(.failure(error)) }
        read(code) { result in
            if case .success(let numbers) = result, !caller.mayUse(numbers.link) {
                return done(.failure(ShortenerHost.missing(code)))
            }
            done(result)
        }
    }

    func read(_ code: String, _ done: @escaping (Result<Numbers, HTTPProblem>) -> Void) {
        let host = host
        host.clicks.flush { failure in
            if let failure { return done(.failure(ShortenerHost.problem(failure))) }
            let code = ColumnValue.text(code)
            host.database.run([
                LinkStatement("SELECT \(LinkTables.columns) FROM url_links WHERE code = $1", [code]),
                LinkStatement("SELECT name, clicks FROM url_days WHERE code = $1 ORDER BY name LIMIT 4000", [code]),
                LinkStatement(
                    "SELECT name, clicks FROM url_referrers WHERE code = $1 ORDER BY clicks DESC, name LIMIT 1001",
                    [code]),
                LinkStatement(
                    "SELECT name, clicks FROM url_agents WHERE code = $1 ORDER BY clicks DESC, name LIMIT 100", [code]),
                LinkStatement("SELECT registers FROM url_visitors WHERE code = $1", [code]),
            ]) { result in
                switch result {
                case .failure(let failure): done(.failure(ShortenerHost.problem(failure)))
                case .success(let answers):
                    guard answers.count == 5, let found = answers[0].first.flatMap(LinkTables.link) else {
                        return done(.failure(ShortenerHost.missing(code.text ?? "")))
                    }
                    done(
                        .success(
                            Numbers(
                                link: found.link, clicks: found.visits, bots: found.bots,
                                days: Self.counts(answers[1]), referrers: Self.counts(answers[2]),
                                agents: Self.counts(answers[3]),
                                visitors: answers[4].first.map { LinkTables.estimate($0).count } ?? 0)))
                }
            }
        }
    }

    private static func counts(_ rows: LinkRows) -> [(name: String, count: Int)] {
        rows.map { ($0.first?.text ?? "", $0.last?.integer ?? 0) }
    }
}
