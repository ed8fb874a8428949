import KernelStructures

/// How an agent reads and keeps.
public struct AgentSettings: Sendable {
    /// Paths, whose last part may have `*` and `?`.
    public var patterns: [String] = []
    /// Files that are there at the first start are read from their beginning, not from their end.
    public var readsFromStart = false
    /// What begins a message of several lines; nil where each line is one.
    public var multiline: MultilineRule?
    /// Lines are cut there.
    public var lineLimitBytes = 256 << 10
    public var batchBytes = 64 << 10
    public var batchLines = 4096
    /// Bytes in memory that wait for the collector; more goes into the spool.
    public var memoryBytes = 1 << 20
    /// A collector that has acknowledged nothing for so long takes nothing: what waits for it goes into the spool.
    public var stallTime = LabDuration.seconds(1)
    /// Bytes on the disk that wait for the collector; 0 for no spool.
    public var spoolBytes = 64 << 20
    public var whenFull = FullPolicy.wait
    /// A file that nobody writes any more, and that has another name, is let go of after so long.
    public var rotatedQuiet = LabDuration.seconds(5)
    /// A message of several lines that nobody goes on with is complete after so long.
    public var multilineTimeout = LabDuration.seconds(1)
    /// Files at a time.
    public var fileLimit = 1024

    public init() {}

    /// What to do when neither memory nor spool have room.
    public enum FullPolicy: String, Sendable, CaseIterable {
        /// Reads no more: the files keep what is in them. Applications never wait for it.
        case wait
        /// Gives up what was read first.
        case dropOldest = "drop-oldest"
        /// Gives up what is read now.
        case dropNewest = "drop-newest"
    }
}
