import KernelStructures
import Testing
import TimeSeriesEngine

/// Names of series, and the numbers of answers.
@Suite struct LabelsTests {
    @Test func theOrderOfLabelsIsNoPartOfTheName() {
        let labels = Labels([("b", "2"), ("a", "1"), ("c", ""), ("a", "3")])
        #expect(labels == ["a": "3", "b": "2"])
        #expect(labels.hashValue == (["b": "2", "a": "3"] as Labels).hashValue)
        #expect(labels.count == 2 && labels["c"] == "" && !labels.has("c") && labels["a"] == "3")
        #expect(labels.setting("aa", to: "x") == ["a": "3", "aa": "x", "b": "2"])
        #expect(labels.setting("a", to: "") == ["b": "2"] && labels.setting("z", to: "1")["z"] == "1")
        #expect("\(labels.setting("__name__", to: "up"))" == "up{a=\"3\", b=\"2\"}")
    }

    /// Swift takes these for equal texts; they are two labels.
    @Test func whatLooksAlikeIsNotTheSame() {
        #expect("\u{E9}" == "e\u{301}")
        #expect((["a": "\u{E9}"] as Labels) != ["a": "e\u{301}"])
        #expect(LabelMatcher.equal("a", "\u{E9}").matches("e\u{301}") == false)
    }

    @Test func longValues() {
        let text = String(repeating: "x", count: 100_000)
        let labels: Labels = ["a": text, "b": "y"]
        #expect(labels["a"] == text && labels["b"] == "y" && labels.count == 2)
    }

    @Test func bytesThatAreNoLabelsEndEarly() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<2000 {
            let bytes = (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
            let labels = Labels(packed: bytes)
            var total = 0
            labels.forEachBytes { total += $0.count + $1.count }
            #expect(total <= bytes.count)
        }
    }

    @Test func orderIsThatOfNamesThenValues() {
        let sorted: [Labels] = [
            [:], ["a": "1"], ["a": "1", "b": "1"], ["a": "10"], ["a": "2"], ["aa": "1"], ["b": "1"],
        ]
        for (i, left) in sorted.enumerated() {
            for (j, right) in sorted.enumerated() { #expect((left < right) == (i < j), "\(left) \(right)") }
        }
    }

    @Test func matchers() throws {
        #expect(try LabelMatcher("a", .matches, "x|y").matches("y"))
        #expect(try !LabelMatcher("a", .matches, "x").matches("xx"))
        #expect(try LabelMatcher("a", .doesNotMatch, "x.*").matches("yx"))
        #expect(try LabelMatcher("a", .notEqual, "x").matchesEmpty)
        #expect(try LabelMatcher("a", .matches, "x|").matchesEmpty)
        // (a+)+b of thirty a's: an engine that goes back would take a thousand years.
        let slow = try LabelMatcher("a", .matches, "(a+)+b")
        #expect(!slow.matches(String(repeating: "a", count: 10_000)))
        #expect(throws: (any Error).self) { try LabelMatcher("a", .matches, "(") }
    }

    @Test(arguments: [
        (0.1, "0.1"), (1e21, "1e+21"), (123_456_789_012_345_680_000, "123456789012345680000"), (1e-7, "1e-07"),
        (0.000001, "0.000001"), (-1.5, "-1.5"), (1847, "1847"), (-0.0, "-0"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (1703084400.5, "1703084400.5"),
        (0.30000000000000004, "0.30000000000000004"), (1e20, "100000000000000000000"),
    ])
    func numbersAsPrometheusWritesThem(value: Double, text: String) { #expect(sampleText(value) == text) }
}
