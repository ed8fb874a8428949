import Foundation
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Reading pages of metrics: what stands in them, and what is no page.
@Suite struct ExpositionTests {
    private struct Line: Equatable {
        let series: Labels
        let value: UInt64
        let timestamp: Int64?
    }

    /// All samples, with their labels taken apart.
    private func read(_ text: String, openMetrics: Bool = false) throws -> [Line] {
        try Array(text.utf8).withUnsafeBytes { raw in
            var reader = ExpositionReader(raw, openMetrics ? .openMetrics : .text)
            var lines: [Line] = []
            while let entry = try reader.next() {
                guard case .sample(let sample) = entry else { continue }
                let pairs = try SeriesText.labels(reader.slice(sample.series), isOpenMetrics: openMetrics)
                lines.append(
                    Line(series: Labels(pairs), value: sample.value.bitPattern, timestamp: sample.timestamp))
            }
            return lines
        }
    }

    private func one(_ text: String, openMetrics: Bool = false) throws -> Line? {
        let lines = try read(text + (openMetrics ? "\n# EOF\n" : ""), openMetrics: openMetrics)
        return lines.count == 1 ? lines[0] : nil
    }

    @Test func samples() throws {
        #expect(try one("up 1") == Line(series: ["__name__": "up"], value: 1.0.bitPattern, timestamp: nil))
        #expect(
            try one("  a:b { x = \"1\" , y=\"\\\"\\\\\\n\\q\" ,} -2.5e3\t1000 \n")
                == Line(
                    series: ["__name__": "a:b", "x": "1", "y": "\"\\\n\\q"], value: (-2500.0).bitPattern,
                    timestamp: 1000))
    }

    @Test(
        arguments: [
            ("+Inf", Double.infinity), ("-Inf", -.infinity), ("inf", .infinity), ("0.1", 0.1), ("1e400", nil),
            ("123456789012345678", 123_456_789_012_345_678), ("-0", -0.0), ("4.9e-324", 4.9e-324), ("0x1p3", nil),
            ("1_000", nil), ("", nil), (".5", 0.5), ("5.", 5), (".", nil), ("1e", nil), ("+1", 1),
            ("1.7976931348623157e308", 1.7976931348623157e308),
            ("0.1000000000000000055511151231257827", 0.1),
        ] as [(String, Double?)])
    func numbers(text: String, value: Double?) throws {
        let read = Array(text.utf8).withUnsafeBytes { NumberText.double($0) }
        #expect(read?.bitPattern == value?.bitPattern)
    }

    @Test func notANumberIsOneOfTwoBitPatterns() throws {
        #expect(try one("x NaN")?.value == Staleness.ordinaryNaN.bitPattern)
    }

    /// The quick way of reading numbers gives what the library gives.
    @Test func quickNumbersAreTheNearestOnes() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<20_000 {
            var text = random.chance(0.3) ? "-" : ""
            for _ in 0..<1 + random.below(12) { text += "\(random.below(10))" }
            if random.chance(0.7) {
                text += "."
                for _ in 0..<random.below(8) { text += "\(random.below(10))" }
            }
            let read = Array(text.utf8).withUnsafeBytes { NumberText.double($0) }
            #expect(read?.bitPattern == strtod(text, nil).bitPattern, "\(text)")
        }
    }

    @Test(arguments: [
        "1up 1", "up", "up x", "up{ 1", "up{a=1} 1", "up{a=\"1} 1", "up{a=\"1\" b=\"2\"} 1", "up{a=\"1\",a=\"2\"} 1",
        "up 1 2 3", "up 1 x", "{a=\"1\"} 1", "up{1a=\"x\"} 1", "up 1 99999999999999999999", "# TYPE up banana",
        "# TYPE up",
        "up{a=\"\u{0}\"}",
    ])
    func mistakes(text: String) { #expect(throws: (any Error).self) { try read(text) } }

    @Test func aValueMustBeUTF8() {
        let bytes: [UInt8] = Array("up{a=\"".utf8) + [0xFF] + Array("\"} 1\n".utf8)
        bytes.withUnsafeBytes { raw in
            var reader = ExpositionReader(raw, .text)
            guard case .sample(let sample)? = try? reader.next() else { return #expect(Bool(false)) }
            #expect(throws: SeriesText.Malformed.self) {
                try SeriesText.labels(reader.slice(sample.series), isOpenMetrics: false)
            }
        }
    }

    @Test func openMetricsIsStricter() throws {
        #expect(try one("up 1 1.5", openMetrics: true)?.timestamp == 1500)
        let page =
            "# TYPE a counter\n# UNIT a_seconds seconds\n# HELP a x\na_total 1 # {trace_id=\"7\"} 0.5 1.25\n# EOF\n"
        try Array(page.utf8).withUnsafeBytes { raw in
            var reader = ExpositionReader(raw, .openMetrics)
            var found: ExpositionReader.Sample?
            while let entry = try reader.next() { if case .sample(let sample) = entry { found = sample } }
            let exemplar = try #require(found?.exemplar)
            #expect(exemplar.value == 0.5 && exemplar.timestamp == 1250)
            #expect(reader.text(exemplar.labels) == "{trace_id=\"7\"}")
        }
        for text in [
            "up 1", "up 1\n\n# EOF\n", "up  1\n# EOF\n", "up 1\n# EOF\nup 2\n", "# comment\n# EOF\n",
            "up 1 NaN\n# EOF\n",
        ] {
            #expect(throws: (any Error).self, "\(text)") { try read(text, openMetrics: true) }
        }
    }

    /// Prometheus's own page of examples, and OpenMetrics's.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: vectors), "the vectors are not there"))
    func examplesOfOthers() throws {
        let text = try String(contentsOfFile: Self.vectors + "/promtestdata.txt", encoding: .utf8)
        let lines = try read(text)
        let count = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.count
        #expect(lines.count == count && count > 200)
        let open = try String(contentsOfFile: Self.vectors + "/alltypes.5mfs.om.txt", encoding: .utf8)
        #expect(try read(open, openMetrics: true).count == 53)
    }

    private static let vectors =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        + "/../shared/vectors/promql/exposition"

    /// Whatever the bytes are: an error or samples, and each sample's text stands in the page.
    @Test func anyBytes() throws {
        var random = SeededRandom(seed: 77)
        let seed = Array("# TYPE a counter\na_total{x=\"1\",y=\"\\n\"} 1.5e3 12 # {t=\"u\"} 1 2\n# EOF\n".utf8)
        for _ in 0..<5000 {
            var bytes = seed
            for _ in 0..<1 + random.below(5) {
                switch random.below(3) {
                case 0: bytes[random.below(bytes.count)] = UInt8(random.below(256))
                case 1: bytes.remove(at: random.below(bytes.count))
                default: bytes.insert(seed[random.below(seed.count)], at: random.below(bytes.count))
                }
            }
            bytes.withUnsafeBytes { raw in
                var reader = ExpositionReader(raw, random.chance(0.5) ? .text : .openMetrics)
                do {
                    while let entry = try reader.next() {
                        guard case .sample(let sample) = entry else { continue }
                        #expect(sample.series.upperBound <= bytes.count && !sample.series.isEmpty)
                        _ = try? SeriesText.labels(reader.slice(sample.series), isOpenMetrics: false)
                    }
                } catch {
                    #expect("\(error)".hasPrefix("line "))
                }
            }
        }
    }
}
