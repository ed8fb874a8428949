import KernelStructures

/// What breakers for the same service tell each other, through a store that all of them reach.
///
/// Ten programs that each need five failures to see that a service is down make fifty calls in vain; if the first tells
/// the others, they make five. It is the notice on the door of the bakery: one customer read it, and the others need
/// not rattle at the handle.
///
/// What is shared is the finding, not the counting: counts in common would cost a round trip to the store at each call,
/// and a breaker is there to make calls cheap. Nor is HALF_OPEN shared. When the wait is over, one breaker takes a
/// *lease* and tries, and the rest stay open until it has found out: a service that is getting up meets one client and
/// not all.
///
/// ```
/// key        breaker:NAME           value   OPEN|CLOSED SP owner      expiry   what is left of the wait
/// lease      breaker:NAME:trial     value   owner                     expiry   how long a trial may take
/// ```
///
/// The wait is the key's expiry, so the store's clock counts it, and nobody's own has to agree with it. A store that is
/// gone is no reason to stop: then each breaker is on its own.
///
/// Where it is wrong: one client with a broken network opens the circuit of all. Share it among clients that fail
/// together. After gobreaker 2 (sony), which shares all counts.
public struct SharedFinding: Hashable, Sendable {
    public var isOpen: Bool
    /// Whose finding it is: letters, digits, `-`, `_`, `.` and `:`, at most 80.
    public var owner: String

    public init(isOpen: Bool, owner: String) {
        self.isOpen = isOpen
        self.owner = owner
    }

    /// As the store has it: `OPEN circuit-test-1`.
    public var text: String { "\(isOpen ? "OPEN" : "CLOSED") \(owner)" }

    static let ownerLimit = 80

    /// nil for what no breaker wrote.
    public init?(parsing text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 2, words[0] == "OPEN" || words[0] == "CLOSED", !words[1].isEmpty,
            words[1].utf8.count <= Self.ownerLimit,
            words[1].utf8.allSatisfy({
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                    || "-_.:".utf8.contains($0)
            })
        else { return nil }
        self.init(isOpen: words[0] == "OPEN", owner: String(words[1]))
    }
}

extension BreakerEngine {
    /// Longer than this no finding of others keeps a circuit open.
    public static let sharedWaitLimit = LabDuration.seconds(86_400)

    /// Takes over what another breaker has found. What an operator ordered stays as it is.
    ///
    /// - Parameter remaining: of the wait, for one that is open.
    /// - Returns: the change, if it is one.
    public mutating func adopt(_ finding: SharedFinding, remaining: LabDuration, now: LabTime) -> Transition? {
        switch (finding.isOpen, state) {
        case (true, .closed), (true, .halfOpen), (true, .open):
            let until = now + min(max(.zero, remaining), Self.sharedWaitLimit)
            if state == .open {
                // It knows already, and only learns for how long.
                openUntil = max(openUntil, until)
                return nil
            }
            var change = transition(to: .open, .shared(by: finding.owner), now)
            openUntil = until
            change = Transition(
                from: change.from, to: change.to, time: change.time, reason: change.reason,
                generation: change.generation, wait: until - now)
            history[history.count - 1] = change
            return change
        case (false, .open), (false, .halfOpen): return transition(to: .closed, .shared(by: finding.owner), now)
        default: return nil
        }
    }
}
