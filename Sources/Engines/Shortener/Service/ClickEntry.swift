import KernelStructures
import ShortenerEngine

/// Enters clicks into the database, and in the same transaction their names, and up to where the book that they come
/// from is entered.
struct ClickEntry {
    unowned let host: ShortenerHost
    /// Whose book it is.
    let name: String
    /// Up to where.
    let end: ClickPosition

    /// - Parameter more: what else belongs into the transaction, by the number of clicks.
    func make(
        _ clicks: [Click], with more: @escaping (Int) -> [LinkStatement],
        _ done: @escaping (Result<ClickTotals, LinkDatabaseFailure>) -> Void
    ) {
        var totals = ClickTotals()
        for click in clicks { totals.add(click, zoneSeconds: host.settings.zoneSeconds) }
        let visitors = totals.visitors.sorted { $0.key < $1.key }[...]
        let names = ClickRun.of(clicks).map(LinkTables.add)
        merge(visitors, totals.recent, []) { [totals] visitors in
            switch visitors {
            case .failure(let failure): done(.failure(failure))
            case .success(let visitors):
                let place = [LinkTables.setPosition(name, end)] + more(totals.count)
                host.database.run(LinkTables.add(totals) + visitors + names + place) { result in
                    done(result.map { _ in totals })
                }
            }
        }
    }

    /// What the database knows of visitors, with those that came.
    private func merge(
        _ rest: ArraySlice<(key: String, value: DistinctEstimate)>, _ recent: [String: [Click]],
        _ merged: [LinkStatement], _ done: @escaping (Result<[LinkStatement], LinkDatabaseFailure>) -> Void
    ) {
        guard !rest.isEmpty else { return done(.success(merged)) }
        let questions = rest.prefix(Self.questionCount).map { LinkTables.visitors(of: $0.key) }
        host.database.run(questions) { result in
            switch result {
            case .failure(let failure): done(.failure(failure))
            case .success(let answers):
                let statements = zip(rest, answers).flatMap { visitor, rows in
                    var estimate = visitor.value
                    if let row = rows.first { estimate.merge(LinkTables.estimate(row)) }
                    let visits = RecentVisits(stored: rows.first?.last?.text).adding(recent[visitor.key] ?? [])
                    return LinkTables.setVisitors(visitor.key, estimate, visits)
                }
                merge(rest.dropFirst(questions.count), recent, merged + statements, done)
            }
        }
    }

    private static let questionCount = 256
}
