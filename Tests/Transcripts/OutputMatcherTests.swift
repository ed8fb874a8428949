import KernelStructures
import ShellTranscripts
import Testing

@Suite("Laying expected output over real output") struct OutputMatcherTests {
    enum Kind: CaseIterable { case a, b, optionalA, either, any }

    static func element(_ kind: Kind) throws -> OutputMatcher.Element {
        switch kind {
        case .a: .line(try LinePattern(reading: "a"))
        case .b: .line(try LinePattern(reading: "b"))
        case .optionalA: .line(try LinePattern(reading: "a (?)"))
        case .either: .line(try LinePattern(reading: "<id>"))
        case .any: .any
        }
    }

    /// By trying everything, whether the lines are what is expected.
    static func oracle(_ kinds: ArraySlice<Kind>, _ lines: ArraySlice<String>) -> Bool {
        guard let kind = kinds.first else { return lines.isEmpty }
        let rest = kinds.dropFirst()
        let takesOne =
            lines.first.map { line in
                switch kind {
                case .a, .optionalA: line == "a"
                case .b: line == "b"
                case .either, .any: true
                }
            } ?? false
        switch kind {
        case .any: return oracle(rest, lines) || (takesOne && oracle(kinds, lines.dropFirst()))
        case .optionalA: return oracle(rest, lines) || (takesOne && oracle(rest, lines.dropFirst()))
        default: return takesOne && oracle(rest, lines.dropFirst())
        }
    }

    /// As the runner does it: one expectation after the other, then the end.
    static func accepts(_ elements: [OutputMatcher.Element], _ lines: [String]) -> Bool {
        var matcher = OutputMatcher()
        for element in elements {
            matcher.append(element)
            guard matcher.expect(in: lines) == .matched else { return false }
        }
        return matcher.finish(with: lines) == nil
    }

    @Test("It agrees with trying everything, for all short lists of expectations and all short outputs")
    func oracleAgreement() throws {
        var table: [Kind: OutputMatcher.Element] = [:]
        for kind in Kind.allCases { table[kind] = try Self.element(kind) }
        var outputs: [[String]] = [[]]
        var shapes: [[Kind]] = [[]]
        var longest = outputs
        var deepest = shapes
        for _ in 0..<4 {
            longest = longest.flatMap { output in ["a", "b"].map { output + [$0] } }
            deepest = deepest.flatMap { shape in Kind.allCases.map { shape + [$0] } }
            outputs += longest
            shapes += deepest
        }
        var wrong: [String] = []
        var accepted = 0
        for shape in shapes {
            let elements = shape.map { table[$0]! }
            for output in outputs {
                let expected = Self.oracle(shape[...], output[...])
                accepted += expected ? 1 : 0
                if Self.accepts(elements, output) != expected {
                    wrong.append("\(shape) over \(output): not \(expected)")
                }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.count) differ, the first: \(wrong.first ?? "")")
        #expect(accepted > 1000)
    }

    @Test("It agrees with trying everything where lines arrive bit by bit")
    func arrival() throws {
        var random = SeededRandom(seed: 11)
        for _ in 0..<3000 {
            let shape = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                Kind.allCases.randomElement(using: &random)!
            }
            let output = (0..<Int.random(in: 0...7, using: &random)).map { _ in Bool.random(using: &random) ? "a" : "b"
            }
            var matcher = OutputMatcher()
            var arrived = 0
            var fits = true
            for kind in shape where fits {
                matcher.append(try Self.element(kind))
                while true {
                    let verdict = matcher.expect(in: Array(output[..<arrived]))
                    if verdict == .matched { break }
                    if verdict == .mismatch || arrived == output.count {
                        fits = false
                        break
                    }
                    arrived += 1
                }
            }
            fits = fits && matcher.finish(with: output) == nil
            #expect(fits == Self.oracle(shape[...], output[...]), "\(shape) over \(output)")
        }
    }

    @Test("The first line too many is the one that is named, and empty lines at the end are none")
    func surplus() throws {
        var matcher = OutputMatcher()
        matcher.append(try Self.element(.a))
        #expect(matcher.expect(in: ["a", "b", "b"]) == .matched)
        #expect(matcher.finish(with: ["a", "b", "b"]) == 1)
        var second = OutputMatcher()
        second.append(try Self.element(.a))
        #expect(second.expect(in: ["a", "", ""]) == .matched)
        #expect(second.finish(with: ["a", "", ""]) == nil)
    }

    @Test("After `...` the expected last line must be the last")
    func anyThenLast() throws {
        var matcher = OutputMatcher()
        matcher.append(.any)
        _ = matcher.expect(in: ["a", "b"])
        matcher.append(try Self.element(.b))
        #expect(matcher.expect(in: ["a", "b"]) == .matched)
        #expect(matcher.finish(with: ["a", "b", "a"]) == 2)
    }
}
