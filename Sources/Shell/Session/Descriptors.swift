import KernelStructures

/// What a number of a descriptor leads to: somewhere to read from, somewhere to write to, or both.
public struct Descriptor {
    var source: (any ByteSource)?
    var sink: (any ByteSink)?
    /// It reads what is typed into the terminal; `source` is nil then.
    var readsTerminal = false

    /// The same for a part that must not close it: a subshell, a stage of a pipeline, a command.
    var borrowed: Descriptor {
        Descriptor(
            source: source.map(BorrowedSource.init), sink: sink.map(Unclosable.init), readsTerminal: readsTerminal)
    }

    /// The same for somebody who may go on after this one is closed.
    var another: Descriptor {
        Descriptor(source: source.map(BorrowedSource.init), sink: sink?.another(), readsTerminal: readsTerminal)
    }

    /// Numbers that there are.
    static let numbers = 0...255
    /// Descriptors, beside the first three, that may be open at a time.
    static let limit = 64

    /// The number that a name of a file stands for: `/dev/stdin`, `/dev/fd/3`; nil for other files.
    static func number(ofFile name: String) -> Int? {
        switch name {
        case "/dev/stdin": return 0
        case "/dev/stdout": return 1
        case "/dev/stderr": return 2
        default: break
        }
        for prefix in ["/dev/fd/", "/proc/self/fd/"] where name.hasPrefix(prefix) {
            let digits = name.dropFirst(prefix.count)
            guard digits.count <= 3, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
            return Int(digits)
        }
        return nil
    }
}

extension Execution {
    /// Where the commands of an execution read and write. nil: its terminal.
    struct Streams {
        var input: (any ByteSource)?
        var output: (any ByteSink)?
        var error: (any ByteSink)?
        /// The descriptors from 3 on that are open.
        var others: [Int: Descriptor] = [:]

        /// As `Descriptor.borrowed`, with an output of its own.
        func borrowed(output: (any ByteSink)?) -> Streams {
            Streams(
                input: input.map(BorrowedSource.init), output: output, error: error.map(Unclosable.init),
                others: others.mapValues(\.borrowed))
        }

        /// For what goes on beside the shell, and reads nothing of it.
        var another: Streams {
            Streams(output: output?.another(), error: error?.another(), others: others.mapValues(\.another))
        }

        /// Makes one descriptor what it is in others.
        mutating func take(_ number: Int, from streams: Streams) {
            switch number {
            case 0: input = streams.input
            case 1: output = streams.output
            case 2: error = streams.error
            default: others[number] = streams.others[number]
            }
        }

        func close() {
            input?.close()
            output?.close()
            error?.close()
            for descriptor in others.values { descriptor.sink?.close() }
        }
    }
}

/// Where a closed descriptor leads: nothing can be written there, and whoever tries is told.
final class ClosedSink: ByteSink {
    private(set) var failureCount = 0
    private let onFailure: () -> Void
    init(onFailure: @escaping () -> Void) { self.onFailure = onFailure }
    func write(_ bytes: [UInt8]) {
        if bytes.isEmpty { return }
        failureCount += 1
        if failureCount == 1 { onFailure() }
    }
    var isBroken: Bool { failureCount > 0 }
    func another() -> any ByteSink { self }
}

/// What a closed descriptor gives: nothing.
final class ClosedSource: ByteSource {
    private unowned let session: Session
    init(session: Session) { self.session = session }
    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) { session.world.enqueue(onEnd) }
    func pause() {}
    func unread(_ bytes: [UInt8]) {}
    func close() {}
}

/// A file that is open for both, `<>`: what is read and what is written move one place in it.
final class FileChannel: ByteSource, ByteSink {
    private let session: Session
    private let file: LabFile
    private let path: String
    private var place = 0
    private var reader = 0
    private var holderCount = 1
    private(set) var failureCount = 0
    private let onFailure: (String) -> Void

    init(session: Session, path: String, onFailure: @escaping (String) -> Void) throws(LabFileError) {
        self.session = session
        self.path = path
        self.onFailure = onFailure
        file = try session.files.openForWriting(path, keepsBytes: true)
    }

    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        reader += 1
        let mine = reader
        session.world.enqueue { [self] in
            if reader != mine { return }
            let bytes = (try? file.read(at: place, limit: LabFiles.readLimit)) ?? []
            place += bytes.count
            if !bytes.isEmpty { onBytes(bytes) }
            if reader == mine { onEnd() }
        }
    }

    func pause() { reader += 1 }
    func unread(_ bytes: [UInt8]) {
        pause()
        place -= bytes.count
    }

    func write(_ bytes: [UInt8]) {
        do throws(LabFileError) {
            try file.write(bytes, at: place)
            place += bytes.count
        } catch {
            failureCount += 1
            if failureCount == 1 { onFailure(error.description) }
        }
    }

    func another() -> any ByteSink {
        holderCount += 1
        return self
    }
    func close() {
        pause()
        holderCount -= 1
        if holderCount == 0 { file.close() }
    }
    var isBroken: Bool { failureCount > 0 }
}

/// `/dev/zero` and `/dev/urandom`: bytes without an end. They come in pieces, and each takes a moment of lab time, so
/// that others have their turn and Ctrl-C is heard; after `limitBytes` there are no more.
final class DeviceSource: ByteSource {
    private unowned let session: Session
    /// nil: zeros.
    private var random: SeededRandom?
    private var returned: [UInt8] = []
    private var reader = 0
    private var givenBytes = 0
    private static let pieceBytes = 32 << 10
    /// Bytes after which nobody will want more of them.
    private static let limitBytes = 1 << 30

    /// nil where the name is none of a device that gives bytes.
    init?(named name: String, session: Session) {
        switch name {
        case "/dev/zero": random = nil
        // The lab's seed decides: the same lab, the same bytes.
        case "/dev/urandom", "/dev/random":
            random = session.world.random.fork("device \(session.nextProcessNumber())")
        default: return nil
        }
        self.session = session
    }

    static func isDevice(_ name: String) -> Bool { ["/dev/zero", "/dev/urandom", "/dev/random"].contains(name) }

    private func piece() -> [UInt8] {
        if !returned.isEmpty {
            defer { returned = [] }
            return returned
        }
        var bytes = [UInt8](repeating: 0, count: Self.pieceBytes)
        if random != nil { for index in bytes.indices { bytes[index] = UInt8(random!.below(256)) } }
        return bytes
    }

    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        reader += 1
        deliver(reader, onBytes, onEnd)
    }

    private func deliver(_ mine: Int, _ onBytes: @escaping ([UInt8]) -> Void, _ onEnd: @escaping () -> Void) {
        _ = session.world.after(.microseconds(100)) { [weak self] in
            guard let self, reader == mine else { return }
            guard givenBytes < Self.limitBytes else {
                session.notice("a device gives no more than \(byteCountText(Self.limitBytes)); nobody stopped it")
                return onEnd()
            }
            let bytes = piece()
            givenBytes += bytes.count
            onBytes(bytes)
            if reader == mine { deliver(mine, onBytes, onEnd) }
        }
    }

    func pause() { reader += 1 }
    func unread(_ bytes: [UInt8]) {
        pause()
        returned = bytes + returned
    }
    func close() { pause() }
}
