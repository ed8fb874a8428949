import KernelStructures
import LogModelEngine
import PromQLEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogQLEngine

/// Logs of a few streams with numbers in them, in random order of time, and what can be asked of them.
struct RandomLogs {
    var random: SeededRandom
    var entries: [(labels: Labels, time: Int64, line: String)] = []
    static let millisecond: Int64 = 1_000_000

    init(seed: UInt64, streams: Int = 4, count: Int = 120) {
        random = SeededRandom(seed: seed)
        for stream in 0..<streams {
            let labels: Labels = ["app": stream % 2 == 0 ? "web" : "db", "pod": "p\(stream)"]
            var time: Int64 = 0
            for _ in 0..<count / streams {
                time += Int64(1 + random.below(900)) * Self.millisecond
                let level = ["info", "error", "warn"][random.below(3)]
                let value = random.below(40)
                let members = ["\"level\":\"\(level)\"", "\"n\":\(value)", "\"took\":\"\(value)ms\""]
                let json = "{" + members.joined(separator: ",") + ",\"msg\":\"Request \(value) done\"}"
                let logfmt = "level=\(level) n=\(value).5 took=\(value)s msg=\"request \(value)\""
                let line = random.below(3) == 0 ? json : logfmt
                entries.append((labels, time, line))
            }
        }
    }

    func logs(takesHints: Bool, chunkEntries: Int = 7) -> MemoryLogs {
        let logs = MemoryLogs(chunkEntries: chunkEntries, takesHints: takesHints)
        for labels in Set(entries.map(\.labels)).sorted() {
            logs.add(labels, entries.filter { $0.labels == labels }.map { ($0.time, $0.line) })
        }
        return logs
    }

    mutating func pick(_ choices: [String]) -> String { choices[random.below(choices.count)] }

    mutating func stages() -> String {
        (0...random.below(3)).map { _ in
            pick([
                "|= \"error\"", "!= \"info\"", "|~ \"[rR]equest [0-9]\"", "| json", "| logfmt", "| logfmt | n > 10",
                "| logfmt | json | drop __error__, __error_details__ | level=\"error\"", "| pattern \"level=<l> <_>\"",
                "|> \"<_>request<_>\"", "| search \"level:error OR msg:request\"", "| search \"request AND NOT warn\"",
                "| logfmt | label_format lvl=level", "| search \"n:>=20 level:*\"",
                "| logfmt | level=\"warn\" or n < 5",
                "| line_format \"{{.pod}} {{__line__}}\"", "| fields level, n",
            ])
        }.joined(separator: " ")
    }

    mutating func selector() -> String {
        pick(["{app=\"web\"}", "{app=~\"web|db\"}", "{app=~\".+\", pod!=\"p1\"}", "{pod=\"p2\"}"])
    }
}

@Suite("LogQL over many lines")
struct LineQueryTests {
    @Test("random queries give what a walk over all lines gives, with and without an index, whole and in pieces")
    func bruteForce() throws {
        for seed in 0..<UInt64(isLong ? 2_000 : 60) {
            var data = RandomLogs(seed: seed)
            let query = data.selector() + " " + data.stages()
            let expression = try LogQLExpression(parsing: query)
            guard case .log(let pipeline) = expression.root else { return }
            var request = LogQLRequest(
                from: Int64(data.random.below(8_000)) * RandomLogs.millisecond,
                through: Int64(5_000 + data.random.below(12_000)) * RandomLogs.millisecond)
            request.limit = [3, 20, 5_000][data.random.below(3)]
            request.direction = data.random.below(2) == 0 ? .forward : .backward
            let wanted = Self.walk(data, pipeline, request)
            for takesHints in [false, true] {
                let logs = data.logs(takesHints: takesHints)
                let whole = try LogQLRun(expression, over: logs, request).finish()
                #expect(Self.texts(whole) == wanted, "seed \(seed): \(query), hints: \(takesHints)")
                let run = try LogQLRun(expression, over: logs, request)
                var pieces: LogQLResult?
                while pieces == nil { pieces = try run.advance(lines: 1) }
                #expect(pieces == whole)
            }
        }
    }

