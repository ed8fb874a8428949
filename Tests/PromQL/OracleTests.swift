import Foundation
import KernelStructures
import TestSupport
import Testing
import TimeSeriesEngine

@testable import PromQLEngine

/// Debian's Prometheus beside us, on the same samples.
@Suite("Prometheus itself as oracle")
struct OracleTests {
    static let canRun =
        isLong
        && (ProcessInfo.processInfo.environment["CI"] != nil
            || (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
                FileManager.default.isExecutableFile(atPath: "\($0)/prometheus")
            })

    @Test(
        "queries by chance give what Prometheus gives, at a moment and in a drawing",
        .enabled(if: canRun, "only the long form has Prometheus run beside us"))
    func differential() throws {
        let data = OracleData(seed: 7)
        var grammar = ExpressionGrammar(seed: UInt64(ProcessInfo.processInfo.environment["SDLAB_SEED"] ?? "") ?? 1)
        let count = Int(ProcessInfo.processInfo.environment["SDLAB_QUERIES"] ?? "") ?? 5000
        var questions: [OracleQuestion] = []
        for index in 0..<count {
            let time = OracleData.startMilliseconds + Int64(grammar.random.below(3_700_000))
            questions.append(OracleQuestion(query: grammar.query(), time: time, isRange: index % 3 == 0))
        }
        let answers = try OracleServer.ask(questions, data.openMetrics)
        #expect(answers.count == questions.count)
        var problems: [String] = []
        var errors = 0
        for (question, answer) in zip(questions, answers) {
            if answer["status"] as? String == "error" { errors += 1 }
            // 2.42 finds nothing there.
            if question.query.contains("timestamp("), question.query.contains("@"), question.query.contains("offset") {
                continue
            }
            if let problem = question.difference(from: answer, data.store) {
                problems.append(
                    "\(question.isRange ? "range" : "instant") at \(question.time): \(question.query)\n  \(problem)")
            }
        }
        print("\(count) queries, \(errors) errors in both, \(problems.count) differences")
        #expect(problems.isEmpty, "\(problems.count) of \(count):\n\(problems.prefix(40).joined(separator: "\n"))")
    }
}

struct OracleQuestion {
    let query: String
    let time: Int64
    let isRange: Bool

    static let stepMilliseconds: Int64 = 37_000

    var end: Int64 { time + 20 * Self.stepMilliseconds }

    /// How our answer differs; nil if it does not.
    func difference(from answer: [String: Any], _ store: MemorySeries) -> String? {
        let ours: QueryValue
        do {
            let expression = try PromQLExpression(parsing: query)
            ours =
                isRange
                ? try expression.evaluateRange(
                    over: store, from: time, through: end, stepMilliseconds: Self.stepMilliseconds
                ).value : try expression.evaluate(over: store, at: time).value
        } catch {
            guard let theirs = answer["error"] as? String else { return "we fail: \(error)" }
            let text = "\(error)"
            return Self.head(theirs) == Self.head(text) ? nil : "we: \(text)\n  it: \(theirs)"
        }
        if let error = answer["error"] as? String { return "it fails: \(error)" }
        guard let data = answer["data"] as? [String: Any] else { return "no data" }
        return compare(ours, data)
    }

    /// An error up to what depends on the order of series.
    private static func head(_ text: String) -> String {
        let text = text.replacingOccurrences(of: "invalid parameter \"query\": ", with: "")
        // A drawing may have both; which one is seen first depends on the way through steps and series.
        if text.hasPrefix("found duplicate series") || text.hasPrefix("multiple matches") { return "no unique match" }
        return text
    }

    private func compare(_ ours: QueryValue, _ data: [String: Any]) -> String? {
        switch ours {
        case .scalar(_, let value):
            guard let result = data["result"] as? [Any], let text = result.last as? String else { return "no scalar" }
            return isSame(value, text) ? nil : "we: \(value), it: \(text)"
        case .string: return "a string"
        case .vector(let elements):
            guard let result = data["result"] as? [[String: Any]] else { return "no vector" }
            let own = elements.map { (labels: $0.labels, samples: [(time: $0.timestamp, value: $0.value)]) }
            let theirs = result.map { (Self.labels($0), [$0["value"] as? [Any] ?? []]) }
            return compare(own, theirs, isOrdered: query.hasPrefix("topk"))
        case .matrix(let series):
            guard let result = data["result"] as? [[String: Any]] else { return "no matrix" }
            let own = series.map {
                (labels: $0.labels, samples: $0.samples.map { (time: $0.timestamp, value: $0.value) })
            }
            return compare(own, result.map { (Self.labels($0), $0["values"] as? [[Any]] ?? []) }, isOrdered: true)
        }
    }

