import KernelJSON
import KernelStructures

/// Whom a fault may reach at most: of the nodes that fit, a share; of their requests, those of a cohort, or so many.
///
/// The smallest experiment that can teach something is the best one. What is drawn by chance is drawn from the World's
/// seed, so the same run hits the same nodes.
public struct BlastRadius: Equatable, Sendable {
    /// 1…100: of the nodes that fit the target, at least one.
    public var percent: Int
    /// Only requests with this field, `X-Cohort: beta`; for faults that understand HTTP.
    public var cohort: String?
    /// At most so many requests; for faults that understand HTTP.
    public var budget: Int?

    public init(percent: Int = 100, cohort: String? = nil, budget: Int? = nil) {
        self.percent = percent
        self.cohort = cohort
        self.budget = budget
    }

    static let budgetLimit = 1_000_000

    init(_ cursor: JSONCursor) throws(JSONTypeError) {
        percent = try cursor["percent"].ifPresent?.integer(in: 1...100) ?? 100
        cohort = try cursor["cohort"].ifPresent?.string()
        budget = try cursor["budget"].ifPresent?.integer(in: 1...Self.budgetLimit)
    }

    var members: [(key: String, value: JSONValue)] {
        var members: [(key: String, value: JSONValue)] = []
        if percent != 100 { members.append(("percent", .integer(percent))) }
        if let cohort { members.append(("cohort", .string(cohort))) }
        if let budget { members.append(("budget", .integer(budget))) }
        return members
    }

    var note: String {
        var parts: [String] = []
        if percent != 100 { parts.append("\(percent)% of them") }
        if let cohort { parts.append("requests with \(cohort)") }
        if let budget { parts.append("at most \(counted(budget, "request"))") }
        return parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
    }

    /// The names that fit a target: the name itself, or a pattern in which `*` stands for anything.
    public static func matches(_ target: String, among names: [String]) -> [String] {
        let pattern = Array(target.lowercased().utf8)
        return names.filter { fits(Array($0.lowercased().utf8), pattern) }
    }

    /// Greedy with one place to go back to: linear but for the last star.
    private static func fits(_ name: [UInt8], _ pattern: [UInt8]) -> Bool {
        let star = UInt8(ascii: "*")
        var place = 0
        var at = 0
        var retry: (pattern: Int, name: Int)?
        while place < name.count {
            if at < pattern.count, pattern[at] == star {
                at += 1
                retry = (at, place)
            } else if at < pattern.count, pattern[at] == name[place] {
                at += 1
                place += 1
            } else if let last = retry {
                at = last.pattern
                place = last.name + 1
                retry = (at, place)
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == star }
    }

    /// Draws the share of `names` that is to be touched: rounded down, and at least one. In their order.
    public func choose(among names: [String], _ random: inout SeededRandom) -> [String] {
        guard percent < 100, names.count > 1 else { return names }
        var count = max(1, names.count * percent / 100)
        var chosen: [String] = []
        for (index, name) in names.enumerated() where count > 0 {
            if random.below(names.count - index) < count {
                chosen.append(name)
                count -= 1
            }
        }
        return chosen
    }
}