    static func texts(_ result: LogQLResult) -> [String] {
        guard case .lines(let entries) = result.value else { return [] }
        return entries.map { "\($0.timestamp) \($0.labels) \($0.text)" }
    }

    private static func walk(_ data: RandomLogs, _ pipeline: LogPipeline, _ request: LogQLRequest) -> [String] {
        var found: [(time: Int64, labels: Labels, text: String)] = []
        for (labels, time, line) in data.entries {
            guard time >= request.from, time < request.through, pipeline.matchers.allSatisfy({ $0.matches(labels) })
            else { continue }
            Array(line.utf8).withUnsafeBytes { bytes in
                var state = LineState(raw: bytes, stream: labels, metadata: [:], timestamp: time)
                guard pipeline.stages.allSatisfy({ $0.apply(&state) }) else { return }
                found.append((time, labels, "\(time) \(state.labels) \(String(decoding: state.line, as: UTF8.self))"))
            }
        }
        found.sort { ($0.time, $0.labels) < ($1.time, $1.labels) }
        if request.direction == .backward { found.reverse() }
        return found.prefix(request.limit).map(\.text)
    }

    @Test("the range has its beginning in it, and not its end")
    func edges() throws {
        let logs = MemoryLogs()
        logs.add(["app": "web"], [(10, "a"), (20, "b"), (30, "c")])
        let expression = try LogQLExpression(parsing: "{app=\"web\"}")
        let result = try LogQLRun(expression, over: logs, LogQLRequest(from: 10, through: 30)).finish()
        #expect(Self.texts(result) == ["20 {app=\"web\"} b", "10 {app=\"web\"} a"])
    }

    @Test("limits are refused with their reasons")
    func limits() throws {
        let logs = MemoryLogs()
        logs.add(["app": "web"], (0..<50).map { (Int64($0), "n=\($0) " + String(repeating: "x", count: 100)) })
        var limits = LogQLLimits()
        limits.entries = 10
        limits.resultBytes = 500
        limits.series = 5
        limits.figures = 20
        func error(_ query: String, _ change: (inout LogQLRequest) -> Void = { _ in }) throws -> String {
            var request = LogQLRequest(from: 0, through: 100_000_000)
            request.limit = 10
            change(&request)
            let expression = try LogQLExpression(parsing: query)
            let error = #expect(throws: LogQLError.self) {
                try LogQLRun(expression, over: logs, request, limits: limits).finish()
            }
            return error?.description ?? ""
        }
        #expect(try error("{app=\"web\"}") { $0.limit = 11 }.contains("max entries limit per query exceeded"))
        #expect(try error("{app=\"web\"}").contains("more than 500 bytes"))
        #expect(try error("count_over_time({app=\"web\"} | logfmt [1m])").contains("maximum number of series (5)"))
        #expect(
            try error("quantile_over_time(0.5, {app=\"web\"} | logfmt | unwrap n [1m]) by (app)")
                .contains("more than 20 figures"))
        #expect(
            try error("rate({app=\"web\"}[1m])") {
                $0.stepNanoseconds = 1_000_000
                $0.through = 20_000_000_000
            }.contains("exceeded maximum resolution of 11000 points"))
        #expect(try error("rate({app=\"web\"}[1m])") { $0.stepNanoseconds = 1 }.contains("zero or negative"))
    }
}

@Suite("LogQL's range aggregations")
struct RangeTests {
    private static let operations = [
        "count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time", "avg_over_time", "min_over_time",
        "max_over_time", "first_over_time", "last_over_time", "stddev_over_time", "stdvar_over_time",
        "quantile_over_time", "absent_over_time",
    ]

