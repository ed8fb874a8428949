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

    private static func play(_ seed: UInt64, keepsMoments: Bool = false) -> (world: ServedWorld, failures: [String]) {
        var settings = CheckedWorld.Settings()
        settings.keepsMoments = keepsMoments
        let world = ServedWorld(seed: seed, settings)
        let failures = world.play()
        return (world, failures)
    }

    private static func report(_ finding: WorldStudy.Finding) -> String {
        let lines = play(finding.seed, keepsMoments: true).world.moments.suffix(150).map {
            "\(CheckedWorld.clock($0.microseconds)) \($0.subject) \($0.text)"
        }
        return """
            seed \(finding.seed): \(finding.failures.joined(separator: "; "))
            see it again: sdlab -c 'lock-check --served --seed \(finding.seed)'
            \(lines.joined(separator: "\n"))
            """
    }

    // @covers LOCK-C1 LOCK-C2 LOCK-M3
    @Test("kill, power loss, pauses, partitions, bad disks: over HTTP, too, a lock has one holder")
    func worlds() async {
        let lanes = 2
        let study = await withTaskGroup(of: WorldStudy.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var study = WorldStudy(of: ServedWorld.self)
                    let seeds = Self.seeds
                    for place in stride(from: lane, to: seeds.count, by: lanes) where study.findings.count < 2 {
                        study.play(UInt64(seeds[place]))
                    }
                    return study
                }
            }
            return await group.reduce(into: WorldStudy(of: ServedWorld.self)) { $0 += $1 }
        }
        for finding in study.findings.prefix(2) { Issue.record("\(Self.report(finding))") }
        for kind in Self.kinds {
            #expect(study.tally[kind] > 0, "\(study.worldCount) worlds, and no \(kind.words)")
        }
    }

    @Test("a world follows from its seed, and keeping its moments changes nothing")
    func determinism() {
        let first = Self.play(7, keepsMoments: true).world
        #expect(first.moments.count > 50 && first.moments == Self.play(7, keepsMoments: true).world.moments)
        #expect(first.tally == Self.play(7).world.tally && first.tally[.answers] > 0)
    }
}
