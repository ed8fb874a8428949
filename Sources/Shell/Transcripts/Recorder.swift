import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellSession

/// `record FILE` … `record off`: writes what is typed and seen as a transcript, runs that again, and says whether it
/// passes.
///
/// Log lines are written as templates, with holes where their arguments are measurements. Output stands as it was, but
/// for words that come out differently on the other transport or with another seed: those become holes (`Loosener`).
/// Where the user waited, `[13.4s later]` says so.
public final class Recorder {
    private let session: Session
    private let options: LabOptions
    private var recording: Recording?

    /// Lines of one recording; it ends itself there.
    static let lineLimit = 100_000

    private struct Recording {
        let path: String
        let archive: [ArchivedFile]
        /// What the lab had already when it began, and what a run of its own therefore lacks; empty: nothing.
        let lacks: [String]
        var lines: [String] = []
        var terminal = 1
        var commandCount = 0
        /// The time of what was written last.
        var time: LabTime
        /// Output that has no newline yet, and whose it is.
        var partial: (submission: Submission, bytes: [UInt8])?
        /// Commands whose status may still have to be stated, by terminal.
        var unstated: [Int: Submission] = [:]
    }

    /// - Parameter options: how the lab was made, for running the transcript again.
    public init(_ session: Session, options: LabOptions) {
        self.session = session
        self.options = options
        session.listener = { [unowned self] in hear($0) }
        session.recorder = { [unowned self] in try command($0) }
    }

    /// What `record` answers.
    private func command(_ path: String?) throws -> String {
        switch path {
        case nil: return recording.map { "recording to \($0.path)" } ?? "nothing is being recorded"
        case "off"?, "stop"?:
            guard let report = finish() else { throw CommandFailure("nothing is being recorded") }
            return report
        case let path?:
            if let recording { throw CommandFailure("recording to \(recording.path) already; record off ends that") }
            // A name that cannot be written is better known now than at the end.
            guard !HostFile.exists(path) else {
                throw CommandFailure("\(path) is there already; choose another name, or remove it first")
            }
            do { try HostFile.write([], to: path) } catch { throw CommandFailure("\(error)") }
            let lacks = presentState
            recording = Recording(path: path, archive: archive(), lacks: lacks, time: session.world.now)
            return "recording to \(path); record off saves it"
                + (lacks.isEmpty
                    ? ""
                    : "; it begins with \(lacks.joined(separator: " and ")), which it will lack when it is run by "
                        + "itself: better record off, reset, and record again under another name")
        }
    }

    /// What a recording that begins now takes for granted.
    private var presentState: [String] {
        var found: [String] = []
        let running = session.jobs.running.count
        if running > 0 { found.append(counted(running, "running job")) }
        let faults = session.world.faults.rules.count
        if faults > 0 { found.append(counted(faults, "fault")) }
        return found
    }

    // MARK: Hearing

    private func hear(_ event: SessionEvent) {
        guard recording != nil else { return }
        switch event {
        case .submitted(let submission): begin(submission)
        case .typed(let terminal, let text): write("> " + text, on: terminal.number)
        case .output(let submission, _, let bytes): take(bytes, of: submission)
        case .log(let line, _, _):
            endPartialLine()
            write(TranscriptText.log(line))
        case .interrupted(let terminal): interrupted(terminal)
        case .notice, .jobStarted, .jobEnded, .progress: break
        }
        if let count = recording?.lines.count, count >= Self.lineLimit { session.notice(finish() ?? "") }
    }

    private func begin(_ submission: Submission) {
        let command = submission.text.trimmingTrailingBlanks
        guard !Self.isLeftOut(command) else { return }
        endPartialLine()
        stateStatus(of: submission.terminal.number)
        if recording!.commandCount > 0 { writeIdleTime(.seconds(1)) }
        write("", on: submission.terminal.number)
        for (index, line) in TranscriptParser.lines(of: command).enumerated() { write(index == 0 ? "$ " + line : line) }
        recording!.commandCount += 1
        recording!.unstated[submission.terminal.number] = submission
    }

    /// How long nothing was written, in tenths of a second, where it was so long at least.
    private func writeIdleTime(_ least: LabDuration) {
        let tenth = LabDuration.milliseconds(100).nanoseconds
        let idle = LabDuration(nanoseconds: (session.world.now - recording!.time).nanoseconds / tenth * tenth)
        if idle >= least { write("[\(idle) later]") }
    }

    /// Ctrl-C: what it ended would never end when it is run again.
    private func interrupted(_ terminal: Terminal) {
        guard recording!.unstated[terminal.number] != nil else { return }
        endPartialLine()
        writeIdleTime(.milliseconds(100))
        write("^C", on: terminal.number)
    }

    /// Commands about the recording itself, and about the speed of the clock: `[… later]` says how time passed.
    private static func isLeftOut(_ command: String) -> Bool {
        let words = command.split(whereSeparator: \.isWhitespace)
        return words.isEmpty || words[0] == "record" || ["exit", "reset", "back", "fork"].contains(words[0])
            || (words[0] == "clock" && words.count > 1)
    }

    private func write(_ line: String, on terminal: Int? = nil) {
        if let terminal, terminal != recording!.terminal {
            recording!.lines += ["", "@terminal \(terminal)"]
            recording!.terminal = terminal
        }
        recording!.lines.append(line)
        recording!.time = session.world.now
    }

