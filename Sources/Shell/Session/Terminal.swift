import KernelStructures

/// One of the lab's terminals: a foreground, and a keyboard whose lines go to whoever reads them.
public final class Terminal {
    public let number: Int
    private unowned let session: Session
    /// What occupies it now.
    public internal(set) var foreground: Execution?
    /// Who reads what is typed, or would: of those in the background each waits until `fg` brings it back.
    private var readers: [Reader] = []

    private struct Reader {
        let process: Process
        var onBytes: (([UInt8]) -> Void)?
        var onEnd: (() -> Void)?
    }
    /// What `exec` has left open for the next line, from 3 on.
    var descriptors: [Int: Descriptor] = [:]
    var openedDescriptors: [Int: any ByteSink] = [:]
    /// The status of the last command, `$?`.
    public internal(set) var lastStatus = 0
    /// Lines typed ahead of a reader.
    private var typedAhead: [UInt8] = []
    private var hasEnded = false

    /// Bytes that may be typed before anybody reads them.
    static let typedAheadLimit = 1 << 20

    init(number: Int, session: Session) {
        self.number = number
        self.session = session
    }

    public var isBusy: Bool { foreground != nil }
    /// Whether what occupies it only stays: see `Process.hold`.
    public var isHeld: Bool { foreground?.processes.contains { $0.isHolding } ?? false }
    /// Whether what occupies it is only looked at, and ends with `q`.
    public var isLookedAt: Bool { foreground?.processes.contains { $0.isLookedAt } ?? false }
    /// Whether a program waits for a line to be typed.
    public var isReading: Bool { place != nil }

    /// Of the reader in the foreground.
    private var place: Int? { readers.lastIndex { $0.process.isRunning && $0.process.isInForeground } }

    func read(for process: Process, onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        readers.removeAll { !$0.process.isRunning || $0.process === process }
        readers.append(Reader(process: process, onBytes: onBytes, onEnd: onEnd))
        if !process.isInForeground, let job = process.job, session.repaints {
            session.notice("%\(job.number) waits for something to be typed: fg %\(job.number)")
        } else if !typedAhead.isEmpty {
            let bytes = typedAhead
            typedAhead = []
            session.world.enqueue { onBytes(bytes) }
        }
        if session.hasNoKeyboard {
            // Nobody will ever type: the end of input, at once.
            session.world.enqueue(onEnd)
        }
    }

    /// Whoever read is done, and gives back what it did not want.
    func unread(_ bytes: [UInt8], by process: Process) {
        forget(process)
        typedAhead = bytes + typedAhead
    }

    /// Types a line, its newline added.
    public func type(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        session.inputs.note(.typed(line, terminal: number), in: session.world)
        session.emit(.typed(self, line))
        if let place, let onBytes = readers[place].onBytes { return onBytes(bytes) }
        guard typedAhead.count + bytes.count <= Self.typedAheadLimit else {
            return session.notice("more than \(byteCountText(Self.typedAheadLimit)) typed ahead: a line is lost")
        }
        typedAhead += bytes
    }

    /// Lets go of what occupied it.
    func clear() {
        foreground = nil
        readers = []
        for sink in openedDescriptors.values { sink.close() }
        (descriptors, openedDescriptors) = ([:], [:])
    }

    /// It reads no more.
    func forget(_ process: Process) { readers.removeAll { $0.process === process } }

    /// Ctrl-D: the end of what is typed.
    public func endInput() {
        guard let place, let onEnd = readers[place].onEnd else { return }
        session.inputs.note(.inputEnded(terminal: number), in: session.world)
        readers[place].onEnd = nil
        readers[place].onBytes = nil
        onEnd()
    }
}

extension Session {
    /// Closes the current terminal: what occupies it hears a hang-up, as when a window is closed. The one with the
    /// lowest number that is left becomes the current one; the first terminal stays.
    public func closeTerminal() {
        let terminal = currentTerminal!
        guard terminal.number != 1 else { return }
        inputs.note(.terminalClosed, in: world)
        let occupants = terminal.foreground?.processes ?? []
        for process in occupants { _ = process.receive(.hangUp) }
        // A service takes that for the wish that it read its configuration again.
        for process in occupants where process.isReady { _ = process.receive(.terminate) }
        terminal.foreground?.end(128 + Signal.hangUp.number)
        terminals[terminal.number] = nil
        switchTerminal(to: terminals.keys.min() ?? 1)
    }
}
