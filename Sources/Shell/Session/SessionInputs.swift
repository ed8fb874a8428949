import KernelStructures
import KernelWorld
import ShellLanguage

/// What came from outside into a session, each with its lab time, and what became of it: enough to run all of it again
/// in another lab, and to say whether that went the same way.
///
/// A film cannot be rewound if nobody has filmed; but a play can be begun anew and stopped at the same word, if the
/// actors are the same and the prompter has kept the book. This is the book: lines that were typed, keys that
/// interrupted them, bytes that came from the host's files. Everything else follows from the seed.
public final class SessionInputs {
    /// One thing that somebody did.
    public struct Entry {
        public let time: LabTime
        public let kind: Kind
    }

    public enum Kind {
        case submitted(Script, Submission, stopsAtFailure: Bool)
        case typed(String, terminal: Int)
        case inputEnded(terminal: Int)
        case interrupted(terminal: Int)
        case sentToBackground(terminal: Int)
        case terminalClosed
        case terminalChosen(Int)
    }

    /// How a command of the host ended.
    public struct HostCommand: Sendable {
        public let status: Int
        public let complaint: String?
        public let took: LabDuration
    }

    /// Nothing is kept until somebody wants it: only a prompt goes back.
    public var isKept = false
    /// Oldest first.
    public private(set) var entries: [Entry] = []
    /// In the order of their beginning; nil for one that still runs.
    public private(set) var hostCommands: [HostCommand?] = []
    /// What was read from files of the host, in order; nil where one could not be read.
    public private(set) var hostReads: [[UInt8]?] = []
    /// Why there is more than what is kept here; nil while all of it is.
    public private(set) var gap: String?
    /// At one time at least the clock followed the host's.
    public private(set) var followedClock = false
    /// What happened, but for traffic: the newest of it.
    public private(set) var story = RingQueue<JournalEvent>()
    /// How much of the story was too long ago to be kept, by where it happened.
    public private(set) var forgotten: [String: Int] = [:]

    /// Things done in one session; with more, it cannot be run again.
    public static let limit = 100_000
    /// Bytes of text, and of the host's files, in one session.
    public static let byteLimit = 64 << 20
    /// Events of the story.
    public static let storyLimit = 100_000

    private var byteCount = 0

    init() {}

    func note(_ kind: Kind, in world: World) {
        guard isKept else { return }
        if world.speed != .virtual { followedClock = true }
        guard gap == nil else { return }
        switch kind {
        case .submitted(_, let submission, _): byteCount += submission.text.utf8.count
        case .typed(let line, _): byteCount += line.utf8.count
        default: break
        }
        if entries.count >= Self.limit { gap = "more was typed than the \(Self.limit) inputs that are kept" }
        checkSize()
        if gap == nil { entries.append(Entry(time: world.now, kind: kind)) }
    }

    private func checkSize() {
        if byteCount > Self.byteLimit {
            gap = "more came in than the \(byteCountText(Self.byteLimit)) that are kept"
        }
    }

    // MARK: The host

    func beginHostCommand() -> Int {
        guard isKept else { return -1 }
        if hostCommands.count >= Self.limit { gap = gap ?? "too many commands of the host were run" }
        hostCommands.append(nil)
        return hostCommands.count - 1
    }

    func endHostCommand(_ ticket: Int, _ outcome: HostCommand) {
        if hostCommands.indices.contains(ticket) { hostCommands[ticket] = outcome }
    }

    func noteHostRead(_ bytes: [UInt8]?) {
        guard isKept else { return }
        byteCount += bytes?.count ?? 0
        checkSize()
        if gap == nil { hostReads.append(bytes) }
    }

    // MARK: The story

    /// Where an event of the story stands: those of one place follow one another, those of two may change places where
    /// real time takes part. Nil for what is no part of it.
    public static func place(of event: JournalEvent) -> String? {
        switch event.body {
        case .log, .node, .state, .fault: event.node ?? "the lab"
        case .command(let terminal, _): "terminal \(terminal)"
        case .exit(let command, _): "the end of \(command)"
        case .connection, .message, .datagram, .clock, .span: nil
        }
    }

    func noteEvent(_ event: JournalEvent) {
        guard isKept else { return }
        switch event.body {
        case .connection, .message, .datagram, .clock, .span: return
        case .log, .node, .state, .fault, .command, .exit: break
        }
        if story.count >= Self.storyLimit, let oldest = story.popFirst(), let place = Self.place(of: oldest) {
            forgotten[place, default: 0] += 1
        }
        story.append(event)
    }
}

/// The host's files, with a note of what was read there.
public final class NotedHostFiles: HostFiles {
    private let files: any HostFiles
    private let inputs: SessionInputs

    public init(_ files: any HostFiles, _ session: Session) {
        self.files = files
        inputs = session.inputs
    }

    public func read(_ path: String) throws(CommandFailure) -> [UInt8] {
        do throws(CommandFailure) {
            let bytes = try files.read(path)
            inputs.noteHostRead(bytes)
            return bytes
        } catch {
            inputs.noteHostRead(nil)
            throw error
        }
    }

    public func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) { try files.write(bytes, to: path) }
}
