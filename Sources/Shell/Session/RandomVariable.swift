import KernelStructures
import KernelWorld

/// `$SECONDS`: seconds of lab time since the session began, or since the script gave it a number, which counts on.
final class SecondsVariable {
    private var start: LabTime
    private var base = 0

    init(_ world: World) { start = world.now }

    /// A script gives it a number.
    func begin(_ value: String, _ now: LabTime) {
        base = Int(value) ?? 0
        start = now
    }

    func text(_ now: LabTime) -> String {
        let passed = Int((now - start).nanoseconds / 1_000_000_000)
        return String(base &+ passed)
    }
}

/// `$RANDOM`: 0 to 32767, from the World's seed, or from the number that the script gave it.
final class RandomVariable {
    private var random: SeededRandom

    init(_ world: World) { random = world.random.fork("RANDOM") }

    /// The next number; a value that was assigned meanwhile is where it begins anew.
    func next(_ scope: VariableScope) -> String {
        if let seed = scope.value(of: "RANDOM") {
            scope.unset("RANDOM")
            random = SeededRandom(seed: stableHash(seed))
        }
        return String(random.below(32_768))
    }
}
