import LockCheckEngine
import TestSupport
import Testing

@Suite("Worlds of lock servers")
struct WorldTests {
    #if DEBUG
        private static let usualCount = 60
    #else
        private static let usualCount = 2000
    #endif
    private static var worldCount: Int { isLong ? 100_000 : usualCount }
    /// Worlds that show what few do, where the first ones are not enough: entries of older terms that are agreed on by
    /// counting (figure 8), and reads that a new leader answers too early. Any change of the worlds makes others of
    /// them; `lock-check --worlds 2000` with that mutant says which.
    private static let tellingSeeds: [UInt64] = [1246, 180]
    /// Here a member died of the first thing that it had missed while it was paused, and the world with it.
    private static let pastSeeds: [UInt64] = [52_053]
    private static var seeds: [UInt64] {
        let first = (0..<worldCount).map(UInt64.init)
        return first + (tellingSeeds + pastSeeds).filter { $0 >= first.count }
    }

    // @covers LOCK-C1 LOCK-C2
    @Test("whatever fails, registers do one thing after another, and a lock has one holder")
    func worlds() async {
        let study = await SeedRun.study(Self.seeds, of: CheckedWorld.self, command: "lock-check")
        // All of it happens, or it would say nothing.
        for kind in WorldTally.Kind.allCases {
            #expect(study.tally[kind] > 0, "\(study.worldCount) worlds, and no \(kind.words)")
        }
    }

    @Test("a world follows from its seed, and keeping its moments changes nothing")
    func determinism() {
        func play(_ keepsMoments: Bool) -> CheckedWorld {
            var settings = CheckedWorld.Settings()
            settings.keepsMoments = keepsMoments
            let world = CheckedWorld(seed: 11, settings)
            _ = world.play()
            return world
        }
        let world = play(true)
        #expect(world.moments.count > 100 && world.moments == play(true).moments)
        #expect(world.tally == play(false).tally && world.tally[.answers] > 0)
    }
}
