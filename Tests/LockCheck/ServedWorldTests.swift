import LockCheckEngine
import LockCheckService
import TestSupport
import Testing

@Suite("Worlds of lock servers over HTTP")
struct ServedWorldTests {
    #if DEBUG
        private static let usualCount = 10
    #else
        private static let usualCount = 64
    #endif
    private static var worldCount: Int { isLong ? 3000 : usualCount }
    /// Beyond the first ones, a world that has found something: a member alone, started again on a slow disk, answered
    /// reads before its new term had an entry, and so without what it had acknowledged.
    private static let findings = [962]
    private static var seeds: [Int] { Array(0..<worldCount) + findings.filter { $0 >= worldCount } }

    /// What has to happen in some of them, or they would say nothing.
    private static let kinds: [WorldTally.Kind] = [
        .crashes, .powerFailures, .failedSyncs, .slowDisks, .pauses, .cuts, .splits, .badLines, .clockChanges,
        .transfers, .elections, .leasesGranted, .answers, .unanswered, .lockGrants, .renewals, .deadHolders,
        .sleepingHolders, .staleWritesRefused,
    ]

    private static func play(_ seed: UInt64, keepsMoments: Bool = false) -> ServedWorld {
        var settings = CheckedWorld.Settings()
        settings.keepsMoments = keepsMoments
        let world = ServedWorld(seed: seed, settings)
        _ = world.play()
        return world
    }

    // @covers LOCK-C1 LOCK-C2 LOCK-M3
    @Test("kill, power loss, pauses, partitions, bad disks: over HTTP, too, a lock has one holder")
    func worlds() async {
        let study = await SeedRun.study(
            Self.seeds.map(UInt64.init), of: ServedWorld.self, command: "lock-check --served")
        for kind in Self.kinds {
            #expect(study.tally[kind] > 0, "\(study.worldCount) worlds, and no \(kind.words)")
        }
    }

    @Test("a world follows from its seed, and keeping its moments changes nothing")
    func determinism() {
        let first = Self.play(7, keepsMoments: true)
        #expect(first.moments.count > 50 && first.moments == Self.play(7, keepsMoments: true).moments)
        #expect(first.tally == Self.play(7).tally && first.tally[.answers] > 0)
    }
}
