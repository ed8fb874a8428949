import KernelHosting
import KernelJSON
import KernelStructures
import ShortenerEngine

/// Whether any click is missing: the books added up in four ways, and how each life of a shortener has ended.
///
/// A click is in a file before its visitor is sent on, and the file is synced before its clicks are counted. So a life
/// that was stopped has lost none, and neither has one that was killed: the next life counts what stands in the file.
/// Only if the power failed may those be missing that came after the last sync; the books say since when, and that was
/// at most `--flush` before the end.
struct ClickAudit {
    unowned let host: ShortenerHost

    private static let differenceLimit = 100
    private static let lifeLimit = 100

    /// Clicks of a link in one of the books.
    private static func sum(_ table: String) -> String {
        "coalesce((SELECT sum(clicks) FROM \(table) WHERE \(table).code = url_links.code), 0)"
    }

    private static var statements: [LinkStatement] {
        let (days, referrers, agents) = (sum("url_days"), sum("url_referrers"), sum("url_agents"))
        return [
            LinkStatement("SELECT count(*), coalesce(sum(visits), 0) FROM url_links"),
            LinkStatement(
                "SELECT coalesce(sum(clicks), 0) FROM url_days WHERE code = $1", [.text(Click.orphans)]),
            LinkStatement(
                "SELECT code, visits, \(days), \(referrers), \(agents) FROM url_links WHERE visits <> \(days) "
                    + "OR visits <> \(referrers) OR visits <> \(agents) ORDER BY code LIMIT \(differenceLimit)"),
            LinkStatement(
                "SELECT node, life, began_at, synced_at, clicks, ended_at, ending, recovered, torn_bytes, lost "
                    + "FROM url_lives ORDER BY began_at DESC, node, life DESC LIMIT \(lifeLimit)"),
        ]
    }

    func answer(_ exchange: HTTPExchange) {
        host.clicks.flush { [host] _ in
            host.database.run(Self.statements) { result in
                switch result {
                case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
                case .success(let answers): exchange.answer(json: json(answers))
                }
            }
        }
    }

    private func json(_ answers: [LinkRows]) -> JSONValue {
        let totals = answers[0].first ?? []
        let differences = answers[2].map { row -> JSONValue in
            [
                "code": .string(row[0].text ?? ""), "clicks": .integer(row[1].integer ?? 0),
                "by_day": .integer(row[2].integer ?? 0), "by_referrer": .integer(row[3].integer ?? 0),
                "by_agent": .integer(row[4].integer ?? 0),
            ]
        }
        return [
            "links": .integer(totals.first?.integer ?? 0), "clicks": .integer(totals.last?.integer ?? 0),
            "orphan_clicks": .integer(answers[1].first?.first?.integer ?? 0),
            "waiting": .integer(host.clicks.waitingCount), "differences": .array(differences),
            "lives": .array(answers[3].map(Self.life)),
        ]
    }

    private static func life(_ row: [ColumnValue]) -> JSONValue {
        let ending = row[6].text
        let end = row[5].time
        var members: [(key: String, value: JSONValue)] = [
            ("node", .string(row[0].text ?? "")), ("began_at", LinkAPI.json(row[2].time)),
            ("ended_at", LinkAPI.json(end)), ("ending", ending.map { .string($0) } ?? .null),
            ("clicks", .integer(row[4].integer ?? 0)), ("recovered", .integer(row[7].integer ?? 0)),
            ("torn_bytes", .integer(row[8].integer ?? 0)), ("refused_by_disk", .integer(row[9].integer ?? 0)),
        ]
        // A stop has synced and counted everything.
        if ending == LifeBook.Ending.unannounced.rawValue {
            members.append(
                ("at_risk_if_power_failed", ["since": LinkAPI.json(row[3].time), "until": LinkAPI.json(end)]))
        }
        return .object(members)
    }
}
