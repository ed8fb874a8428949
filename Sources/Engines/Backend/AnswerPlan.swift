import KernelStructures

/// What a backend answers to one request after another, for cases that need a service to fail at the right moment:
/// `ok*2 fail*5 ok` is two good answers, five bad ones, and good ones from then on.
///
/// ```
/// plan   = step { (" " | ",") step }      ; the last step goes on for ever
/// step   = answer [ "@" delay ] [ "*" count ]
/// answer = "ok" | "early" | "fail" | status | "close" | "hang"
/// ```
///
/// `early` is a 103 (Early Hints) and then the usual answer, `fail` is status 500, `close` ends the connection without
/// an answer, `hang` never answers.
public struct AnswerPlan: Sendable, Equatable {
    public enum Answer: Sendable, Equatable {
        case usual
        /// After a 103.
        case early
        case status(Int)
        case close
        case nothing
    }

    public struct Step: Sendable, Equatable {
        public let answer: Answer
        public let delay: LabDuration
        let count: Int
    }

    public struct Malformed: Error, Equatable, CustomStringConvertible { public let description: String }

    public let steps: [Step]
    private var index = 0
    private var given = 0

    private static let stepLimit = 1000
    private static let countLimit = 1_000_000

    /// - Throws: `Malformed`, which names the word.
    public init(parsing text: String) throws(Malformed) {
        let words = text.split { $0 == " " || $0 == "," }
        var steps: [Step] = []
        for word in words { steps.append(try Self.step(String(word))) }
        if steps.isEmpty { throw Malformed(description: "the plan is empty; try 'ok*2 fail*5 ok'") }
        if steps.count > Self.stepLimit { throw Malformed(description: "more than \(Self.stepLimit) steps") }
        self.steps = steps
    }

    private static func step(_ word: String) throws(Malformed) -> Step {
        var rest = word[...]
        var count = 1
        if let star = rest.lastIndex(of: "*") {
            guard let number = Int(rest[rest.index(after: star)...]), (1...countLimit).contains(number) else {
                throw Malformed(description: "'\(word)': after * comes a count of 1 to \(countLimit)")
            }
            count = number
            rest = rest[..<star]
        }
        var delay = LabDuration.zero
        if let at = rest.firstIndex(of: "@") {
            guard let duration = LabDuration(parsing: rest[rest.index(after: at)...]) else {
                throw Malformed(description: "'\(word)': after @ comes a delay such as 200ms")
            }
            delay = duration
            rest = rest[..<at]
        }
        return Step(answer: try answer(rest, word), delay: delay, count: count)
    }

    private static func answer(_ name: Substring, _ word: String) throws(Malformed) -> Answer {
        switch name {
        case "ok": return .usual
        case "early": return .early
        case "fail": return .status(500)
        case "close": return .close
        case "hang": return .nothing
        default:
            if let status = Int(name), (200...599).contains(status) { return .status(status) }
            let hint = didYouMean(String(name), among: ["ok", "early", "fail", "close", "hang"])
            throw Malformed(
                description: "'\(word)' is no answer"
                    + (hint.isEmpty ? ": ok, early, fail, close, hang, or a status of 200 to 599" : hint))
        }
    }

    /// The answer to the next request.
    public mutating func next() -> Step {
        let step = steps[index]
        given += 1
        if given == step.count, index + 1 < steps.count {
            index += 1
            given = 0
        }
        return step
    }
}
