import KernelStructures
import KernelWorld

extension Process {
    /// Says of what was measured which time that was, where it was not the machine's: under a clock of the lab's own, a
    /// rate is what simulated disks and links cost, and nothing that this machine could be proud of.
    public func noteMeasuredTime() {
        let speed = session.world.speed
        guard speed != .real else { return }
        let clock = speed == .virtual ? "virtual time" : "lab time at \(speed)"
        session.notice(
            "\(name): measured in \(clock), which says what the simulated disks and links cost, not this machine")
    }

    /// The same as a word, for programs.
    public var measuredTime: String { session.world.speed == .real ? "real" : "virtual" }
}
