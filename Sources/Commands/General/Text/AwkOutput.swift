import KernelStructures
import ShellSession

/// Where what `awk` prints goes: its output, files, and commands, which run when the program has ended.
///
/// What a command writes stands before what is printed after it was closed: from there on all of it waits for the end.
/// A program that runs commands itself waits for those, too, and for what it closes (`runNow`).
final class AwkOutput {
    private let process: Process
    /// What waits for the commands of `print |`, in the order in which they were named.
    private var commands: [(command: String, bytes: [UInt8])] = []
    private var files: [String: LabFile] = [:]
    private var later: [Later] = []
    /// Bytes that wait for commands, or behind them.
    private var waitingBytes = 0
    /// Runs a command with what was printed for it, and waits for it; nil where all of them wait for the end.
    var runNow: ((_ command: String, _ input: [UInt8]) throws -> Int)?
    /// Bytes written since this was last set to 0.
    var turnBytes = 0

    private enum Later {
        case command(String, [UInt8])
        case output([UInt8])
    }

    static let fileLimit = 64
    /// Bytes that one turn may write, and that wait for commands.
    private static let limitBytes = 256 << 20

    init(_ process: Process) { self.process = process }

    /// Whether something waits for the end.
    var isWaiting: Bool { !later.isEmpty }

    func write(_ bytes: [UInt8], _ kind: AwkTarget.Kind?, _ name: String) throws {
        turnBytes += bytes.count
        guard turnBytes <= Self.limitBytes else {
            throw AwkFailure("more than \(byteCountText(Self.limitBytes)) written at once")
        }
        guard let kind else { return try print(bytes) }
        if kind == .command { return try give(bytes, to: name) }
        if name == "/dev/stdout" || name == "-" { return try print(bytes) }
        if let sink = process.sink(named: name) { return sink.write(bytes) }
        guard files[name] != nil || files.count < Self.fileLimit else {
            throw AwkFailure("more than \(Self.fileLimit) files")
        }
        do throws(LabFileError) {
            if files[name] == nil {
                files[name] = try process.session.files.openForWriting(name, appends: kind == .append)
            }
            try files[name]?.append(bytes)
        } catch { throw AwkFailure("\(error)") }
    }

    private func give(_ bytes: [UInt8], to command: String) throws {
        if command == "cat 1>&2" || command == "cat >&2" { return process.errorOutput.write(bytes) }
        try note(bytes)
        if let index = commands.firstIndex(where: { $0.command == command }) {
            commands[index].bytes += bytes
            return
        }
        guard commands.count < Self.fileLimit else { throw AwkFailure("more than \(Self.fileLimit) commands") }
        commands.append((command, bytes))
    }

    private func print(_ bytes: [UInt8]) throws {
        guard !later.isEmpty else { return process.output.write(bytes) }
        try note(bytes)
        if case .output(var before)? = later.last {
            // Nobody else holds it, so that it grows where it stands.
            later[later.count - 1] = .output([])
            before += bytes
            later[later.count - 1] = .output(before)
        } else {
            later.append(.output(bytes))
        }
    }

    private func note(_ bytes: [UInt8]) throws {
        waitingBytes += bytes.count
        guard waitingBytes <= Self.limitBytes, later.count < 10_000 else {
            throw AwkFailure("more than \(byteCountText(Self.limitBytes)), or 10000 commands, wait for the end")
        }
    }

    /// - Returns: the status of what was open under that name; nil if nothing was.
    func close(_ name: String) throws -> Int? {
        if let file = files.removeValue(forKey: name) {
            file.close()
            return 0
        }
        guard let index = commands.firstIndex(where: { $0.command == name }) else { return nil }
        let (command, bytes) = commands.remove(at: index)
        if let runNow {
            waitingBytes -= bytes.count
            return try runNow(command, bytes)
        }
        later.append(.command(command, bytes))
        return 0
    }

    func closeFiles() {
        for file in files.values { file.close() }
        files = [:]
    }

    /// Runs the commands that something was printed for, and tells when all is done.
    ///
    /// - Parameter done: with false where a command could not be run.
    func finish(_ done: @escaping (Bool) -> Void) {
        closeFiles()
        later += commands.map { .command($0.command, $0.bytes) }
        commands = []
        run(from: 0, done)
    }

    private func run(from start: Int, _ done: @escaping (Bool) -> Void) {
        var index = start
        while index < later.count, case .output(let bytes) = later[index] {
            process.output.write(bytes)
            index += 1
        }
        guard index < later.count, case .command(let command, let bytes) = later[index] else { return done(true) }
        let run = process.runCommand(["sh", "-c", command], input: .bytes(bytes)) { [weak self] _ in
            self?.run(from: index + 1, done)
        }
        if run == nil { done(false) }
    }
}
