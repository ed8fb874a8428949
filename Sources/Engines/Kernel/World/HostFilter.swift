/// A program of the machine that turns bytes into other bytes: `jq`.
///
/// Such a program is a guest with a time limit. It is handed its input, works in a room without windows, and is shown
/// out when it has used up its time, its table or its paper; nothing else of the lab or the machine is in the room. So
/// it may run in tests too: equal calls have equal outcomes, as long as none of them comes near a limit.
public struct HostFilterCall: Sendable {
    /// Its name, looked up where the machine keeps programs.
    public var program: String
    public var arguments: [String]
    public var input: [UInt8]
    public var limits = HostFilterLimits()

    public init(program: String, arguments: [String], input: [UInt8]) {
        self.program = program
        self.arguments = arguments
        self.input = input
    }
}

/// How much a filter may use.
public struct HostFilterLimits: Sendable {
    /// Address space.
    public var memoryBytes = 256 << 20
    public var processorSeconds = 3
    /// Of the machine's time, whatever the lab's clock says: for a program that waits instead of working.
    public var wallSeconds = 20
    /// What it may write, to its output and of errors together.
    public var outputBytes = 16 << 20

    public init() {}
}

/// How a call ended.
public enum HostFilterOutcome: Equatable, Sendable {
    /// By itself, with a status of 0 to 255.
    case ended(status: Int, output: [UInt8], errors: [UInt8])
    /// It used up what it may.
    case stopped(HostFilterExcess)
    /// A fault of its own ended it: a signal that it did not get for using too much.
    case crashed(signal: Int, errors: [UInt8])
    /// The machine has no such program.
    case missing
    /// The machine could not start it.
    case failed(String)
}

/// What a filter had too much of.
public enum HostFilterExcess: Equatable, Sendable { case memory, processorTime, wallTime, output }

/// Runs a filter to its end. It may be called on any thread.
public typealias HostFilterRunner = @Sendable (HostFilterCall) -> HostFilterOutcome