    private static func labels(_ series: [String: Any]) -> Labels {
        Labels((series["metric"] as? [String: String] ?? [:]).map { ($0.key, $0.value) })
    }

    private func compare(
        _ ours: [(labels: Labels, samples: [(time: Int64, value: Double)])],
        _ theirs: [(labels: Labels, samples: [[Any]])],
        isOrdered: Bool
    ) -> String? {
        guard ours.count == theirs.count else {
            return
                "we have \(ours.count) series \(ours.prefix(3).map(\.labels)), "
                + "it \(theirs.count) \(theirs.prefix(3).map(\.labels))"
        }
        var own = ours
        var other = theirs
        if !isOrdered {
            own.sort { $0.labels < $1.labels }
            other.sort { $0.labels < $1.labels }
        }
        for (mine, its) in zip(own, other) {
            if mine.labels != its.labels { return "we: \(mine.labels), it: \(its.labels)" }
            if mine.samples.count != its.samples.count {
                return "\(mine.labels): we have \(mine.samples.count) samples, it \(its.samples.count)"
            }
            for (sample, pair) in zip(mine.samples, its.samples) {
                guard let time = pair.first as? Double, let text = pair.last as? String else { return "a bad pair" }
                guard Int64((time * 1000).rounded()) == sample.time, isSame(sample.value, text) else {
                    return "\(mine.labels) at \(sample.time): we: \(sample.value), it: \(text) at \(time)"
                }
            }
        }
        return nil
    }

    private func isSame(_ value: Double, _ text: String) -> Bool {
        guard let other = ClassicHistogram.bound(text) else { return false }
        if value.isNaN || other.isNaN { return value.isNaN && other.isNaN }
        if value == other { return true }
        if value.isInfinite || other.isInfinite { return false }
        // Spreads of large and nearly equal values lose digits, in whatever order they are added.
        let tolerance = query.contains("std") ? 1e-5 : 1e-9
        return (value - other).magnitude <= tolerance * max(value.magnitude, other.magnitude) + 1e-12
    }
}

/// A Prometheus over blocks that promtool has made.
enum OracleServer {
    static func ask(_ questions: [OracleQuestion], _ openMetrics: String) throws -> [[String: Any]] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-oracle-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(openMetrics.utf8).write(to: folder.appendingPathComponent("metrics.txt"))
        let list = questions.map { question -> [String: Any] in
            [
                "query": question.query, "time": Double(question.time) / 1000, "isRange": question.isRange,
                "end": Double(question.end) / 1000, "step": Double(OracleQuestion.stepMilliseconds) / 1000,
            ]
        }
        try JSONSerialization.data(withJSONObject: list).write(to: folder.appendingPathComponent("questions.json"))
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", program, folder.path]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw SeriesLine.Failure(description: "the oracle ended with \(process.terminationStatus)")
        }
        let answers = try Data(contentsOf: folder.appendingPathComponent("answers.json"))
        return try JSONSerialization.jsonObject(with: answers) as? [[String: Any]] ?? []
    }

    private static let program = #"""
        import http.client, json, socket, subprocess, sys, time, urllib.parse
        folder = sys.argv[1]
        make = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder + "/metrics.txt", folder + "/data"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        probe = socket.socket(); probe.bind(("127.0.0.1", 0)); port = probe.getsockname()[1]; probe.close()
        open(folder + "/prometheus.yml", "w").write("global: {}\n")
        server = subprocess.Popen(
            ["prometheus", "--config.file=" + folder + "/prometheus.yml", "--storage.tsdb.path=" + folder + "/data",
             "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:%d" % port, "--log.level=error"])
        try:
            def ask(path, **form):
                connection.request("POST", path, urllib.parse.urlencode(form),
                                   {"Content-Type": "application/x-www-form-urlencoded"})
                return json.loads(connection.getresponse().read())
            for attempt in range(600):
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port)
                    connection.request("GET", "/-/ready")
                    response = connection.getresponse(); response.read()
                    if response.status == 200: break
                except OSError: pass
                time.sleep(0.1)
            answers = []
            for q in json.load(open(folder + "/questions.json")):
                if q["isRange"]:
                    form = dict(query=q["query"], start=q["time"], end=q["end"], step=q["step"])
                    answers.append(ask("/api/v1/query_range", **form))
                else:
                    answers.append(ask("/api/v1/query", query=q["query"], time=q["time"]))
            json.dump(answers, open(folder + "/answers.json", "w"))
        finally:
            server.kill(); server.wait()
        """#
}
