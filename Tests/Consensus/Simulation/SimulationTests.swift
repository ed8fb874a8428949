import KernelStructures
import TestSupport
import Testing

@Suite("Simulated groups")
struct SimulationTests {
    #if DEBUG
        private static let usualCount = 40
    #else
        private static let usualCount = 100
    #endif
    private static var worldCount: Int { isLong ? 100_000 : usualCount }

    /// Of a seed that failed: everything that happened, the end of it.
    private static func report(_ seed: UInt64, _ failures: [String]) -> String {
        let again = SimulatedWorld(seed: seed, isTracing: true)
        _ = again.play()
        return "seed \(seed): \(failures.joined(separator: "; "))\n" + again.lines.suffix(150).joined(separator: "\n")
    }

    private struct Outcome: Sendable {
        var failed: [(seed: UInt64, failures: [String])] = []
        var tally = SimulatedWorld.Tally()
    }

    @Test("whatever fails, clients see registers that do one thing after another")
    func worlds() async {
        let lanes = 2
        let outcome = await withTaskGroup(of: Outcome.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var outcome = Outcome()
                    for seed in stride(from: lane, to: Self.worldCount, by: lanes) where outcome.failed.count < 2 {
                        let world = SimulatedWorld(seed: UInt64(seed))
                        let failures = world.play()
                        outcome.tally += world.tally
                        if !failures.isEmpty { outcome.failed.append((UInt64(seed), failures)) }
                    }
                    return outcome
                }
            }
            return await group.reduce(into: Outcome()) {
                $0.failed += $1.failed
                $0.tally += $1.tally
            }
        }
        for (seed, failures) in outcome.failed.sorted(by: { $0.seed < $1.seed }).prefix(2) {
            Issue.record("\(Self.report(seed, failures))")
        }
    }

    @Test("a world follows from its seed")
    func determinism() {
        func play() -> [String] {
            let world = SimulatedWorld(seed: 11, isTracing: true)
            _ = world.play()
            return world.lines
        }
        #expect(play() == play())
    }
}