    @Test("the figures of windows are those of all numbers in them")
    func bruteForce() throws {
        for seed in 0..<UInt64(isLong ? 2_000 : 80) {
            var data = RandomLogs(seed: seed)
            let operation = data.pick(Self.operations)
            let isOfLines = ["count_over_time", "rate", "bytes_over_time", "bytes_rate"].contains(operation)
            let unwrap =
                isOfLines || operation == "absent_over_time"
                ? "" : " | logfmt | __error__=\"\" | unwrap n | __error__=\"\""
            let stages = data.pick([
                "", "|= \"error\"", "| search \"level:error\"", "| logfmt | level=\"warn\" | drop __error__",
            ])
            let range = Int64(1 + data.random.below(6_000))
            let offset = data.random.below(2) == 0 ? 0 : Int64(data.random.below(3_000))
            let grouping =
                unwrap.isEmpty || operation == "sum_over_time" ? "" : data.pick(["", " by (app)", " without (pod, n)"])
            let query =
                "\(operation)(" + (operation == "quantile_over_time" ? "0.7, " : "")
                + "{app=~\"web|db\"} \(stages)\(unwrap) [\(range)ms] offset \(offset)ms)\(grouping)"
            let expression = try LogQLExpression(parsing: query)
            var request = LogQLRequest(
                from: Int64(data.random.below(4_000)) * RandomLogs.millisecond, through: 15_000 * RandomLogs.millisecond
            )
            request.stepNanoseconds = Int64(1 + data.random.below(2_000)) * RandomLogs.millisecond
            let result = try LogQLRun(expression, over: data.logs(takesHints: true), request).finish()
            guard case .metric(let metric) = expression.root, case .range(let aggregation) = metric.node,
                case .numbers(.matrix(let series)) = result.value
            else {
                Issue.record("no matrix")
                return
            }
            let wanted = NaiveRange(aggregation, data).matrix(request)
            #expect(series.map(\.labels) == wanted.map(\.labels), "seed \(seed): \(query)")
            for (one, other) in zip(series, wanted) {
                #expect(one.samples.map(\.timestamp) == other.samples.map(\.time), "seed \(seed): \(query)")
                for (a, b) in zip(one.samples, other.samples) {
                    #expect(abs(a.value - b.value) <= 1e-9 * max(1, abs(b.value)), "seed \(seed): \(query)")
                }
            }
        }
    }

    @Test("range aggregations agree with PromQL's over series made of the lines")
    func againstPromQL() throws {
        for seed in 0..<UInt64(isLong ? 500 : 25) {
            var data = RandomLogs(seed: seed)
            let series = DerivedSeries(data)
            let function = data.pick([
                "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "stddev_over_time",
                "stdvar_over_time", "last_over_time", "quantile_over_time", "rate_counter",
            ])
            let parameter = function == "quantile_over_time" ? "0.3, " : ""
            let range = Int64(500 + data.random.below(6_000))
            let sum = data.pick([
                "%", "sum by (app) (%)", "max(%)", "topk(2, %)", "% > 4", "2 * % - 1", "% / on (pod) %",
            ])
            func filled(_ leaf: String) -> String {
                sum.split(separator: "%", omittingEmptySubsequences: false).joined(separator: leaf)
            }
            let logQL = filled("\(function)(\(parameter){app=~\".+\"} | fields n | unwrap n [\(range)ms])")
            // PromQL's window of 2.42 has both its ends in it; times are whole milliseconds.
            let name = function == "rate_counter" ? "rate" : function
            let promQL = filled(
                "\(name)(\(parameter){app=~\".+\"}[\(function == "rate_counter" ? range : range - 1)ms])")
            var request = LogQLRequest(from: 1_000_000_000, through: 14_000_000_000)
            request.stepNanoseconds = 700_000_000
            let numbers = try LogQLRun(LogQLExpression(parsing: logQL), over: data.logs(takesHints: false), request)
                .finish()
            let other = try PromQLExpression(parsing: promQL).evaluateRange(
                over: series, from: 1_000, through: 14_000, stepMilliseconds: 700)
            guard case .numbers(.matrix(let mine)) = numbers.value, case .matrix(let theirs) = other.value else {
                Issue.record("no matrix")
                return
            }
            #expect(mine.map(\.labels) == theirs.map(\.labels), "seed \(seed): \(logQL)")
            for (one, other) in zip(mine, theirs) {
                #expect(one.samples.map(\.timestamp) == other.samples.map(\.timestamp), "seed \(seed): \(logQL)")
                for (a, b) in zip(one.samples, other.samples) {
                    let isSame = a.value.isNaN && b.value.isNaN || abs(a.value - b.value) <= 1e-9 * max(1, abs(b.value))
                    #expect(isSame, "seed \(seed): \(logQL)")
                }
            }
        }
    }

