import KernelStructures
import KernelTelemetry
import Testing

@Suite("Pages of metrics")
struct ExpositionTests {
    private static func page(_ format: ExpositionFormat, _ fill: (inout MetricWriter) -> Void) -> String {
        var writer = MetricWriter(format)
        fill(&writer)
        return String(decoding: writer.finish(), as: UTF8.self)
    }

    private func fill(_ page: inout MetricWriter) {
        page.counter("http_requests_total", "Requests \\ so \"far\"\nall of them", 3, [("path", "/a\"b\\c\nd")])
        page.counter("oddly_named", "A counter without its suffix", 1)
        page.gauge("temperature", "Degrees", -0.5)
        for value in [.infinity, -.infinity, .nan, 1e21, 3.0] { page.gauge("odd", "Odd", value, [("v", "\(value)")]) }
        page.family("seconds", .histogram, "Durations") {
            $0.histogram(bounds: [0.5, 1], counts: [2, 0, 1], sum: 4.25, [("a", "b")])
        }
        page.family("whatever", .unknown, "Unknown") { $0.add(1) }
        page.family("empty", .gauge, "Nothing in it") { _ in }
    }

    @Test("the text format 0.0.4, byte for byte")
    func text() {
        #expect(
            Self.page(.text, fill) == #"""
                # HELP http_requests_total Requests \\ so "far"\nall of them
                # TYPE http_requests_total counter
                http_requests_total{path="/a\"b\\c\nd"} 3
                # HELP oddly_named A counter without its suffix
                # TYPE oddly_named counter
                oddly_named 1
                # HELP temperature Degrees
                # TYPE temperature gauge
                temperature -0.5
                # HELP odd Odd
                # TYPE odd gauge
                odd{v="inf"} +Inf
                odd{v="-inf"} -Inf
                odd{v="nan"} NaN
                odd{v="1e+21"} 1e+21
                odd{v="3.0"} 3
                # HELP seconds Durations
                # TYPE seconds histogram
                seconds_bucket{a="b",le="0.5"} 2
                seconds_bucket{a="b",le="1.0"} 2
                seconds_bucket{a="b",le="+Inf"} 3
                seconds_sum{a="b"} 4.25
                seconds_count{a="b"} 3
                # HELP whatever Unknown
                # TYPE whatever untyped
                whatever 1

                """#)
    }

    @Test("OpenMetrics names counters without _total, escapes more, and ends")
    func openMetrics() {
        let page = Self.page(.openMetrics, fill)
        #expect(
            page.hasPrefix(
                #"""
                # HELP http_requests Requests \\ so \"far\"\nall of them
                # TYPE http_requests counter
                http_requests_total{path="/a\"b\\c\nd"} 3
                # HELP oddly_named A counter without its suffix
                # TYPE oddly_named unknown
                oddly_named 1

                """#))
        #expect(page.hasSuffix("# TYPE whatever unknown\nwhatever 1\n# EOF\n"))
        #expect(Self.page(.openMetrics) { _ in } == "# EOF\n" && Self.page(.text) { _ in } == "")
    }

    @Test("a bucket's newest observation within a trace stands beside it, in OpenMetrics only")
    func exemplars() throws {
        let registry = MetricRegistry()
        let family = try registry.histograms(
            "took_seconds", "Durations", labels: ["route"], buckets: HistogramBuckets([0.5, 1]))
        let trace = try #require(TraceID("5b8efff798038103d269b633813fc60c"))
        let other = try #require(TraceID(high: 0, low: 7))
        let time = LabTime.documentedEpoch
        family.with("/").observe(0.25, in: other, at: time)
        family.with("/").observe(0.125, in: trace, at: time + .milliseconds(1_004))
        family.with("/").observe(0.75)
        family.with("/").observe(3, in: other, at: LabTime(nanoseconds: -1_000_000))
        family.with("/").observe(.nan, in: trace, at: time)
        family.with("/none").observe(0.25)
        let page = String(decoding: registry.page(.openMetrics), as: UTF8.self)
        let lines = page.split(separator: "\n").dropFirst(2).map { String($0) }
        let bucket = "took_seconds_bucket{route=\"/\",le="
        #expect(
            Array(lines.prefix(4)) == [
                "\(bucket)\"0.5\"} 2 # {trace_id=\"5b8efff798038103d269b633813fc60c\"} 0.125 1703084401.004",
                "\(bucket)\"1.0\"} 3",
                "\(bucket)\"+Inf\"} 4 # {trace_id=\"00000000000000000000000000000007\"} 3",
                "took_seconds_sum{route=\"/\"} 4.125",
            ])
        #expect(lines.contains("took_seconds_bucket{route=\"/none\",le=\"0.5\"} 1") && lines.last == "# EOF")
        let text = String(decoding: registry.page(.text), as: UTF8.self)
        #expect(!text.contains("trace_id") && text.contains("took_seconds_bucket{route=\"/\",le=\"0.5\"} 2\n"))
    }

    @Test("the samples of a family stand together, whoever adds them, and one name has one kind")
    func together() {
        var writer = MetricWriter()
        writer.gauge("a", "A", 1, [("n", "1")])
        writer.gauge("b", "B", 2)
        writer.gauge("a", "another text", 3, [("n", "2")])
        writer.counter("a", "A", 4)
        writer.gauge("no name", "A", 5)
        #expect(writer.problems == ["a is both a gauge and a counter", "'no name' is no name of a metric"])
        let lines = String(decoding: writer.finish(), as: UTF8.self).split(separator: "\n").filter { $0.first != "#" }
        #expect(lines == ["a{n=\"1\"} 1", "a{n=\"2\"} 3", "b 2"])
    }

    @Test("a family has a limit, and the page says what was left out")
    func limit() {
        let page = Self.page(.text) { page in
            page.family("many", .gauge, "Many") { samples in
                for number in 0..<MetricWriter.sampleLimit + 7 { samples.add(number, [("n", "\(number)")]) }
            }
        }
        #expect(page.hasSuffix("\nmetric_samples_dropped 7\n"))
    }

    @Test("OpenMetrics is for those who prefer it")
    func negotiation() {
        let prometheus = """
            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2
            """
        let cases: [(String?, ExpositionFormat)] = [
            (nil, .text), ("", .text), ("*/*", .text), ("text/html", .text), (prometheus, .openMetrics),
            ("application/openmetrics-text", .openMetrics), ("application/openmetrics-text; version=2.0.0", .text),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.5", .text),
            ("text/plain;q=0.2, Application/OpenMetrics-Text ; Q=0.9", .openMetrics),
            ("application/openmetrics-text;q=0", .text), ("application/openmetrics-text;q=x", .text), (";;,,q=", .text),
        ]
        for (accept, format) in cases {
            #expect(ExpositionFormat.negotiated(accept: accept) == format, "\(accept ?? "-")")
        }
    }

    @Test("what is written is what is read, whatever labels and numbers hold", arguments: 0..<40)
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let letters: [Character] = ["a", "\\", "\"", "\n", "é", "{", "}", ",", "=", " ", "\r", "n", "😀"]
        func text() -> String { String((0..<random.below(8)).map { _ in letters[random.below(letters.count)] }) }
        var expected: [Sample] = []
        let format = random.chance(0.5) ? ExpositionFormat.text : .openMetrics
        let page = Self.page(format) { page in
            for family in 0..<5 {
                let name = "family_\(family)"
                page.family(name, .gauge, text()) { samples in
                    for series in 0..<random.below(6) {
                        let labels = [("series", "\(series)"), ("x", text()), ("y", text())]
                        let value = Double(bitPattern: random.next())
                        samples.add(value, labels)
                        expected.append(Sample(name: name, labels: labels, value: value))
                    }
                }
            }
        }
        let found = try PageReader(page).samples
        #expect(found.count == expected.count)
        for (found, expected) in zip(found, expected) {
            #expect(found.name == expected.name && found.labels.elementsEqual(expected.labels) { $0 == $1 })
            #expect(found.value == expected.value || found.value.isNaN && expected.value.isNaN)
        }
    }
}

private struct Sample {
    let name: String
    let labels: [(String, String)]
    let value: Double
}

/// Reads a page strictly, by the grammar and not by the writer.
private struct PageReader {
    private(set) var samples: [Sample] = []
    struct Malformed: Error { let line: String }

    init(_ page: String) throws {
        for line in page.split(separator: "\n", omittingEmptySubsequences: true) where line.first != "#" {
            samples.append(try Self.sample(line))
        }
    }

    private static func sample(_ line: Substring) throws -> Sample {
        var scalars = line.unicodeScalars[...]
        let malformed = Malformed(line: String(line))
        var name = ""
        while let next = scalars.first, next.properties.isAlphabetic || next == "_" || ("0"..."9").contains(next) {
            name.unicodeScalars.append(scalars.removeFirst())
        }
        var labels: [(String, String)] = []
        if scalars.first == "{" {
            repeat {
                scalars.removeFirst()
                guard let equals = scalars.firstIndex(of: "=") else { throw malformed }
                let label = String(scalars[..<equals])
                scalars = scalars[scalars.index(after: equals)...]
                guard scalars.popFirst() == "\"" else { throw malformed }
                var value = ""
                while let next = scalars.popFirst(), next != "\"" {
                    guard next == "\\" else {
                        value.unicodeScalars.append(next)
                        continue
                    }
                    switch scalars.popFirst() {
                    case "n": value += "\n"
                    case "\\": value += "\\"
                    case "\"": value += "\""
                    default: throw malformed
                    }
                }
                labels.append((label, value))
            } while scalars.first == ","
            guard scalars.popFirst() == "}" else { throw malformed }
        }
        guard scalars.popFirst() == " " else { throw malformed }
        let number = String(scalars)
        switch number {
        case "+Inf": return Sample(name: name, labels: labels, value: .infinity)
        case "-Inf": return Sample(name: name, labels: labels, value: -.infinity)
        case "NaN": return Sample(name: name, labels: labels, value: .nan)
        default:
            guard let value = Double(number) else { throw malformed }
            return Sample(name: name, labels: labels, value: value)
        }
    }
}
