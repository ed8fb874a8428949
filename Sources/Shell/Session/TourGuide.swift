/// Plays tours to somebody who types: a prompt has one.
public protocol TourGuide: AnyObject {
    /// The questions of a tour that were answered so far, counting from 0.
    func answered(_ tour: String) -> Set<Int>
    /// Asks a question of a tour, in a lab of its own, as soon as the command that wants it is done.
    ///
    /// - Throws: where somebody's own work would be lost by that.
    func begin(_ tour: String, question: Int) throws(CommandFailure)
    /// - Throws: where no tour is under way, or nothing is left to go on to.
    func go(_ step: TourStep) throws(CommandFailure)
}

/// What can be done in the midst of a tour.
public enum TourStep: String, CaseIterable, Sendable {
    case next, hint, again, leave
}
