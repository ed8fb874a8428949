import KernelStructures

/// Where a process writes to: a terminal, a file, a pipe, or a buffer.
public protocol ByteSink: AnyObject {
    /// Takes all bytes. A writer that produces much waits while `isCongested`.
    func write(_ bytes: [UInt8])
    /// No more will be written by anybody.
    func close()
    var isCongested: Bool { get }
    /// Called when a congested sink has room again.
    var onDrained: (() -> Void)? { get set }
    /// Nobody reads any more; writing is pointless.
    var isBroken: Bool { get }
    /// A sink to the same place for somebody who may go on after this one is closed: a job in the background.
    func another() -> any ByteSink
    /// Whether it is one of the lab's terminals.
    var isTerminal: Bool { get }
    /// How often something could not be written, for another reason than that nobody reads it.
    var failureCount: Int { get }
}

extension ByteSink {
    public func write(_ text: String) { write(Array(text.utf8)) }
    public var isCongested: Bool { false }
    public var onDrained: (() -> Void)? {
        get { nil }
        set {}
    }
    public var isBroken: Bool { false }
    public var isTerminal: Bool { false }
    public var failureCount: Int { 0 }
    public func close() {}
    public func another() -> any ByteSink { Unclosable(self) }
}

/// Where a process reads from. It delivers nothing before `start`.
public protocol ByteSource: AnyObject {
    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void)
    /// The reader of the moment is done; another one may start where it ended.
    func pause()
    /// As `pause`, and puts back what the reader took and did not want.
    func unread(_ bytes: [UInt8])
    /// Nobody will read any more.
    func close()
}

/// A source that belongs to somebody else: the commands of a loop read one after another from what the loop reads.
final class BorrowedSource: ByteSource {
    private let source: any ByteSource
    init(_ source: any ByteSource) { self.source = source }
    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        source.start(onBytes: onBytes, onEnd: onEnd)
    }
    func pause() { source.pause() }
    func unread(_ bytes: [UInt8]) { source.unread(bytes) }
    func close() { source.pause() }
}

/// Bytes from one process to another, at most `capacity` of them at a time.
final class Pipe: ByteSink, ByteSource {
    private unowned let session: Session
    private var buffer: [UInt8] = []
    private var onBytes: (([UInt8]) -> Void)?
    private var onEnd: (() -> Void)?
    private var isEnded = false
    private(set) var isBroken = false
    private var isDeliveryDue = false
    /// Of several writers all are told.
    private var drainWaiters: [() -> Void] = []
    private var writerCount = 0

    static let capacity = 64 * 1024

    init(session: Session) { self.session = session }

    var isCongested: Bool { buffer.count >= Self.capacity }

    func write(_ bytes: [UInt8]) {
        if isBroken || isEnded { return }
        buffer += bytes
        scheduleDelivery()
    }

    var onDrained: (() -> Void)? {
        get { nil }
        set { if let newValue { drainWaiters.append(newValue) } }
    }

    private func notifyDrained() {
        let waiters = drainWaiters
        drainWaiters = []
        for waiter in waiters { waiter() }
    }

    func addWriter() { writerCount += 1 }
    var hasWriters: Bool { writerCount > 0 }

    /// One writer is done; with the last of them, the pipe is at its end.
    func removeWriter() {
        writerCount -= 1
        if writerCount > 0 { return }
        isEnded = true
        scheduleDelivery()
    }

    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        self.onBytes = onBytes
        self.onEnd = onEnd
        scheduleDelivery()
    }

    func pause() {
        onBytes = nil
        onEnd = nil
    }

    func unread(_ bytes: [UInt8]) {
        pause()
        buffer = bytes + buffer
    }

    /// As a source: nobody reads it any more.
    func close() {
        isBroken = true
        buffer = []
        onBytes = nil
        onEnd = nil
        notifyDrained()
    }

    private func scheduleDelivery() {
        guard onBytes != nil, !isDeliveryDue else { return }
        isDeliveryDue = true
        session.world.enqueue { [self] in deliver() }
    }

    private func deliver() {
        isDeliveryDue = false
        guard let onBytes else { return }
        let bytes = buffer
        buffer = []
        if !bytes.isEmpty { onBytes(bytes) }
        notifyDrained()
        if isEnded, buffer.isEmpty, let onEnd {
            self.onBytes = nil
            self.onEnd = nil
            onEnd()
        }
    }
}

/// The writing side of a pipe, as one process or loop holds it.
final class PipeEntrance: ByteSink {
    private let pipe: Pipe
    private var isOpen = true

    init(_ pipe: Pipe) {
        self.pipe = pipe
        pipe.addWriter()
    }

