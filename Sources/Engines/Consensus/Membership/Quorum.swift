/// What a majority has said, in each half of a configuration.
public enum Quorum {
    public enum Outcome: Equatable, Sendable { case won, lost, pending }

    /// The largest number that a majority has reached; `Int.max` for nobody, who never stands in the way.
    public static func agreed(_ voters: [Int], _ reached: (Int) -> Int) -> Int {
        if voters.isEmpty { return .max }
        let sorted = voters.map(reached).sorted(by: >)
        return sorted[voters.count / 2]
    }

    public static func agreed(_ configuration: GroupConfiguration, _ reached: (Int) -> Int) -> Int {
        min(agreed(configuration.voters, reached), agreed(configuration.outgoing, reached))
    }

    /// - Parameter vote: nil for who has not voted.
    public static func outcome(_ voters: [Int], _ vote: (Int) -> Bool?) -> Outcome {
        if voters.isEmpty { return .won }
        let votes = voters.map(vote)
        let needed = voters.count / 2 + 1
        let granted = votes.count { $0 == true }
        if granted >= needed { return .won }
        return granted + votes.count { $0 == nil } >= needed ? .pending : .lost
    }

    public static func outcome(_ configuration: GroupConfiguration, _ vote: (Int) -> Bool?) -> Outcome {
        let halves = [outcome(configuration.voters, vote), outcome(configuration.outgoing, vote)]
        if halves.contains(.lost) { return .lost }
        return halves.contains(.pending) ? .pending : .won
    }

    /// How far each voter is, as bars: the longer, the more of the others are behind it.
    ///
    /// - Parameter reached: nil for who is not known.
    public static func drawing(_ voters: [Int], _ reached: (Int) -> Int?) -> [String] {
        if voters.isEmpty { return [] }
        let width = voters.count
        let header = String(repeating: " ", count: width) + "    idx"
        return [header]
            + voters.sorted().map { id in
                let own = reached(id)
                let number = String(own ?? 0)
                let padded = String(repeating: " ", count: max(0, 5 - number.count)) + number
                let behind = voters.count { (reached($0) ?? 0) < own ?? 0 }
                let bar =
                    own == nil
                    ? "?" + String(repeating: " ", count: width)
                    : String(repeating: "x", count: behind) + ">" + String(repeating: " ", count: width - behind)
                return "\(bar) \(padded)    (id=\(id))"
            }
    }
}
