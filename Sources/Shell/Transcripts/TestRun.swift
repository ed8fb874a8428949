import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage
import Synchronization

/// Runs the cases of many files, several at a time, and gives the results in the order of the files.
public struct TestRun {
    private let options: TestOptions
    private let tags: [String]
    /// Cases at a time.
    private let workers: Int

    public init(_ options: TestOptions, tags: [String], workers: Int) {
        self.options = options
        self.tags = tags
        self.workers = workers
    }

    /// Why a case is not for this machine, or this way of running; nil if it is.
    public static func reasonToSkip(_ one: TranscriptCase, net: LabOptions.Net, speed: ClockSpeed) -> String? {
        CaseConditions.reasonToSkip(one.settings, net: net, speed: speed)
    }

    private struct Job: Sendable {
        let transcriptCase: TranscriptCase
        let file: String
        let seed: UInt64
    }

    /// Reads a file: a transcript, or a script of commands all of which must succeed.
    ///
    /// - Throws: `TranscriptError` for the first thing wrong with its text, if it cannot be read, and if there is
    ///   nothing in it to run: a test that tests nothing passes for ever.
    public func read(_ path: String) throws -> Transcript {
        let transcript = try Self.transcript(try Self.text(of: path), name: path, tags: tags)
        guard transcript.cases.contains(where: { $0.items.contains { $0.runsSomething } }) else {
            throw TranscriptError(SourcePlace(file: path, line: 1), "there is no command in it")
        }
        return transcript
    }

    static func text(of path: String) throws(TranscriptError) -> String {
        do { return try ScriptText.read(path) } catch {
            throw TranscriptError(SourcePlace(file: path, line: 1), error.description)
        }
    }

    package static func transcript(_ text: String, name: String, tags: [String]) throws(TranscriptError) -> Transcript {
        if Transcript.isTranscript(text) {
            return try TranscriptParser.parse(text, name: name, tags: tags) { try Self.text(of: $0) }
        }
        let place = SourcePlace(file: name, line: 1)
        do {
            let script = try Parser.parse(text)
            let lines = TranscriptParser.lines(of: text)
            let items = [
                TranscriptItem(place: place, lastLine: lines.count, source: [], kind: .command(script, text: text)),
                TranscriptItem(place: place, lastLine: lines.count, source: [], kind: .expectation(.anyLines)),
            ]
            var settings = CaseSettings()
            settings.stopsAtFailure = true
            let only = TranscriptCase(
                name: TranscriptParser.baseName(name), place: place, settings: settings, items: items, files: [])
            return Transcript(name: name, lines: lines, cases: [only])
        } catch {
            throw TranscriptError(
                .init(file: name, line: error.position.line), column: error.position.column, error.text)
        }
    }

    /// The `.sdl` files that a path means: itself, or all below it if it is a directory.
    public static func files(_ path: String) -> [String] {
        guard HostFile.isDirectory(path) else { return [path] }
        let directory = path.hasSuffix("/") ? path : path + "/"
        return HostFile.list(path).filter { !$0.hasPrefix(".") }.flatMap { name in
            HostFile.isDirectory(directory + name)
                ? files(directory + name) : name.hasSuffix(".sdl") ? [directory + name] : []
        }
    }

    /// Runs every case of the transcripts with each seed.
    public func run(_ transcripts: [Transcript]) -> [CaseResult] {
        var jobs: [Job] = []
        for transcript in transcripts {
            for one in transcript.cases where options.caseName == nil || one.name == options.caseName {
                let first = options.seed ?? one.settings.seed
                for offset in 0..<options.seedCount {
                    jobs.append(Job(transcriptCase: one, file: transcript.name, seed: first &+ UInt64(offset)))
                }
            }
        }
        let results = Mutex([CaseResult?](repeating: nil, count: jobs.count))
        let work = jobs
        let options = options
        HostWorkers.run(count: min(workers, jobs.count), jobs: jobs.count) { index in
            let job = work[index]
            let result = CaseExecution.run(job.transcriptCase, file: job.file, seed: job.seed, options: options)
            results.withLock { $0[index] = result }
        }
        return results.withLock { $0.compactMap { $0 } }
    }
}

extension TranscriptItem {
    fileprivate var runsSomething: Bool {
        if case .command(let script, _) = kind { !script.statements.isEmpty } else { false }
    }
}