    func write(_ bytes: [UInt8]) { pipe.write(bytes) }
    func another() -> any ByteSink { PipeEntrance(pipe) }
    /// Whether somebody may still write to the pipe, once this one is closed.
    var hasOtherWriters: Bool { pipe.hasWriters }
    func close() {
        if !isOpen { return }
        isOpen = false
        pipe.removeWriter()
    }
    var isCongested: Bool { pipe.isCongested }
    var isBroken: Bool { pipe.isBroken }
    var onDrained: (() -> Void)? {
        get { pipe.onDrained }
        set { pipe.onDrained = newValue }
    }
}

/// Bytes that are there already: a file, a here-document.
final class StoredSource: ByteSource {
    private unowned let session: Session
    private var bytes: [UInt8]
    /// nil where it is no file whose size somebody could ask for.
    var byteCount: Int? { isFile ? bytes.count : nil }
    private let isFile: Bool
    /// Counts readers, so that what was under way to one does not reach the next.
    private var reader = 0

    /// - Parameter isFile: a here-document is none, but as elsewhere a pipe, unless it is longer than that.
    init(session: Session, bytes: [UInt8], isFile: Bool = true) {
        self.session = session
        self.bytes = bytes
        self.isFile = isFile || bytes.count > Pipe.capacity
    }

    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        let mine = reader
        session.world.enqueue { [self] in
            if reader != mine { return }
            let all = bytes
            bytes = []
            if !all.isEmpty { onBytes(all) }
            if reader == mine { onEnd() }
        }
    }

    func pause() { reader += 1 }
    func unread(_ rest: [UInt8]) {
        pause()
        bytes = rest + bytes
    }
    func close() { pause() }
}

/// Keeps what is written, for `$(…)`.
final class CaptureSink: ByteSink {
    private(set) var bytes: [UInt8] = []
    private(set) var isOverfull = false

    /// Bytes that `$(…)` may give.
    static let limit = 16 << 20

    func write(_ bytes: [UInt8]) {
        if self.bytes.count + bytes.count > Self.limit {
            isOverfull = true
        } else {
            self.bytes += bytes
        }
    }
    var isBroken: Bool { isOverfull }
}

/// A file of the lab, opened when the command starts.
final class FileSink: ByteSink {
    private let session: Session
    private let path: String
    private let file: LabFile
    private var failed: Bool { failureCount > 0 }
    private(set) var failureCount = 0
    /// Those that write to it: the command or loop, and what it left in the background.
    private var writerCount = 1
    private let onFailure: (String) -> Void

    init(session: Session, path: String, appends: Bool, onFailure: @escaping (String) -> Void) throws(LabFileError) {
        self.session = session
        self.path = path
        self.onFailure = onFailure
        file = try session.files.openForWriting(path, appends: appends)
    }

    func write(_ bytes: [UInt8]) {
        if failed {
            failureCount += 1
            return
        }
        do throws(LabFileError) {
            try file.append(bytes)
        } catch {
            failureCount += 1
            onFailure(error.description)
        }
    }

    func another() -> any ByteSink {
        writerCount += 1
        return self
    }
    func close() {
        writerCount -= 1
        if writerCount == 0 { file.close() }
    }
    var isBroken: Bool { failed }
}

/// Writes go where the process that holds it was started: one of the lab's terminals.
final class TerminalSink: ByteSink {
    private unowned let session: Session
    let terminal: Terminal
    let isError: Bool
    /// The submitted command whose output it is.
    private let submission: Submission

    init(session: Session, terminal: Terminal, submission: Submission, isError: Bool) {
        self.session = session
        self.terminal = terminal
        self.submission = submission
        self.isError = isError
    }

    func write(_ bytes: [UInt8]) {
        session.emit(.output(submission, isError: isError, bytes: bytes))
    }
    var isTerminal: Bool { true }
}

/// A sink that belongs to somebody else: the parts of a pipeline must not close their common output.
final class Unclosable: ByteSink {
    private let sink: any ByteSink
    /// Something was written that nobody will read.
    private(set) var wroteInVain = false
    init(_ sink: any ByteSink) { self.sink = sink }
    func write(_ bytes: [UInt8]) {
        if sink.isBroken, sink.failureCount == 0 { wroteInVain = true }
        sink.write(bytes)
    }
    func another() -> any ByteSink { sink.another() }
    var isCongested: Bool { sink.isCongested }
    var isBroken: Bool { sink.isBroken }
    var isTerminal: Bool { sink.isTerminal }
    var failureCount: Int { sink.failureCount }
    var onDrained: (() -> Void)? {
        get { sink.onDrained }
        set { sink.onDrained = newValue }
    }
}
