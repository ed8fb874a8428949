import ConnectionPoolEngine
import KernelStructures

/// A connection that `NodePool` can keep. TCP, RESP and HTTP have one each; another protocol needs these five things.
public protocol NodeConnection: AnyObject {
    /// Starts to open; calls back once, never before this returns: with nil when it is of use, otherwise with the
    /// reason why it is not.
    func open(_ done: @escaping (_ failure: String?) -> Void)
    /// Asks the other end whether it is there. Called while nobody has the connection.
    func validate(_ done: @escaping (_ isAlive: Bool) -> Void)
    /// Undoes what the last borrower left behind.
    func reset(_ done: @escaping (_ isClean: Bool) -> Void)
    /// Its borrower gives it back, and hears no more of it.
    ///
    /// - Returns: what the borrower left behind.
    func wasGivenBack() -> ConnectionPool.ReturnCondition
    /// Closes it, or stops opening it; no callback is called any more.
    func close()
    /// Called once if it ends by itself after it was open.
    var onLost: ((_ reason: String) -> Void)? { get set }
    /// The node's life is over: lets go of everybody who waits for something.
    func letGo()
}

extension NodeConnection { public func letGo() {} }
