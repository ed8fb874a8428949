import KernelJSON
import KernelStructures
import ShortenerEngine

/// The last visits of a link, one by one, as they are kept in one row: the newest hundred, whatever the traffic.
struct RecentVisits {
    struct Visit {
        let time: LabTime
        let referrer: String
        let agent: VisitorAgent
        /// Of a visit that found no link: where it wanted to go.
        let path: String?
    }

    /// Oldest first.
    private(set) var visits: [Visit]

    /// - Parameter stored: as `stored` gave it; what is no such text holds none.
    init(stored: String?) {
        guard let stored, case .array(let items)? = try? JSONValue(parsing: stored) else {
            visits = []
            return
        }
        visits = items.compactMap { item in
            guard case .array(let parts) = item, parts.count >= 3, case .string(let time) = parts[0],
                case .string(let referrer) = parts[1], case .string(let agent) = parts[2],
                let time = LabTime(parsing: time)
            else { return nil }
            var path: String?
            if parts.count > 3, case .string(let text) = parts[3] { path = text }
            return Visit(time: time, referrer: referrer, agent: VisitorAgent(rawValue: agent) ?? .other, path: path)
        }
    }

    func adding(_ clicks: [Click]) -> RecentVisits {
        var result = self
        result.visits += clicks.map { click in
            Visit(
                time: click.time, referrer: click.referrer, agent: click.agent,
                path: click.code.hasPrefix(Click.orphans) ? String(click.code.dropFirst()) : nil)
        }
        result.visits = result.visits.suffix(ClickTotals.recentLimit)
        return result
    }

    var stored: String {
        JSONValue.array(
            visits.map { visit in
                .array(
                    [.string("\(visit.time)"), .string(visit.referrer), .string(visit.agent.rawValue)]
                        + (visit.path.map { [.string($0)] } ?? []))
            }
        ).text
    }
}
