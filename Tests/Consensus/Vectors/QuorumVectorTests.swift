import ConsensusEngine
import Testing

@Suite("Published cases of majorities and of changes of membership", .enabled(if: VectorFile.exists("raft")))
struct QuorumVectorTests {
    private func numbers(_ one: VectorCase, _ name: String) -> [Int] {
        one.value(name) == "zero" ? [] : one.numbers(name)
    }

    /// `idx` and `votes` stand in the order in which the ids appear first.
    private func voters(_ one: VectorCase) -> [Int] {
        (numbers(one, "cfg") + numbers(one, "cfgj")).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    @Test("majorities", arguments: VectorFile.names("raft/quorum"))
    func quorum(file: String) throws {
        for one in try VectorFile.cases("raft/quorum/\(file)") {
            let halves = GroupConfiguration(voters: numbers(one, "cfg"), outgoing: numbers(one, "cfgj"))
            let ids = voters(one)
            func answer(_ name: String, _ id: Int) -> String? {
                let words = one.values(name) ?? []
                guard let place = ids.firstIndex(of: id), place < words.count, words[place] != "_" else { return nil }
                return words[place]
            }
            var lines: [String]
            switch one.command {
            case "committed":
                lines = Quorum.drawing(ids) { answer("idx", $0).flatMap { Int($0) } }
                let agreed = Quorum.agreed(halves) { answer("idx", $0).flatMap { Int($0) } ?? 0 }
                let text = agreed == .max ? "∞" : String(agreed)
                lines.append((ids.isEmpty ? "<empty majority quorum>" : "") + text)
            default:
                let outcome = Quorum.outcome(halves) { id in answer("votes", id).map { $0 == "y" } }
                lines = [["won": "VoteWon", "lost": "VoteLost", "pending": "VotePending"]["\(outcome)"]!]
            }
            #expect(lines == one.expected, "\(file):\(one.line)")
        }
    }

    static func steps(_ words: [String]) -> [ConfigurationChange.Step] {
        let kinds: [Character: ConfigurationChange.Step.Kind] = [
            "v": .addVoter, "l": .addLearner, "r": .remove, "u": .update,
        ]
        return words.flatMap { $0.split(separator: " ") }.map { .init(kinds[$0.first!]!, Int($0.dropFirst())!) }
    }

    @Test("changes of membership", arguments: VectorFile.names("raft/confchange"))
    func changes(file: String) throws {
        var membership = Membership()
        for (number, one) in try VectorFile.cases("raft/confchange/\(file)").enumerated() {
            let steps = Self.steps(one.input)
            var lines: [String]
            do {
                switch one.command {
                case "simple": try membership.simple(steps, lastIndex: number)
                case "enter-joint":
                    try membership.enterJoint(
                        steps, leavesAutomatically: one.value("autoleave") == "true", lastIndex: number)
                default: try membership.leaveJoint()
                }
                lines = [membership.configuration.description]
                lines += membership.progress.map { "\($0.id): \($0)" }
            } catch {
                lines = ["\(error)"]
            }
            #expect(lines == one.expected, "\(file):\(one.line)")
        }
    }
}
