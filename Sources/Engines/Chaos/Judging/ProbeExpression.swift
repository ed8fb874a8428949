import KernelJSON
import KernelRegularExpressions
import KernelStructures

/// `status == 200 AND latency < 500ms`: what is expected of an answer, in one line.
///
/// ```
/// expression = term { OR term }
/// term       = factor { AND factor }
/// factor     = [ NOT ] ( "(" expression ")" | comparison )
/// comparison = subject operator literal
/// subject    = status | latency | body | stderr | header.NAME | json.PATH
/// operator   = == != < <= > >= contains matches
/// literal    = number | duration | "text" | 'text' | true | false | null
/// ```
///
/// Words may be in either case. `json.PATH` is a place in a JSON body: `json.items[0].price`. What is not there equals
/// nothing, and is neither smaller nor greater.
public struct ProbeExpression: Sendable {
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    enum Subject: Sendable, Equatable {
        case status, latency, body, errors
        case header(String)
        case json(JSONPath)

        var name: String {
            switch self {
            case .status: "status"
            case .latency: "latency"
            case .body: "body"
            case .errors: "stderr"
            case .header(let name): "header.\(name)"
            case .json(let path): "json." + path.text.dropFirst(path.text.hasPrefix("$.") ? 2 : 1)
            }
        }
    }

    enum Operator: String, CaseIterable, Sendable {
        case equal = "==", unequal = "!=", atMost = "<=", atLeast = ">=", below = "<", above = ">", contains, matches
    }

    enum Literal: Sendable, Equatable {
        case value(JSONValue)
        case time(LabDuration)

        var text: String {
            switch self {
            case .value(let value): value.text
            case .time(let time): "\(time)"
            }
        }
    }

    struct Comparison: Sendable {
        let subject: Subject
        let sign: Operator
        let literal: Literal
        let pattern: RegularExpression?
    }

    indirect enum Node: Sendable {
        case comparison(Comparison)
        case both([Node])
        case either([Node])
        case not(Node)
    }

    public let text: String
    let root: Node

    /// - Throws: `Malformed`, which names the word and its place.
    public init(parsing text: String) throws(Malformed) {
        self.text = text
        var parser = ProbeExpressionParser(text)
        root = try parser.whole()
    }

    public func judge(_ observation: Observation) -> Judgement { judge(root, observation) }

    /// The texts that answers must contain, for a report.
    public var containedTexts: [String] { Self.contained(root) }

    private static func contained(_ node: Node) -> [String] {
        switch node {
        case .comparison(let one):
            if case .contains = one.sign, case .value(.string(let text)) = one.literal { return [text] }
            return []
        case .both(let nodes): return nodes.flatMap(contained)
        case .either, .not: return []
        }
    }

    // MARK: Judging

    private func judge(_ node: Node, _ observation: Observation) -> Judgement {
        switch node {
        case .comparison(let comparison): return judge(comparison, observation)
        case .both(let nodes):
            let unmet = nodes.map { judge($0, observation) }.filter { !$0.isMet }
            return Judgement(isMet: unmet.isEmpty, reasons: unmet.flatMap(\.reasons))
        case .either(let nodes):
            let all = nodes.map { judge($0, observation) }
            let isMet = all.contains { $0.isMet }
            return Judgement(isMet: isMet, reasons: isMet ? [] : all.flatMap(\.reasons))
        case .not(let inner):
            return Judgement(!judge(inner, observation).isMet, else: "what must not hold does")
        }
    }

    private func judge(_ one: Comparison, _ observation: Observation) -> Judgement {
        let actual = value(of: one.subject, observation)
        let isMet = holds(one, actual)
        if isMet { return .met }
        let seen = actual.map { shortened($0.text) } ?? "missing"
        return .unmet("\(one.subject.name) is \(seen), not \(one.sign.rawValue) \(one.literal.text)")
    }

    private func shortened(_ text: String) -> String { text.count > 60 ? text.prefix(60) + "…" : text }

    private func value(of subject: Subject, _ observation: Observation) -> Literal? {
        switch subject {
        case .status: observation.status.map { .value(.integer($0)) }
        case .latency: .time(observation.latency)
        case .body: .value(.string(observation.bodyText))
        case .errors:
            if case .process(_, _, let errors) = observation.content { .value(.string(errors)) } else { nil }
        case .header(let name): observation.header(name).map { .value(.string($0)) }
        case .json(let path): observation.bodyValue.flatMap { path.values(in: $0).first }.map { .value($0) }
        }
    }

    private func holds(_ one: Comparison, _ actual: Literal?) -> Bool {
        guard let actual else { return one.sign == .unequal }
        switch one.sign {
        case .equal: return isEqual(actual, one.literal)
        case .unequal: return !isEqual(actual, one.literal)
        case .contains: return plain(actual).contains(plain(one.literal))
        case .matches: return one.pattern?.matches(plain(actual)) ?? false
        case .below, .above, .atMost, .atLeast:
            guard let order = order(actual, one.literal) else { return false }
            switch one.sign {
            case .below: return order < 0
            case .above: return order > 0
            case .atMost: return order <= 0
            default: return order >= 0
            }
        }
    }

    private func isEqual(_ a: Literal, _ b: Literal) -> Bool {
        if let order = order(a, b) { return order == 0 }
        if case .value(let x) = a, case .value(let y) = b { return x == y }
        return false
    }

    /// Numbers by size, durations by length, texts that are numbers as such where the other is one.
    private func order(_ a: Literal, _ b: Literal) -> Double? {
        switch (a, b) {
        case (.time(let x), .time(let y)): return x < y ? -1 : x == y ? 0 : 1
        case (.time(let x), .value(let y)): return y.size.map { x.milliseconds - $0 }
        case (.value(let x), .value(let y)):
            guard let x = x.size ?? text(x).flatMap({ Double($0) }), let y = y.size else { return nil }
            return x - y
        case (.value, .time): return nil
        }
    }

    private func text(_ value: JSONValue) -> String? {
        if case .string(let text) = value { return text }
        return nil
    }

    private func plain(_ literal: Literal) -> String {
        if case .value(.string(let text)) = literal { return text }
        return literal.text
    }
}

extension JSONValue {
    /// A number's size.
    var size: Double? {
        switch self {
        case .integer(let number): Double(number)
        case .number(let number): number
        default: nil
        }
    }
}
