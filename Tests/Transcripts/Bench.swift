import Foundation
import KernelStructures
import KernelWorld
import ShellLab
import ShellTranscripts

typealias LabNet = LabOptions.Net

/// Runs the text of transcripts in this process, as `sdlab test` does.
enum Bench {
    /// The tags of the lab's components.
    static let tags: [String] = try! Lab(LabOptions()).session.commands.tags
    static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/"
    static let name = "bench.sdl"

    static func parse(
        _ text: String, name: String = name, isPasted: Bool = false,
        loader: @escaping TranscriptParser.Loader = TranscriptParser.refuseIncludes
    ) throws -> Transcript {
        try TranscriptParser.parse(text, name: name, tags: tags, isPasted: isPasted, loader: loader)
    }

    /// What is wrong with a text; nil if nothing is.
    static func error(_ text: String, isPasted: Bool = false) -> TranscriptError? {
        do {
            _ = try parse(text, isPasted: isPasted)
            return nil
        } catch {
            return error as? TranscriptError
        }
    }

    static func run(
        _ transcript: Transcript, net: LabOptions.Net? = nil, seed: UInt64? = nil, seeds: Int = 1, workers: Int = 1,
        journal: Bool = false
    ) -> [CaseResult] {
        var options = TestOptions()
        options.net = net
        options.seed = seed
        options.seedCount = seeds
        options.keepsJournal = journal
        return TestRun(options, tags: tags, workers: workers).run([transcript])
    }

    static func run(_ text: String, net: LabOptions.Net? = nil) throws -> [CaseResult] {
        run(try TestRun.transcript(text, name: name, tags: tags), net: net)
    }

    /// The first failure of a text; nil if it passes.
    static func failure(_ text: String, net: LabOptions.Net? = nil) throws -> CaseFailure? {
        try run(text, net: net).compactMap(\.failure).first
    }

    /// Lab time that the only case of a text took.
    static func elapsed(_ text: String) throws -> LabDuration { try run(text)[0].elapsed }

    static func update(_ text: String, name: String = name) throws -> Updater.Result {
        try Updater(TestOptions(), tags: tags).update(text, name: name)
    }

    static func session01() throws -> String {
        try String(contentsOfFile: root + "scripts/sessions/01-load-balancer.sdl", encoding: .utf8)
    }

    /// What `work` makes of each of the elements, in their order, on as many threads as there are processors.
    static func map<T: Sendable, R: Sendable>(_ elements: [T], _ work: @escaping @Sendable (T) -> R) -> [R] {
        let results = Results<R>(elements.count)
        DispatchQueue.concurrentPerform(iterations: elements.count) { results.set($0, work(elements[$0])) }
        return results.all
    }

    private final class Results<R: Sendable>: @unchecked Sendable {
        private var values: [R?]
        private let lock = NSLock()
        init(_ count: Int) { values = Array(repeating: nil, count: count) }
        func set(_ index: Int, _ value: R) { lock.withLock { values[index] = value } }
        var all: [R] { values.map { $0! } }
    }
}

extension CaseResult {
    var hasPassed: Bool { if case .passed = outcome { true } else { false } }
    var skipReason: String? { if case .skipped(let reason) = outcome { reason } else { nil } }
}

/// A directory that is gone when the test is.
final class Scratch {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "sdlab-transcripts-\(UUID().uuidString)/"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ text: String, _ name: String) throws -> String {
        try text.write(toFile: path + name, atomically: true, encoding: .utf8)
        return path + name
    }

    func read(_ name: String) throws -> String { try String(contentsOfFile: path + name, encoding: .utf8) }
}

/// The built program, from outside.
enum BuiltProgram {
    struct Outcome {
        let status: Int
        let output: String
        let errors: String
    }

    /// It is built beside the tests.
    static var path: String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let beside = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/sdlab"
        return FileManager.default.isExecutableFile(atPath: beside) ? beside : Bench.root + ".build/release/sdlab"
    }

    static func run(_ arguments: [String], in directory: String = Bench.root) throws -> Outcome {
        try start(path, arguments, in: directory)
    }

    /// A line for the shell in which `sdlab` means the built program.
    static func shell(_ line: String, in directory: String = Bench.root) throws -> Outcome {
        try start("/bin/sh", ["-c", "sdlab() { \"$SDLAB\" \"$@\"; }; " + line], in: directory)
    }

    private static func start(_ program: String, _ arguments: [String], in directory: String) throws -> Outcome {
        let scratch = try Scratch()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        var environment = ProcessInfo.processInfo.environment
        environment["SDLAB"] = path
        environment["NO_COLOR"] = "1"
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        // Files, not pipes: neither can fill up and block the program.
        for name in ["out", "err"] { _ = FileManager.default.createFile(atPath: scratch.path + name, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: scratch.path + "out")
        process.standardError = FileHandle(forWritingAtPath: scratch.path + "err")
        try process.run()
        process.waitUntilExit()
        return Outcome(
            status: Int(process.terminationStatus), output: try scratch.read("out"), errors: try scratch.read("err"))
    }
}
