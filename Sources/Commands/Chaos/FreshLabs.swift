import ShellSession

/// Makes labs that have nothing to do with this one: for a search, which needs a new world for each attempt.
///
/// Whoever puts a World and a Session together leaves one in the World (`World.only`); rooms of commands stand below
/// that and could not.
package final class FreshLabs {
    /// Nil where that is not possible.
    let make: ((_ seed: UInt64) throws -> FreshLab)?

    package init(_ make: ((_ seed: UInt64) throws -> FreshLab)?) { self.make = make }
}

/// A lab in memory and in virtual time, with its own seed.
package struct FreshLab {
    let session: Session
    /// What keeps it: with its last holder it ends.
    private let owner: AnyObject

    package init(session: Session, owner: AnyObject) {
        self.session = session
        self.owner = owner
    }
}
