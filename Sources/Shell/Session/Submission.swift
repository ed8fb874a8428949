import KernelStructures

/// One command as it was typed, with all that runs because of it.
public final class Submission {
    public let number: Int
    public let terminal: Terminal
    public let text: String
    /// nil while it runs. What it started in the background may go on after that.
    public private(set) var status: Int?
    /// When it was done.
    public private(set) var endTime: LabTime?

    /// The command's event in the journal: the cause of what it does.
    public let event: UInt64

    init(number: Int, terminal: Terminal, text: String, event: UInt64) {
        self.number = number
        self.terminal = terminal
        self.text = text
        self.event = event
    }

    /// The status of the first statement that failed, if one did.
    public private(set) var firstFailure: Int?

    func finish(_ status: Int, at time: LabTime) {
        self.status = status
        endTime = time
    }
    func noteFailure(_ status: Int) { firstFailure = firstFailure ?? status }
    public var isRunning: Bool { status == nil }
}

/// The host's own files, for the few commands that name them.
public protocol HostFiles: AnyObject {
    func read(_ path: String) throws(CommandFailure) -> [UInt8]
    func write(_ bytes: [UInt8], to path: String) throws(CommandFailure)
}
