import KernelStructures

/// A shell of the machine, as the experiment's host sees it.
public protocol HostScripting: AnyObject {
    /// Of the process that was started for it.
    var processNumber: Int { get }
    /// Carries a script out and waits for its end.
    func run(_ script: String, limit: LabDuration) -> (status: Int, output: String)
    /// Ends it with all that it has started.
    func close()
}

/// How this process comes by shells of the machine, in namespaces that it has made itself.
///
/// Whoever puts a World and a process together leaves one in the World (`World.only`); without it nothing of the
/// machine is touched.
public final class HostAccess {
    public struct Refusal: Error, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    /// Nil where the machine is out of bounds.
    let makeShell: ((_ words: [String]) throws(Refusal) -> any HostScripting)?

    public init(_ makeShell: ((_ words: [String]) throws(Refusal) -> any HostScripting)?) { self.makeShell = makeShell }

    public var isOpen: Bool { makeShell != nil }
}