    @Test("a window is (T - range, T]")
    func edges() throws {
        let logs = MemoryLogs()
        logs.add(
            ["app": "web"],
            [(10_000_000_000, "a"), (11_000_000_000, "b"), (20_000_000_000, "c"), (20_000_000_001, "d")])
        let expression = try LogQLExpression(parsing: "count_over_time({app=\"web\"}[10s])")
        let result = try LogQLRun(expression, over: logs, LogQLRequest(from: 0, through: 20_000_000_000)).finish()
        guard case .numbers(.vector(let elements)) = result.value else { return }
        #expect(elements.map(\.value) == [2])
    }

    @Test("a sum over labels needs no series for each line")
    func pushedDown() throws {
        let logs = MemoryLogs()
        logs.add(["app": "web"], (0..<2_000).map { (Int64($0), "id=\($0) level=\($0 % 2 == 0 ? "a" : "b")") })
        let query = "sum by (level) (count_over_time({app=\"web\"} | logfmt [1m]))"
        let result = try LogQLRun(
            LogQLExpression(parsing: query), over: logs, LogQLRequest(from: 0, through: 30_000_000_000)
        ).finish()
        guard case .numbers(.vector(let elements)) = result.value else { return }
        #expect(elements.map { "\($0.labels) \($0.value)" } == ["{level=\"a\"} 1000.0", "{level=\"b\"} 1000.0"])
    }

    @Test("a line with an error fails a metric query, in words that help")
    func pipelineErrors() throws {
        let logs = MemoryLogs()
        logs.add(["app": "web"], [(5, "n=x"), (6, "n=1")])
        func run(_ query: String) throws -> QueryValue? {
            let result = try LogQLRun(
                LogQLExpression(parsing: query), over: logs, LogQLRequest(from: 0, through: 60_000_000_000)
            ).finish()
            if case .numbers(let value) = result.value { return value }
            return nil
        }
        let error = #expect(throws: LogQLError.self) {
            try run("sum_over_time({app=\"web\"} | logfmt | unwrap n [2m])")
        }
        #expect(error?.description.hasPrefix("pipeline error: 'SampleExtractionErr' for series: '{") == true)
        guard
            case .vector(let elements)? = try run(
                "sum_over_time({app=\"web\"} | logfmt | unwrap n | __error__=\"\" [2m])")
        else {
            return
        }
        #expect(elements.map(\.value) == [1])
    }
}

/// A range aggregation as its definition says: for every moment a walk over all lines.
private struct NaiveRange {
    let aggregation: RangeAggregation
    let data: RandomLogs

    init(_ aggregation: RangeAggregation, _ data: RandomLogs) {
        self.aggregation = aggregation
        self.data = data
    }

