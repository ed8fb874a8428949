import KernelStructures
import TestSupport
import Testing

@Suite("Simulated groups")
struct SimulationTests {
    #if DEBUG
        private static let usualCount = 100
    #else
        private static let usualCount = 2000
    #endif
    private static var worldCount: Int { isLong ? 100_000 : usualCount }

    /// Of a seed that failed: everything that happened, the end of it.
    private static func report(_ seed: UInt64, _ failures: [String]) -> String {
        let again = SimulatedWorld(seed: seed, isTracing: true)
        _ = again.play()
        return "seed \(seed): \(failures.joined(separator: "; "))\n" + again.lines.suffix(150).joined(separator: "\n")
    }

    @Test("whatever fails, clients see registers that do one thing after another")
    func worlds() async {
        let lanes = 2
        let failed = await withTaskGroup(of: [(UInt64, [String])].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var failed: [(UInt64, [String])] = []
                    for seed in stride(from: lane, to: Self.worldCount, by: lanes) where failed.count < 3 {
                        let failures = SimulatedWorld(seed: UInt64(seed)).play()
                        if !failures.isEmpty { failed.append((UInt64(seed), failures)) }
                    }
                    return failed
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for (seed, failures) in failed.sorted(by: { $0.0 < $1.0 }).prefix(3) {
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
