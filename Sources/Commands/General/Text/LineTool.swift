import CommandKit
import KernelStructures
import KernelWorld
import ShellSession

/// The common part of the text tools: reads files, or what it is given, line by line; stops when nobody listens any
/// more, and waits when its listener is slow.
class LineTool: Program {
    let process: Process
    private var files: ArraySlice<String>
    let hasSeveralFiles: Bool
    private var pending: [UInt8] = []
    private var pendingStart = 0
    /// Up to here there is no end of the line that begins at `pendingStart`.
    private var searched = 0
    private var isReadingInput = false
    /// What is read where `isReadingInput`.
    private var stream = Process.InputStream.given
    private var inputEnded = false
    private var isWaiting = false
    /// Input waits where it comes from until what is here has been dealt with.
    private var isPaused = false
    private(set) var isDone = false
    var status: Int32 = 0
    /// The file that is being read; nil for the input.
    private(set) var currentFile: String?
    private var complaints = 0
    /// The status where a file could not be read.
    var complaintStatus: Int { 1 }
    /// What ends a line: a newline, or the NUL of the flag -z.
    var separator: UInt8 = 10
    /// Where what is written goes instead of the output: to a file that is edited in place. nil: to the output.
    var captured: [UInt8]?

    private(set) var writtenByteCount = 0

    /// Whether lines matter: false for a tool that takes bytes as they come, whatever lines they make.
    var cutsLines: Bool { true }
    /// Whether parts of a line are as good as lines: what has no end yet is taken at once, with `isWhole` false.
    var takesParts: Bool { false }

    /// Bytes of a line; longer ones are cut in pieces.
    static let lineLimitBytes = 16 << 20
    /// Lines handled before others have their turn.
    private static let linesPerTurn = 4096
    /// Bytes that a tool takes at once that takes bytes, and for how many lines they count.
    private static let pieceLimitBytes = 64 << 10
    private static let linesPerPiece = 256
    /// Bytes that wait here while the listener is slow.
    private static let pendingLimitBytes = 64 << 10

    init(_ process: Process, files: some Sequence<String>) {
        self.process = process
        self.files = Array(files)[...]
        hasSeveralFiles = self.files.count > 1
        if self.files.isEmpty { self.files = ["-"] }
    }

    // MARK: For tools

    /// One line, without its newline; `isWhole` is false for a last line that has none.
    func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {}
    /// A file, or the input, is about to be read.
    func beginFile() {}
    /// All of a file, or of the input, has been read.
    func endFile() {}
    /// A file could not be read, which has been said.
    func miss(_ file: String) {}
    /// Everything has been read.
    func end() {}

    func write(_ line: some Sequence<UInt8>, newline: Bool = true) {
        var bytes = Array(line)
        if newline { bytes.append(separator) }
        writeBytes(bytes)
    }

    /// Bytes as they stand.
    func writeBytes(_ bytes: [UInt8]) {
        writtenByteCount += bytes.count
        if captured == nil { return process.output.write(bytes) }
        guard captured!.count + bytes.count <= LabFiles.readLimit else {
            complain("more than \(byteCountText(LabFiles.readLimit)) for one file")
            return stop()
        }
        captured! += bytes
    }

    /// Nothing more is wanted.
    func stop() { isDone = true }

    func complain(_ text: String) {
        process.complain(text)
        noteComplaint()
    }

    /// Counts for the status, whether it was said or not.
    func noteComplaint() { complaints += 1 }

    // MARK: Running

    func start() {
        nextFile()
        pump()
    }

    private func nextFile() {
        guard let file = files.popFirst() else {
            isReadingInput = false
            finish()
            return
        }
        if let stream = process.stream(named: file) {
            currentFile = file == "-" ? nil : file
            self.stream = stream
            isReadingInput = true
            inputEnded = false
            beginFile()
            readInput()
            return
        }
        currentFile = file
        isReadingInput = false
        inputEnded = true
        do throws(LabFileError) {
            pending = try process.session.files.read(file)
            beginFile()
        } catch {
            complain(error.description)
            miss(file)
            pending = []
            nextFile()
        }
    }

    private func readInput() {
        process.read(
            stream,
            onBytes: { [weak self] bytes in
                guard let self, !isDone else { return }
                pending += bytes
                pump()
                if isWaiting, !isPaused, pending.count - pendingStart > Self.pendingLimitBytes {
                    isPaused = process.pauseReading(stream)
                }
            },
            onEnd: { [weak self] in
                guard let self else { return }
                inputEnded = true
                pump()
            })
    }

    /// Goes on after it had to wait.
    private func goOn() {
        isWaiting = false
        pump()
        guard isPaused, !isWaiting, process.isRunning else { return }
        isPaused = false
        readInput()
    }

    private func pump() {
        guard !isDone, process.isRunning, !isWaiting else { return }
        var count = 0
        while !isDone {
            if process.output.isBroken { return process.exit(141) }
            if process.output.isCongested { return waitForOutput() }
            if count >= Self.linesPerTurn {
                isWaiting = true
                process.node.enqueue { [self] in goOn() }
                return
            }
            count += cutsLines ? 1 : Self.linesPerPiece
            if !takeLine() {
                guard inputEnded else { return compact() }
                if pendingStart < pending.count {
                    let rest = pending[pendingStart...]
                    pendingStart = pending.count
                    take(rest, isWhole: false)
                }
                pending = []
                (pendingStart, searched) = (0, 0)
                endFile()
                if isDone { break }
                nextFile()
                if isReadingInput || process.status != nil { return }
            }
        }
        finish()
    }

    private func takeLine() -> Bool {
        guard cutsLines else {
            let end = min(pending.count, pendingStart + Self.pieceLimitBytes)
            guard pendingStart < end else { return false }
            let piece = pending[pendingStart..<end]
            pendingStart = end
            take(piece, isWhole: false)
            return true
        }
        let newline = pending.withUnsafeBufferPointer { buffer -> Int? in
            buffer[max(pendingStart, searched)...].firstIndex(of: separator)
        }
        guard let newline else {
            searched = pending.count
            guard pending.count - pendingStart > (takesParts ? 0 : Self.lineLimitBytes) else { return false }
            let piece = pending[pendingStart...]
            pendingStart = pending.count
            take(piece, isWhole: false)
            return true
        }
        let line = pending[pendingStart..<newline]
        pendingStart = newline + 1
        take(line, isWhole: true)
        return true
    }

    private func compact() {
        if pendingStart == 0 { return }
        pending.removeFirst(pendingStart)
        searched = max(0, searched - pendingStart)
        pendingStart = 0
    }

    private func waitForOutput() {
        isWaiting = true
        process.output.onDrained = { [weak self] in self?.goOn() }
    }

    private func finish() {
        guard process.isRunning else { return }
        isDone = true
        end()
        process.exit(complaints > 0 ? max(complaintStatus, Int(status)) : Int(status))
    }
}

/// A tool that writes `==> FILE <==` before each of several files.
class TitledLineTool: LineTool {
    private var isFirst = true
    /// Whether the names are written; nil: where there are several.
    private var writesTitles: Bool?

    /// With the flags -q, -v and -z.
    func titled(_ arguments: ParsedArguments) -> Self {
        if arguments.has("verbose") { writesTitles = true }
        if arguments.has("quiet") || arguments.has("silent") { writesTitles = false }
        if arguments.has("zero-terminated") { separator = 0 }
        return self
    }

    override func beginFile() {
        if writesTitles ?? hasSeveralFiles {
            writeBytes(Array(((isFirst ? "" : "\n") + "==> \(currentFile ?? "standard input") <==\n").utf8))
        }
        isFirst = false
    }
}
