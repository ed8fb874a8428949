import KernelStructures

/// Which log lines are shown: `log level`, `log mute`, `log only`. The journal keeps all of them.
public struct LogFilter: Sendable, Equatable {
    /// For tags without a level of their own.
    public var defaultLevel = LogLevel.info
    public var levels: [String: LogLevel] = [:]
    public var muted: Set<String> = []
    /// Only these, unless empty.
    public var only: Set<String> = []

    public init() {}

    public func shows(_ line: LogLine) -> Bool {
        let tag = line.tag.uppercased()
        if muted.contains(tag) || (!only.isEmpty && !only.contains(tag)) { return false }
        return line.level >= levels[tag] ?? defaultLevel
    }
}
