import Foundation
import KernelStorage
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Debian's `promtool` reads our directory, and we read what it writes.
@Suite(.enabled(if: Promtool.canRun, "promtool is not installed: scripts/setup test"))
struct PromtoolTests {
    private let place = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-tsdb-\(UUID().uuidString)")

    private func store(_ directory: String) throws -> TimeSeriesStore {
        var settings = StoreSettings()
        settings.retentionMilliseconds = 0
        return try TimeSeriesStore(
            settings: settings, disk: NodeDisk(base: try FileDisk(root: place.path), owner: DiskOwner(1)),
            directory: directory, random: SeededRandom(seed: 3))
    }

    @Test func ourBlocksAreListedAnalyzedAndDumped() throws {
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let store = try store("/data")
        var expected: Set<String> = []
        for step in 0..<2200 {
            let time = 1_700_000_000_000 + Int64(step) * 30_000
            for (name, value) in [("up", 1.0), ("temperature", Double(step % 7) - 3.25), ("größe", 0)] {
                let labels: Labels = [
                    "__name__": name == "größe" ? "size" : name, "job": "nöde \"x\"", "n": "\(step / 800)",
                ]
                try store.append(labels, time, value)
                if step % 50 == 0 {
                    store.add([Exemplar(series: labels, labels: ["trace_id": "\(step)"], value: 1, timestamp: time)])
                }
                if name != "größe" { expected.insert("\(labels) \(sampleText(value)) \(time)") }
            }
        }
        while store.maintain(now: 1_700_000_000_000) {}
        try store.close()
        #expect(store.blocks.count >= 3)
        let data = place.path + "/data"
        let list = try Promtool.run(["tsdb", "list", data])
        #expect(list.split(separator: "\n").count == store.blocks.count + 1)
        let analysis = try Promtool.run(["tsdb", "analyze", data])
        #expect(analysis.contains("Series: 3\n"))
        // Blocks and the log together: every sample once.
        let dump = try Promtool.run(["tsdb", "dump", data, "--match", "{__name__!=\"size\"}"])
        #expect(
            Set(dump.split(separator: "\n").map { Promtool.normalized(String($0)) })
                == Set(expected.map(Promtool.normalized)))
    }

    @Test func weReadTheBlocksOfPromtool() throws {
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        var page = "# TYPE jobs counter\n"
        var expected: [Int64: Double] = [:]
        for step in 0..<900 {
            page += "jobs_total{queue=\"a\"} \(step * 3) \(1_700_000_000 + step * 15)\n"
            expected[(1_700_000_000 + Int64(step) * 15) * 1000] = Double(step * 3)
        }
        page += "# EOF\n"
        let file = place.appendingPathComponent("page.txt")
        try page.write(to: file, atomically: true, encoding: .utf8)
        _ = try Promtool.run(["tsdb", "create-blocks-from", "openmetrics", file.path, place.path + "/data"])
        let store = try store("/data")
        #expect(store.problems == [])
        #expect(!store.blocks.isEmpty)
        var column = SampleColumn()
        let selection = Selection(from: 0, through: SampleTime.range.upperBound)
        let series = try store.select([.equal("queue", "a")], selection)
        #expect(series.map(\.labels) == [["__name__": "jobs_total", "queue": "a"]])
        try series.first?.read(into: &column)
        let found = Dictionary(uniqueKeysWithValues: zip(column.timestamps, column.values))
        #expect((found == expected) == true)
    }
}

/// Debian's promtool.
enum Promtool {
    private static let path = "/usr/bin/promtool"

    static var canRun: Bool {
        ProcessInfo.processInfo.environment["CI"] != nil || FileManager.default.isExecutableFile(atPath: path)
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    static func run(_ arguments: [String]) throws -> String {
        let output = FileManager.default.temporaryDirectory.appendingPathComponent(
            "sdlab-promtool-\(UUID().uuidString)")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        let text = String(decoding: (try? Data(contentsOf: output)) ?? Data(), as: UTF8.self)
        guard process.terminationStatus == 0 else {
            throw Failure(description: "promtool \(arguments.joined(separator: " ")): \(text)")
        }
        return text
    }

    /// `{__name__="up", job="x"} 1 1700000000000`, whichever way the name is written.
    static func normalized(_ line: String) -> String {
        guard let brace = line.firstIndex(of: "{"), brace != line.startIndex else { return line }
        return "{__name__=\"\(line[..<brace])\", " + line[line.index(after: brace)...]
    }
}
