import CommandKit
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var jq: Command {
        let description = CommandDescription(
            "jq", "looks into JSON, changes it and prints it", usage: "[FLAGS] [FILTER [FILE…]]",
            flags: [
                .init("raw-output", "r", "texts without their quotes"),
                .init("compact-output", "c", "one line a value"),
                .init("null-input", "n", "the filter's input is null"), .init("slurp", "s", "all inputs as one array"),
                .init("raw-input", "R", "lines of text are the inputs"), .init("sort-keys", "S", "members by name"),
                .init("exit-status", "e", "status 1 where the last output is false or null"),
                .init("join-output", "j", "as -r, without line ends"), .init("ascii-output", "a", "only ASCII"),
                .init("color-output", "C", "in colours"), .init("tab", nil, "indented by tabs"),
                .init("indent", nil, .integer(0...7), "indented by N blanks (2)"),
                .init("arg", nil, .text("NAME VALUE"), "$NAME is a text"),
                .init("argjson", nil, .text("NAME VALUE"), "$NAME is a JSON value"),
                .init("args", nil, "further words are $ARGS.positional, as texts"),
                .init("jsonargs", nil, "further words are $ARGS.positional, as JSON"),
                .init("from-file", "f", .file, "the filter stands in a file"),
                .init("seq", nil, "a record separator before each output"),
                .init("stream", nil, "parse and give paths with values"),
            ],
            arguments: .init([.text, .file], 0...1000, isRaw: true),
            examples: [
                "stats --json | jq", "curl -s http://localhost:8081/ | jq -r .name", "jq '.[0]' a.json",
                "jq -n --arg who me '{hello: $who}'",
            ], group: .files,
            details: """
                This is the machine's own jq, without its files and environment: filters can
                neither import modules nor read anything but what is given to them, and now is
                the lab's time. All input is read before the first output comes. A filter may
                use 3 seconds of processor time, 256 MiB of memory and 16 MiB of output.
                Numbers are exact up to 2^53.
                """)
        return Command(description) { invocation in
            let arguments = try JQArguments(invocation.arguments.arguments)
            guard let runner = invocation.session.hostFilter else {
                throw CommandFailure("programs of the machine are not run here", status: 2)
            }
            let filter = try arguments.filterFile.map { file in
                do { return String(decoding: try invocation.session.files.read(file), as: UTF8.self) } catch {
                    throw CommandFailure("\(error)", status: 2)
                }
            }
            return .running(try JQ(invocation.process, arguments, filter: filter ?? arguments.filter ?? ".", runner))
        }
    }
}

/// Gathers the input, has the machine's jq work on it, and writes what comes out.
private final class JQ: Program {
    private let process: Process
    private let arguments: JQArguments
    private let filter: String
    private let runner: HostFilterRunner
    private var input: [UInt8] = []
    private var output: ArraySlice<UInt8> = []
    private var status = 0
    private var hasUnreadFile = false

    private static let inputLimitBytes = 64 << 20
    private static let pieceBytes = 64 << 10

    init(
        _ process: Process, _ arguments: JQArguments, filter: String, _ runner: @escaping HostFilterRunner
    ) throws {
        self.process = process
        self.arguments = arguments
        self.filter = filter
        self.runner = runner
        // Modules are files; jq knows them only at a filter's beginning.
        let words = filter.split(separator: "\n").map { $0.drop(while: \.isWhitespace) }.first {
            $0.first != "#" && !$0.isEmpty
        }
        if let word = words?.prefix(while: \.isLetter), ["import", "include", "module"].contains(word) {
            throw UsageError("jq: there are no modules here: a filter must not begin with \(word)")
        }
    }

    // MARK: Input

    func start() {
        for file in arguments.files {
            do throws(LabFileError) {
                input += try process.session.files.read(file)
            } catch {
                process.complain(error.description)
                hasUnreadFile = true
            }
        }
        let words = filter.split { !$0.isLetter && $0 != "_" }
        let needsInput = !arguments.readsNoInput || words.contains("input") || words.contains("inputs")
        guard arguments.files.isEmpty, needsInput else { return run() }
        process.read(
            onBytes: { [weak self] bytes in
                guard let self else { return }
                input += bytes
                if input.count > Self.inputLimitBytes {
                    process.complain("the input is larger than \(byteCountText(Self.inputLimitBytes))")
                    process.exit(2)
                }
            },
            onEnd: { [weak self] in self?.run() })
    }

    // MARK: Running

    /// What the filter gets in front of itself: the lab's time, and none of the machine's.
    private var prelude: String {
        let time = process.session.world.now.nanoseconds
        return "def now: \(time / 1_000_000_000).\(padded(abs(Int(time % 1_000_000_000)), 9)); def localtime: gmtime; "
            + "def strflocaltime(f): strftime(f); def input_filename: null; def get_search_list: [];\n"
    }

    private func run() {
        guard process.isRunning else { return }
        var call = HostFilterCall(
            program: "jq", arguments: ["-L", "/nonexistent"] + arguments.flags + [prelude + filter], input: input)
        call.arguments += arguments.positional
        input = []
        do throws(OffloadError) {
            // Nobody waits for it but its reader; where time is virtual the loop does, and no time passes.
            try process.node.offload({ [call, runner] in runner(call) }, cost: .zero) { [weak self] outcome in
                self?.ended(outcome, limits: call.limits)
            }
        } catch {
            process.complain("\(error)")
            process.exit(126)
        }
    }

    private func ended(_ outcome: HostFilterOutcome, limits: HostFilterLimits) {
        switch outcome {
        case .ended(let status, let output, let errors):
            self.output = output[...]
            self.status = status == 0 && hasUnreadFile ? 2 : status
            if !errors.isEmpty { process.errorOutput.write(Self.withOwnLines(errors)) }
            write()
        case .stopped(let excess):
            let reason =
                switch excess {
                case .memory: "needs more than \(byteCountText(limits.memoryBytes)) of memory"
                case .processorTime: "needs more than \(limits.processorSeconds) seconds of processor time"
                case .wallTime: "takes longer than \(limits.wallSeconds) seconds"
                case .output: "writes more than \(byteCountText(limits.outputBytes))"
                }
            process.complain("stopped: the filter \(reason)")
            process.exit(137)
        case .crashed(let signal, let errors):
            if !errors.isEmpty { process.errorOutput.write(Self.withOwnLines(errors)) }
            process.complain(
                "this machine's jq crashed (signal \(signal)): a fault of its own, not too much of anything")
            process.exit(128 + signal)
        case .missing:
            process.complain("this machine has no jq; install Debian's package jq, or run scripts/setup run")
            process.exit(127)
        case .failed(let reason):
            process.complain(reason)
            process.exit(126)
        }
    }

    /// jq counts the prelude as the first line.
    private static func withOwnLines(_ errors: [UInt8]) -> String {
        String(decoding: errors, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let marker = " at <top-level>, line "
            guard let place = line.ranges(of: marker).last else { return String(line) }
            let digits = line[place.upperBound...].prefix(while: \.isNumber)
            guard let number = Int(digits) else { return String(line) }
            return line[..<place.upperBound] + "\(number - 1)" + line[digits.endIndex...]
        }.joined(separator: "\n")
    }

    // MARK: Output

    private func write() {
        while !output.isEmpty {
            if process.output.isBroken { return process.exit(141) }
            if process.output.isCongested {
                process.output.onDrained = { [weak self] in self?.write() }
                return
            }
            process.output.write(Array(output.prefix(Self.pieceBytes)))
            output = output.dropFirst(Self.pieceBytes)
        }
        process.exit(status)
    }
}
