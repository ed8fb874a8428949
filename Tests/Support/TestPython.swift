import Foundation

/// The Python of the tests' own environment, which `scripts/setup test` makes: other people's libraries as oracles.
///
/// Where it is missing a test is skipped (`.enabled(if: TestPython.canRun)`), but not with `CI` in the environment.
public enum TestPython {
    /// The package's directory: three levels above this file.
    private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    public static let path = root + "/.build/venv-test/bin/python"

    public static var canRun: Bool {
        ProcessInfo.processInfo.environment["CI"] != nil || FileManager.default.isExecutableFile(atPath: path)
    }

    public struct Failure: Error, CustomStringConvertible { public let description: String }

    /// Runs a program to its end and returns what it printed.
    ///
    /// - Parameter input: its standard input.
    /// - Throws: `Failure` with its errors if its status is not 0, or if there is no such Python.
    public static func run(_ program: String, input: String = "") throws -> String {
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure(description: "\(path) is missing: run scripts/setup test")
        }
        // Through files: a pipe would fill up while nobody reads the other one.
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "sdlab-python-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = { (name: String) in directory.appendingPathComponent(name) }
        try Data(input.utf8).write(to: file("input"))
        for name in ["output", "errors"] { try Data().write(to: file(name)) }
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["-c", program]
        process.standardInput = try FileHandle(forReadingFrom: file("input"))
        process.standardOutput = try FileHandle(forWritingTo: file("output"))
        process.standardError = try FileHandle(forWritingTo: file("errors"))
        try process.run()
        process.waitUntilExit()
        let text = { (name: String) in String(decoding: (try? Data(contentsOf: file(name))) ?? Data(), as: UTF8.self) }
        guard process.terminationStatus == 0 else {
            throw Failure(description: "python ended with \(process.terminationStatus): \(text("errors"))")
        }
        return text("output")
    }
}
