import KernelStructures
import KernelWorld

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
