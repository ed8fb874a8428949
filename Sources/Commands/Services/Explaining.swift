import CommandKit
import KernelService
import ShellSession

/// A running service that can say why something went as it did, or would go: what `explain` asks before all others.
package protocol Explaining: AnyObject {
    /// Why, in a view.
    ///
    /// - Parameter words: what was typed behind `explain`, without flags.
    /// - Returns: nil if they are not about it.
    /// - Throws: `CommandFailure`, `UsageError`: they are about it, and cannot be understood.
    func explanation(of words: [String], in session: Session) throws -> View?
}

/// A running service that can say where a key is: what `explain` asks about a word that is nothing else.
package protocol KeyExplaining: AnyObject {
    /// Where the key is and why, whether it exists or not; nil from a service that does not spread its keys.
    func explanation(ofKey key: String, in session: Session) -> View?
}

extension Session {
    /// Where a key is, by the first running service that spreads keys.
    package func explanation(ofKey key: String) -> View? {
        for case let service as any KeyExplaining in runningServices {
            if let view = service.explanation(ofKey: key, in: self) { return view }
        }
        return nil
    }

    /// The answer of the first running service that knows what the words are about.
    package func explanation(of words: [String]) throws -> View? {
        for case let service as any Explaining in runningServices {
            if let view = try service.explanation(of: words, in: self) { return view }
        }
        return nil
    }
}