    func matrix(_ request: LogQLRequest) -> [(labels: Labels, samples: [(time: Int64, value: Double)])] {
        var rows: [Labels: [(time: Int64, value: Double)]] = [:]
        let step = request.stepNanoseconds / RandomLogs.millisecond
        for time in stride(
            from: request.from / RandomLogs.millisecond, through: request.through / RandomLogs.millisecond,
            by: Int(step))
        {
            for (labels, value) in values(at: time * RandomLogs.millisecond) {
                rows[labels, default: []].append((time, value))
            }
        }
        return rows.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private func values(at time: Int64) -> [(Labels, Double)] {
        let end = time - aggregation.offsetNanoseconds
        var found: [Labels: [(time: Int64, value: Double)]] = [:]
        for entry in data.entries.sorted(by: { ($0.time, $0.labels) < ($1.time, $1.labels) })
        where entry.time > end - aggregation.rangeNanoseconds && entry.time <= end {
            guard aggregation.pipeline.matchers.allSatisfy({ $0.matches(entry.labels) }) else { continue }
            Array(entry.line.utf8).withUnsafeBytes { bytes in
                var state = LineState(raw: bytes, stream: entry.labels, metadata: [:], timestamp: entry.time)
                guard aggregation.pipeline.stages.allSatisfy({ $0.apply(&state) }) else { return }
                var value = Double(state.line.count)
                var pairs = state.labels.pairs.map { ($0.name, $0.value) }
                if aggregation.unwrap != nil {
                    guard let number = state.value(of: "n").flatMap(Double.init) else { return }
                    value = number
                    pairs.removeAll { $0.0 == "n" }
                }
                if let grouping = aggregation.grouping {
                    pairs.removeAll { grouping.labels.contains($0.0) == grouping.isWithout }
                }
                found[Labels(pairs), default: []].append((entry.time, value))
            }
        }
        if aggregation.operation == .absentOverTime { return found.isEmpty ? [([:], 1)] : [] }
        return found.map { ($0.key, value(of: $0.value.map(\.value))) }
    }

    private func value(of values: [Double]) -> Double {
        let seconds = Double(aggregation.rangeNanoseconds) / 1e9
        let count = Double(values.count)
        let sum = values.reduce(0, +)
        let variance = values.map { ($0 - sum / count) * ($0 - sum / count) }.reduce(0, +) / count
        switch aggregation.operation {
        case .countOverTime: return count
        case .rate: return count / seconds
        case .bytesRate: return sum / seconds
        case .bytesOverTime, .sumOverTime: return sum
        case .avgOverTime: return sum / count
        case .minOverTime: return values.min() ?? 0
        case .maxOverTime: return values.max() ?? 0
        case .firstOverTime: return values[0]
        case .lastOverTime: return values[values.count - 1]
        case .stdvarOverTime: return variance
        case .stddevOverTime: return variance.squareRoot()
        case .quantileOverTime:
            let sorted = values.sorted()
            let rank = aggregation.quantile * (count - 1)
            let low = sorted[Int(rank)]
            let high = sorted[min(values.count - 1, Int(rank) + 1)]
            return low + (high - low) * (rank - rank.rounded(.down))
        case .rateCounter, .absentOverTime: return .nan
        }
    }
}

/// The lines' numbers as Prometheus would have scraped them.
private struct DerivedSeries: Queryable {
    private var columns: [Labels: SampleColumn] = [:]

    init(_ data: RandomLogs) {
        for entry in data.entries {
            Array(entry.line.utf8).withUnsafeBytes { line in
                guard let value = LineFields(line).values(of: "n").first.flatMap(Double.init) else { return }
                columns[entry.labels, default: SampleColumn()].append(entry.time / RandomLogs.millisecond, value)
            }
        }
    }

    func select(_ matchers: [LabelMatcher], _ selection: Selection) throws(QueryableError) -> [SelectedSeries] {
        columns.sorted { $0.key < $1.key }.map {
            SelectedSeries(labels: $0.key, source: Source(column: $0.value, selection: selection))
        }
    }

    private struct Source: SampleSource {
        let column: SampleColumn
        let selection: Selection

