import CommandKit
import Commands
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellTranscripts

/// `sdlab test PATH…`: runs transcripts and says where they differ from what happens.
struct TestCommand {
    private let arguments: ParsedArguments
    private let output: HostOutput
    private let options: TestOptions

    init(_ arguments: ParsedArguments, _ output: HostOutput) throws(UsageError) {
        self.arguments = arguments
        self.output = output
        let lab = try LabOptions(arguments)
        var options = TestOptions()
        options.net = arguments.text("net") == nil ? nil : lab.net
        options.speed = arguments.text("clock") == nil ? nil : lab.speed
        options.seed = arguments.text("seed") == nil ? nil : lab.seed
        options.seedCount = arguments.integer("seeds") ?? 1
        options.caseName = arguments.text("case")
        options.keepsJournal = arguments.has("journal")
        self.options = options
    }

    func run() throws -> Int {
        let files = try self.files()
        if arguments.has("update") { return try update(files) }
        let test = TestRun(
            options, tags: Catalog.table.tags, workers: arguments.integer("jobs") ?? HostLimits.processorCount)
        var transcripts: [Transcript] = []
        var errors = 0
        for file in files {
            do {
                transcripts.append(try test.read(file))
            } catch {
                output.write("sdlab: \(error)\n", isError: true)
                errors += 1
            }
        }
        if errors > 0 { return 2 }
        try checkCaseName(transcripts)
        let results = test.run(transcripts)
        let report = Report(results, isVerbose: arguments.has("verbose"))
        let format = arguments.text("format").flatMap(Report.Format.init(rawValue:)) ?? .plain
        output.write(report.text(as: format))
        if let path = arguments.text("journal") {
            let text = results.map { "# \($0.file) \($0.name) \($0.net.rawValue) seed \($0.seed)\n\($0.journal)" }
                .joined()
            try HostFile.write(Array(text.utf8), to: path)
        }
        return report.status
    }

    private func files() throws -> [String] {
        try arguments.arguments.flatMap { path -> [String] in
            guard HostFile.exists(path) else { throw UsageError("test: \(path): no such file or directory") }
            let files = TestRun.files(path)
            if files.isEmpty { throw UsageError("test: \(path): no .sdl file in it") }
            return files
        }
    }

    private func checkCaseName(_ transcripts: [Transcript]) throws(UsageError) {
        guard let wanted = arguments.text("case") else { return }
        let names = transcripts.flatMap { $0.cases.map(\.name) }
        guard !names.contains(wanted) else { return }
        throw UsageError("test: no case '\(wanted)'\(didYouMean(wanted, among: names))")
    }

    private func update(_ files: [String]) throws -> Int {
        var status = 0
        let updater = Updater(options, tags: Catalog.table.tags)
        for file in files {
            do {
                let text = try RunCommand.text(of: file)
                let result = try updater.update(text, name: file)
                if result.repairCount > 0 {
                    try HostFile.write(Array(result.text.utf8), to: file)
                    output.write("\(file): \(counted(result.repairCount, "repair"))\n")
                }
                if let failure = result.failure {
                    output.write("\(failure.place): \(failure.message); no repair helps\n", isError: true)
                    status = max(status, 1)
                }
            } catch let error as TranscriptError {
                output.write("sdlab: \(error)\n", isError: true)
                status = 2
            }
        }
        return status
    }
}
