import Foundation
import Testing

@testable import PromQLEngine

/// Prometheus's own test files (2.42), which are not in this repository.
@Suite("Prometheus's test files")
struct VectorTests {
    static let folder =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/../shared/vectors/promql"
    static let names = ["literals", "operators", "selectors", "aggregators", "functions", "staleness"]

    @Test(
        "every evaluation gives what the file says, at one moment and in a drawing",
        .enabled(
            if: FileManager.default.fileExists(atPath: folder), "the files are not here: ../shared/vectors/promql"),
        arguments: names)
    func file(_ name: String) throws {
        var file = PromQLTestFile()
        try file.run(try String(contentsOfFile: "\(Self.folder)/\(name).test", encoding: .utf8))
        #expect(file.evaluations > 10)
        #expect(
            file.problems.isEmpty,
            "\(file.problems.count) of \(file.evaluations):\n\(file.problems.joined(separator: "\n"))")
    }
}

/// Answers of Prometheus 2.42 that were written down.
@Suite struct RecordedTests {
    @Test(
        "what Prometheus 2.42 has answered is what we answer",
        arguments: [RecordedCases.histogramsAndTimes, RecordedCases.namesAndOperators])
    func recorded(_ cases: String) throws {
        var file = PromQLTestFile()
        try file.run(RecordedCases.series + cases)
        #expect(file.evaluations > 60)
        #expect(
            file.problems.isEmpty,
            "\(file.problems.count) of \(file.evaluations):\n\(file.problems.joined(separator: "\n"))")
    }
}