        func read(into target: inout SampleColumn) throws(QueryableError) {
            for (time, value) in zip(column.timestamps, column.values)
            where time >= selection.from && time <= selection.through { target.append(time, value) }
        }
    }
}

@Suite("Templates of lines")
struct PatternTests {
    @Test("lines that differ in their words are one template, with gaps where they differ")
    func templates() {
        var patterns = LinePatterns()
        for index in 0..<1_000 {
            let line =
                index % 10 == 0
                ? "Connection to 10.0.0.\(index % 7):5432 refused after \(index)ms"
                : "user=\(["anna", "bert", "carl"][index % 3]) action=login status=ok took=\(index)ms"
            Array(line.utf8).withUnsafeBytes { patterns.add($0, at: Int64(index) * 1_000_000_000) }
        }
        #expect(
            patterns.patterns.map { "\($0.count) \($0.text)" } == [
                "900 user=<_> action=login status=ok took=<_>", "100 Connection to <_> refused after <_>",
            ])
        #expect(patterns.patterns[0].samples.count == 100 && patterns.patterns[0].samples[0] == (0, 9))
    }

    @Test("every template is a filter that finds all its lines")
    func filters() throws {
        var data = RandomLogs(seed: 3, count: 600)
        var patterns = LinePatterns()
        for entry in data.entries { Array(entry.line.utf8).withUnsafeBytes { patterns.add($0, at: entry.time) } }
        var total = 0
        for pattern in patterns.patterns {
            let filter = try LinePattern(parsing: pattern.text, needsCapture: false)
            let found = data.entries.count { entry in Array(entry.line.utf8).withUnsafeBytes(filter.matches) }
            #expect(found >= pattern.count, "\(pattern.text)")
            total += pattern.count
        }
        #expect(total == data.entries.count && patterns.patterns.count < 20)
        _ = data.random.next()
    }

    @Test("random lines make no more templates than there may be")
    func bounded() {
        var random = SeededRandom(seed: 1)
        var patterns = LinePatterns(templateLimit: 50)
        for index in 0..<3_000 {
            let line = (0...random.below(20)).map { _ in "w\(Character(Unicode.Scalar(UInt8(97 + random.below(26)))))" }
                .joined(separator: " ")
            Array(line.utf8).withUnsafeBytes { patterns.add($0, at: Int64(index)) }
        }
        #expect(patterns.patterns.count <= 50)
    }
}

@Suite("What the store is told")
struct HintTests {
    private func hint(_ query: String) throws -> LogHint {
        guard case .log(let pipeline) = try LogQLExpression(parsing: query).root else { return .anything }
        return pipeline.hint
    }

    @Test("what a line must have is what stages in front of any change ask for")
    func hints() throws {
        #expect(try hint(#"{a="b"} |= "x" != "y" |~ "z""#) == .contains(Array("x".utf8)))
        #expect(
            try hint(#"{a="b"} |= "x" or "y" | json | level="error""#)
                == .all([
                    .any([.contains(Array("x".utf8)), .contains(Array("y".utf8))]),
                    .any([.field("level", "error"), .contains(Array("error".utf8))]),
                ]))
        #expect(
            try hint(#"{} | search "level:error timeout""#)
                == .all([.any([.field("level", "error"), .all([.word("error")])]), .all([.word("timeout")])]))
        #expect(try hint(#"{} | search "a OR code:>5""#) == .anything)
        #expect(try hint(#"{} | search "NOT a""#) == .anything)
    }

    @Test("nothing is asked of the stored line that only a changed one has")
    func changedLines() throws {
        #expect(try hint(#"{a="b"} | line_format "{{.x}}" |= "y""#) == .anything)
        #expect(try hint(#"{a="b"} | decolorize |= "y""#) == .anything)
        #expect(try hint(#"{a="b"} | label_format l="{{.x}}-z" | l="y-z""#) == .anything)
        #expect(try hint(#"{a="b"} | json l="x.y" | l="z""#) == .anything)
        #expect(try hint(#"{a="b"} | json | l!="z" | l="a/b""#) == .anything)
    }
}
