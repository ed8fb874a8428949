import KernelStructures
import KernelWorld

/// The words in which faults are spoken of.
///
/// ```
/// inject latency TIME[±JITTER] [LINK] [for TIME]
/// inject loss PERCENT [LINK] [for TIME]
/// inject throttle RATE [LINK] [for TIME]           64KB/s, 1MiB/s
/// inject corrupt PERCENT [LINK] [for TIME]
/// inject duplicate PERCENT [LINK] [for TIME]       datagrams that come twice
/// inject reorder PERCENT [LINK] [for TIME]         datagrams that others overtake
/// inject partition {A,B}|{C} [for TIME]            or: partition A   (A from everybody)
/// inject blackhole [LINK] [for TIME]
/// inject reset [LINK] [for TIME]
/// inject refuse [LINK] [for TIME]
/// inject fail http STATUS [first N] [after N [for N]] [with FIELD=VALUE] [N%] [on NODE] [for TIME]
/// inject cpu PERCENT on NODE [for TIME]            what others take of its processor
/// inject memory [TIME] on NODE [for TIME]          it is slow, and killed after the first time (30s)
/// inject disk-full | disk-slow TIME | fail-sync [N] | torn-write [N]  on NODE [for TIME]
///
/// LINK    = A->B | A<->B | on A | on {A,B}         without one: every link
/// ```
///
/// `A->B` is what A sends to B. `on A` follows what the fault is about: latency, throttle, corruption, duplication and
/// reordering act on what A sends, as `tc netem` on A's interface does; loss, blackhole and reset on both directions;
/// refuse and fail on
/// connections to A.
public struct FaultRequest {
    public let kind: FaultKind
    public let link: LinkSelector
    public let duration: LabDuration?
    /// The rule in one line, as `faults` shows it.
    public let text: String
    /// The node names that the rule mentions, for a check that they exist.
    public let mentioned: [String]

    public static let kinds = [
        "latency", "loss", "throttle", "corrupt", "duplicate", "reorder", "partition", "blackhole", "reset", "refuse",
        "fail", "disk-full",
        "disk-slow", "fail-sync", "torn-write", "cpu", "memory",
    ]

    /// Reads the words after `inject`.
    ///
    /// - Parameter nameOf: the name of the node that a word means, where it is called otherwise: `8082`.
    /// - Throws: `FaultGrammarError` that names the word and says what was expected.
    public init(_ words: [String], nameOf: @escaping (String) -> String = { $0 }) throws(FaultGrammarError) {
        var reader = WordReader(words, nameOf: nameOf)
        guard let name = reader.next() else {
            throw FaultGrammarError("what? one of \(Self.kinds.joined(separator: ", "))")
        }
        var link: LinkSelector?
        switch name {
        case "latency":
            let (delay, jitter) = try reader.delay()
            kind = .latency(delay, jitter: jitter)
        case "loss": kind = .loss(try reader.share("how much is lost"))
        case "corrupt": kind = .corrupt(try reader.share("how much is corrupted"))
        case "duplicate": kind = .duplicate(try reader.share("how much comes twice"))
        case "reorder": kind = .reorder(try reader.share("how much is overtaken"))
        case "throttle": kind = .throttle(bytesPerSecond: try reader.rate())
        case "partition":
            kind = .block(partition: true)
            link = try reader.partition()
        case "blackhole": kind = .block(partition: false)
        case "reset": kind = .reset
        case "refuse": kind = .refuse
        case "fail":
            kind = .protocolFailure(try reader.protocolFault())
        case "cpu": kind = .protocolFailure(NodeTrouble(.cpu(try reader.share("how much is taken"))))
        case "memory":
            let limit =
                try reader.peek.flatMap { LabDuration(parsing: $0) } == nil ? nil : reader.time("until it is killed")
            kind = .protocolFailure(NodeTrouble(.memory(killAfter: limit ?? NodeTrouble.presetLimit)))
        case "disk-full": kind = .disk(.full)
        case "disk-slow": kind = .disk(.slow(try reader.time("how slow is it")))
        case "fail-sync": kind = .disk(.failSync(count: try reader.count() ?? 1))
        case "torn-write": kind = .disk(.tornWrite(count: try reader.count() ?? 1))
        default:
            throw FaultGrammarError(
                "unknown fault '\(name)'"
                    + (didYouMean(name, among: Self.kinds).isEmpty
                        ? "; it can be \(Self.kinds.joined(separator: ", "))" : didYouMean(name, among: Self.kinds)))
        }
        var duration: LabDuration?
        var shown = words
        while let word = reader.peek {
            if word == "for", duration == nil {
                let place = words.count - reader.wordsLeft
                reader.skip()
                duration = try reader.time("how long does it last")
                shown = Array(words[..<place] + words[(place + 2)...])
            } else if link == nil {
                link = try reader.link(for: kind)
            } else {
                throw FaultGrammarError("unexpected '\(word)'; see help inject")
            }
        }
        if Self.needsNode(kind), link == nil { throw FaultGrammarError("on which node? \(name) … on NODE") }
        self.link = link ?? LinkSelector(from: .any, to: .any, isBothWays: true, text: "every link")
        self.duration = duration
        // Without its duration, which `faults` shows in a column of its own.
        text = shown.joined(separator: " ")
        mentioned = self.link.from.mentioned + self.link.to.mentioned
    }
}

extension FaultRequest {
    /// Of what happens to a node nobody means all of them who names none.
    private static func needsNode(_ kind: FaultKind) -> Bool {
        switch kind {
        case .disk: true
        case .protocolFailure(let fault): fault is NodeTrouble
        default: false
        }
    }
}

