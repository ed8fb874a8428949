import KernelStructures

/// Goes back to what a lab was, for somebody who types: a prompt has one.
public protocol TimeTraveller: AnyObject {
    /// Goes on from a moment of the past, as soon as the command that wants it is done. What came after it is
    /// forgotten.
    ///
    /// - Throws: where it is known already that the past cannot be run again.
    func back(to moment: PastMoment) throws(CommandFailure)
    /// Goes on in a second lab that has the same past, and lets this one wait.
    func fork(at moment: PastMoment) throws(CommandFailure)
    /// Goes back to the lab that waits, or lets it go.
    func leaveFork(keepingIt: Bool) throws(CommandFailure)
    /// The labs that wait, the outermost first: how long they had run.
    var waiting: [LabDuration] { get }
}

/// A moment of a session's past.
public enum PastMoment: Equatable, Sendable {
    case now
    /// So much lab time ago.
    case ago(LabDuration)
    /// Before the last command that was typed.
    case beforeLastCommand
}