    private func take(_ bytes: [UInt8], of submission: Submission) {
        if Self.isLeftOut(submission.text) { return }
        if let partial = recording!.partial, partial.submission !== submission { endPartialLine() }
        var line = recording!.partial?.bytes ?? []
        recording!.partial = nil
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                writeOutput(line, of: submission)
                line = []
            } else {
                line.append(byte)
            }
        }
        if !line.isEmpty { recording!.partial = (submission, line) }
    }

    private func writeOutput(_ bytes: [UInt8], of submission: Submission) {
        let text = TranscriptText.line(of: bytes)
        write(TranscriptText.output(text, tags: Set(session.commands.tags)), on: submission.terminal.number)
    }

    private func endPartialLine() {
        guard let partial = recording?.partial else { return }
        recording!.partial = nil
        writeOutput(partial.bytes, of: partial.submission)
    }

    private func stateStatus(of terminal: Int) {
        guard let status = recording!.unstated.removeValue(forKey: terminal)?.status, status != 0 else { return }
        write("[exit \(status)]", on: terminal)
    }

    // MARK: The end

    /// Saves the recording, if there is one, and says what became of it.
    public func finish() -> String? {
        guard recording != nil else { return nil }
        endPartialLine()
        for terminal in recording!.unstated.keys.sorted() { stateStatus(of: terminal) }
        guard let done = recording else { return nil }
        recording = nil
        return save(text(of: done), done)
    }

    /// Runs the recording again in a lab of its own, and lets what differs there be what it says: real time is never
    /// twice the same.
    private func save(_ text: String, _ recording: Recording) -> String {
        var text = text
        var verdict = "nothing was typed"
        if recording.commandCount > 0 {
            var options = TestOptions()
            options.net = .memory
            options.seed = self.options.seed
            do {
                let result = try Updater(options, tags: session.commands.tags).update(text, name: recording.path)
                if recording.lacks.isEmpty {
                    text = result.text
                    verdict = verdictOfUpdate(result)
                    if result.failure == nil { verdict += try loosen(&text, recording.path) }
                } else {
                    verdict = self.verdict(result, without: recording.lacks)
                }
            } catch {
                verdict = "it cannot be read again: \(error)"
            }
        }
        do { try HostFile.write(Array(text.utf8), to: recording.path) } catch { return "\(error)" }
        return "\(recording.path): \(counted(recording.commandCount, "command")) saved; \(verdict)"
    }

    private func verdictOfUpdate(_ result: Updater.Result) -> String {
        if let failure = result.failure {
            return "run again, line \(failure.place.line) differs: \(failure.message)"
        }
        let rewritten = result.repairCount == 0 ? "" : " (\(counted(result.repairCount, "line")) as in virtual time)"
        return "it passes when run again" + rewritten
    }

    /// Runs what passes in memory on sockets, and with other seeds.
    ///
    /// - Returns: what came of it, as the rest of a sentence.
    private func loosen(_ text: inout String, _ name: String) throws(TranscriptError) -> String {
        let loosener = Loosener(tags: session.commands.tags)
        var holeCount = 0
        var problems: [String] = []
        for (what, net, seed) in [
            ("on sockets", LabOptions.Net.loopback, options.seed),
            ("with another seed", .memory, options.seed &+ 1), ("with another seed", .memory, options.seed &+ 2),
        ] {
            if problems.last?.hasPrefix(what) == true { continue }
            var options = TestOptions()
            (options.net, options.seed) = (net, seed)
            let result = try loosener.loosen(text, name: name, for: options)
            text = result.text
            holeCount += result.holeCount
            guard let failure = result.failure else { continue }
            problems.append("\(what) line \(failure.place.line) differs: \(failure.message)")
            guard net == .loopback else { continue }
            text = text.replacing(Self.title + "\n", with: Self.title + "\n@skip-if net=loopback\n", maxReplacements: 1)
        }
        let holes = holeCount == 0 ? "" : " (\(counted(holeCount, "word")) that may differ became holes)"
        if problems.isEmpty { return ", on sockets and with other seeds, too" + holes }
        return holes + "; " + problems.joined(separator: "; ")
    }

    private static let title = "# Recorded with sdlab."

    /// Without what was there before, what differs is no matter of real time: it stays as it was seen.
    private func verdict(_ result: Updater.Result, without lacks: [String]) -> String {
        if result.failure == nil, result.repairCount == 0 { return "it passes when run again" }
        let differences = result.repairCount + (result.failure == nil ? 0 : 1)
        return "it does not pass when run again: \(counted(differences, "line")) "
            + "\(differences == 1 ? "differs" : "differ") without the \(lacks.joined(separator: " and ")) from before; "
            + "after reset, a recording stands on its own"
    }

    private func text(of recording: Recording) -> String {
        var lines = [Self.title]
        if options.seed != 1 { lines.append("@seed \(options.seed)") }
        if options.epoch != .documentedEpoch { lines.append("@epoch \(options.epoch)") }
        lines += recording.lines
        for file in recording.archive { lines += ["", "-- \(file.path) --"] + TranscriptParser.lines(of: file.text) }
        return lines.map { $0 + "\n" }.joined()
    }

    /// The lab's files as they are when the recording begins: small ones of text.
    private func archive() -> [ArchivedFile] {
        var files: [ArchivedFile] = []
        var room = 256 << 10
        func visit(_ directory: String) {
            for (name, attributes) in (try? session.files.list(directory)) ?? [] {
                let path = directory == "/" ? "/" + name : directory + "/" + name
                if attributes.isDirectory {
                    visit(path)
                } else if let bytes = try? session.files.read(path), bytes.count <= room,
                    !SampleFiles.isUnchanged(path, bytes),
                    !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self)
                {
                    room -= bytes.count
                    files.append(ArchivedFile(path: path, text: text))
                }
            }
        }
        // A directory of the host's may hold anything; only a lab's own files belong to its recording.
        if options.root == nil { visit("/") }
        return files
    }
}