public struct FaultGrammarError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

extension NodeSelector {
    fileprivate var mentioned: [String] {
        if case .names(let names) = self { return names }
        return []
    }
}

/// Takes the words of a fault one after another.
struct WordReader {
    var words: ArraySlice<String>
    private let nameOf: (String) -> String

    init(_ words: [String], nameOf: @escaping (String) -> String) {
        self.words = words[...]
        self.nameOf = nameOf
    }

    var peek: String? { words.first }
    var wordsLeft: Int { words.count }
    mutating func next() -> String? { words.popFirst() }
    mutating func skip() { _ = words.popFirst() }

    mutating func needed(_ question: String) throws(FaultGrammarError) -> String {
        guard let word = words.popFirst() else { throw FaultGrammarError("\(question)?") }
        return word
    }

    mutating func time(_ question: String) throws(FaultGrammarError) -> LabDuration {
        let word = try needed("\(question), 200ms for instance")
        guard let duration = LabDuration(parsing: word) else {
            throw FaultGrammarError("'\(word)' is not a time such as 200ms or 30s")
        }
        guard duration > .zero else {
            throw FaultGrammarError("'\(word)' is too short: it must be longer than 0s")
        }
        return duration
    }

    /// `200ms` or `200ms±50ms`; `+-` may stand for `±`.
    mutating func delay() throws(FaultGrammarError) -> (LabDuration, LabDuration) {
        let word = try needed("how long is the delay, 200ms±50ms for instance")
        let parts = word.replacing("+-", with: "±").split(separator: "±", omittingEmptySubsequences: false)
        guard parts.count <= 2, let delay = LabDuration(parsing: parts[0]),
            let jitter = parts.count == 2 ? LabDuration(parsing: parts[1]) : .zero
        else { throw FaultGrammarError("'\(word)' is not a delay such as 200ms or 200ms±50ms") }
        guard jitter <= delay else { throw FaultGrammarError("'\(word)': the jitter is larger than the delay") }
        return (delay, jitter)
    }

    mutating func share(_ question: String) throws(FaultGrammarError) -> Double {
        let word = try needed("\(question), 10% for instance")
        guard word.hasSuffix("%"), let percent = Double(word.dropLast()), percent > 0, percent <= 100 else {
            throw FaultGrammarError("'\(word)' is not a percentage of 0 to 100 such as 10%")
        }
        return percent / 100
    }

    mutating func rate() throws(FaultGrammarError) -> Int {
        let word = try needed("how much a second, 64KB/s for instance")
        guard word.hasSuffix("/s"), let count = parseByteCount(word.dropLast(2)), count > 0 else {
            throw FaultGrammarError("'\(word)' is not a rate such as 64KB/s")
        }
        return count
    }

    mutating func count() throws(FaultGrammarError) -> Int? {
        guard let word = peek, word.first?.isNumber == true else { return nil }
        skip()
        guard let count = Int(word), (1...1_000_000).contains(count) else {
            throw FaultGrammarError("'\(word)' is not a number of times")
        }
        return count
    }

    // MARK: Links

    /// `{A,B}`, `A`, or `*`.
    private func selector(_ text: some StringProtocol) throws(FaultGrammarError) -> NodeSelector {
        if text == "*" { return .any }
        let inner = text.hasPrefix("{") && text.hasSuffix("}") ? String(text.dropFirst().dropLast()) : String(text)
        let names = inner.split(separator: ",", omittingEmptySubsequences: false).map {
            nameOf(String($0)).lowercased()
        }
        guard names.allSatisfy({ !$0.isEmpty && !$0.contains { "{}|<>".contains($0) } }) else {
            throw FaultGrammarError("'\(text)' names no nodes; write A, {A,B} or *")
        }
        return .names(names)
    }

    /// `A->B`, `A<->B`, `on A`.
    mutating func link(for kind: FaultKind) throws(FaultGrammarError) -> LinkSelector {
        let word = try needed("which link")
        if word == "on" {
            let name = try needed("on which node")
            let node = try selector(name)
            let text = "on \(name)"
            switch kind {
            case .latency, .throttle, .corrupt, .duplicate, .reorder:
                return LinkSelector(from: node, to: .any, isBothWays: false, text: text)
            case .loss, .block, .reset: return LinkSelector(from: node, to: .any, isBothWays: true, text: text)
            case .refuse, .protocolFailure, .disk:
                return LinkSelector(from: .any, to: node, isBothWays: false, text: text)
            }
        }
        for (arrow, isBothWays) in [("<->", true), ("->", false)] {
            guard let range = word.firstRange(of: arrow) else { continue }
            return LinkSelector(
                from: try selector(word[..<range.lowerBound]), to: try selector(word[range.upperBound...]),
                isBothWays: isBothWays, text: word)
        }
        throw FaultGrammarError("'\(word)' is not a link such as A->B, A<->B or 'on A'")
    }

    /// `{A,B}|{C}`, `A|B`, or `A`: from everybody.
    mutating func partition() throws(FaultGrammarError) -> LinkSelector {
        var word = try needed("between whom, {A,B}|{C} for instance")
        if word == "on" { word = try needed("on which node") }
        let sides = word.split(separator: "|", omittingEmptySubsequences: false)
        guard sides.count <= 2 else {
            throw FaultGrammarError("'\(word)' has more than two sides; inject one partition for each")
        }
        return LinkSelector(
            from: try selector(sides[0]), to: sides.count == 2 ? try selector(sides[1]) : .any, isBothWays: true,
            text: word)
    }
}
