/// What became of every line that an agent has read.
///
/// ```
/// read + recovered = stored + waiting + rejected + dropped
/// ```
///
/// Each of them is counted where it happens, none as the difference of others: so that the sum can be wrong, and a
/// test, or the agent itself, can see it. *Waiting* is counted anew each time, from what lies in memory and in the
/// spool.
///
/// It begins at the bytes that were read. What was in a file and was taken away before is not in it: where that may
/// have happened is told apart (`suspectedLosses`).
public struct LossLedger: Equatable, Sendable {
    public struct Amount: Equatable, Sendable {
        public var lines = 0
        public var bytes = 0
        public init() {}

        public mutating func add(_ lines: Int, _ bytes: Int) {
            self.lines += lines
            self.bytes += bytes
        }
    }

    /// From files, in this life.
    public var read = Amount()
    /// In the spool already when the agent was started.
    public var recovered = Amount()
    /// The collector has said that they are on its disk.
    public var stored = Amount()
    /// In memory, on their way, or in the spool.
    public var waiting = Amount()
    /// The collector will never take them.
    public var rejected = Amount()
    /// Given up here, because there was no room.
    public var dropped = Amount()
    /// Of those that were dropped: they had been sent, and nobody has said what became of them. The collector may have
    /// them all the same.
    public var unclear = Amount()

    /// How often a file was emptied, or was gone, before all of it had been read, as far as can be seen.
    public var suspectedLosses = 0
    /// Lines that were too long, and were cut.
    public var cutLines = 0

    public init() {}

    public var isBalanced: Bool {
        read.lines + recovered.lines == stored.lines + waiting.lines + rejected.lines + dropped.lines
            && read.bytes + recovered.bytes == stored.bytes + waiting.bytes + rejected.bytes + dropped.bytes
    }
}
