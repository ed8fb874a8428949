import Foundation
import TimeSeriesEngine

@testable import PromQLEngine

/// A series in a file of Prometheus's test language: `up{job="a"} 0+10x3 _ stale`.
struct SeriesLine {
    struct Failure: Error, CustomStringConvertible { let description: String }

    let labels: Labels
    /// Nil where there is no sample.
    var values: [Double?] = []

    init(_ line: String) throws {
        let line = line.trimmingCharacters(in: .whitespaces)
        var end = line.startIndex
        var isQuoted = false
        var depth = 0
        while end < line.endIndex, isQuoted || depth > 0 || !line[end].isWhitespace {
            switch line[end] {
            case "\"": isQuoted.toggle()
            case "{" where !isQuoted: depth += 1
            case "}" where !isQuoted: depth -= 1
            default: break
            }
            end = line.index(after: end)
        }
        labels = try Self.labels(String(line[..<end]))
        for word in line[end...].split(whereSeparator: \.isWhitespace) { try add(String(word)) }
    }

    static func labels(_ text: String) throws -> Labels {
        if text == "{}" { return Labels() }
        // A selector's conditions are a series' labels.
        let braced = text.hasSuffix("{}") ? String(text.dropLast(2)) : text
        return Labels(try PromQLSelector.parse(braced).map { ($0.name, $0.value) })
    }

    static func number(_ text: String) throws -> Double {
        guard let value = ClassicHistogram.bound(text) else { throw Failure(description: "no number: \(text)") }
        return value
    }

    /// `3`, `_`, `stale`, `_x3`, `5x3`, `0+10x3`, `8000-10x1000`
    private mutating func add(_ word: String) throws {
        if word == "_" { return values.append(nil) }
        if word == "stale" { return values.append(Staleness.marker) }
        guard let times = word.lastIndex(of: "x"), let count = Int(word[word.index(after: times)...]) else {
            return values.append(try Self.number(word))
        }
        let head = word[..<times]
        if head == "_" {
            values += Array(repeating: nil, count: count)
            return
        }
        guard let sign = head.dropFirst().lastIndex(where: { $0 == "+" || $0 == "-" }) else {
            values += Array(repeating: try Self.number(String(head)), count: count + 1)
            return
        }
        let start = try Self.number(String(head[..<sign]))
        let step = try Self.number(String(head[sign...]))
        for index in 0...count { values.append(start + Double(index) * step) }
    }
}

/// A file of Prometheus's test language, run against the evaluator.
struct PromQLTestFile {
    struct Evaluation {
        let line: Int
        let isFailure: Bool
        let isOrdered: Bool
        let time: Int64
        let query: String
        var expected: [String] = []
    }

    /// What went wrong, with its line.
    private(set) var problems: [String] = []
    private(set) var evaluations = 0

    mutating func run(_ text: String) throws {
        var store = MemorySeries()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var at = 0
        while at < lines.count {
            let line = lines[at].trimmingCharacters(in: .whitespaces)
            let number = at + 1
            at += 1
            if line.isEmpty || line.hasPrefix("#") { continue }
            if line == "clear" {
                store = MemorySeries()
                continue
            }
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            var block: [String] = []
            while at < lines.count, lines[at].first?.isWhitespace == true,
                !lines[at].trimmingCharacters(in: .whitespaces).isEmpty
            {
                let inner = lines[at].trimmingCharacters(in: .whitespaces)
                if !inner.hasPrefix("#") { block.append(inner) }
                at += 1
            }
            if words[0] == "load" {
                for line in block { try store.load(line, step: try PromQLDuration.parse(words[1]).get()) }
                continue
            }
            evaluations += 1
            let hasTime = words[2] == "at"
            let time = hasTime ? try PromQLDuration.parse(words[3]).get() : 0
            let query = words[(hasTime ? 4 : 2)...].joined(separator: " ")
            let evaluation = Evaluation(
                line: number, isFailure: words[0] == "eval_fail", isOrdered: words[0] == "eval_ordered", time: time,
                query: query, expected: block)
            check(evaluation, store)
        }
    }

    private mutating func check(_ evaluation: Evaluation, _ store: MemorySeries) {
        let place = "line \(evaluation.line): \(evaluation.query)"
        do {
            let expression = try PromQLExpression(parsing: evaluation.query)
            let result = try expression.evaluate(over: store, at: evaluation.time)
            if evaluation.isFailure {
                problems.append("\(place)\n  did not fail")
                return
            }
            try compare(result.value, evaluation, place)
            // What is printed reads back as the same.
            let again = try PromQLExpression(parsing: expression.description)
            if again.description != expression.description { problems.append("\(place)\n  printed \(again)") }
            let same = try again.evaluate(over: store, at: evaluation.time)
            try compare(same.value, evaluation, "\(place)\n  (as \(again))")
            // A drawing begins and ends elsewhere.
            let isOfItsEnds = evaluation.query.contains("start()") || evaluation.query.contains("end()")
            if evaluation.isOrdered || isOfItsEnds { return }
            let range = try expression.evaluateRange(
                over: store, from: evaluation.time - 60_000, through: evaluation.time + 60_000, stepMilliseconds: 60_000
            )
            try compare(Self.instant(range.value, at: evaluation.time, result.value), evaluation, "\(place)\n  (range)")
        } catch {
            if !evaluation.isFailure { problems.append("\(place)\n  \(error)") }
        }
    }

    /// The middle of a drawing.
    private static func instant(_ value: QueryValue, at time: Int64, _ like: QueryValue) -> QueryValue {
        guard case .matrix(let series) = value else { return value }
        let elements = series.compactMap { series in
            series.samples.first { $0.timestamp == time }.map {
                VectorElement(labels: series.labels, timestamp: time, value: $0.value, histogram: $0.histogram)
            }
        }
        if case .scalar = like, let only = elements.first { return .scalar(time, only.value) }
        return .vector(elements)
    }

    private mutating func compare(_ value: QueryValue, _ evaluation: Evaluation, _ place: String) throws {
        switch value {
        case .scalar(_, let number):
            let expected = try SeriesLine.number(evaluation.expected.first ?? "")
            if !Self.areClose(number, expected) { problems.append("\(place)\n  got \(number), not \(expected)") }
        case .vector(let elements):
            let expected = try evaluation.expected.map { line in
                let series = try SeriesLine(line)
                return (series.labels, series.values.first.flatMap(\.self) ?? .nan)
            }
            let got = elements.map { "\($0.labels) \($0.value)" }.joined(separator: "\n    ")
            if elements.count != expected.count {
                problems.append("\(place)\n  expected \(expected.count) elements, got:\n    \(got)")
                return
            }
            for (index, (labels, value)) in expected.enumerated() {
                let element =
                    evaluation.isOrdered ? elements[index] : elements.first { $0.labels == labels }
                guard let element, element.labels == labels, Self.areClose(element.value, value) else {
                    problems.append("\(place)\n  expected \(labels) \(value), got:\n    \(got)")
                    return
                }
            }
        default: problems.append("\(place)\n  a kind that no file asks for: \(value)")
        }
    }

    static func areClose(_ a: Double, _ b: Double) -> Bool {
        if a.isNaN && b.isNaN || a == b { return true }
        if a.isInfinite || b.isInfinite || a.isNaN || b.isNaN { return false }
        let difference = (a - b).magnitude
        return difference < 1e-300 || difference <= 1e-6 * max(a.magnitude, b.magnitude)
    }
}
