import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab

/// The conditions of `@skip-if` and `@needs`: reasons for which a case is not run here.
enum CaseConditions {
    static let help = "one of net=memory, net=loopback, clock=virtual, clock=real, user=root, user=other"
    private static let known = ["net=memory", "net=loopback", "clock=virtual", "clock=real", "user=root", "user=other"]

    static func isKnown(_ condition: String) -> Bool { known.contains(condition) }

    /// Why a case is skipped; nil if it is to be run.
    static func reasonToSkip(_ settings: CaseSettings, net: LabOptions.Net, speed: ClockSpeed) -> String? {
        let facts: Set = [
            "net=\(net.rawValue)", speed == .virtual ? "clock=virtual" : "clock=real",
            HostLimits.isRoot ? "user=root" : "user=other",
        ]
        if let condition = settings.skips.first(where: facts.contains) { return condition }
        if let program = settings.needs.first(where: { !HostLimits.hasProgram($0) }) {
            return "no \(program) on this machine"
        }
        return nil
    }
}
