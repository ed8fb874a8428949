import LockCheckEngine
import Testing

/// Lives through the worlds of many seeds, two at a time. Of what goes wrong the first two findings become issues: how
/// to see them again, and the end of what happened.
enum SeedRun {
    private static let lanes = 2
    private static let momentCount = 150

    /// - Parameters:
    ///   - kind: of the worlds.
    ///   - command: shows one of them again, with `--seed` behind it.
    static func study(_ seeds: [UInt64], of kind: any StudiedWorld.Type, command: String) async -> WorldStudy {
        let study = await withTaskGroup(of: WorldStudy.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var study = WorldStudy(of: kind)
                    for place in stride(from: lane, to: seeds.count, by: lanes) where study.findings.count < 2 {
                        study.play(seeds[place])
                    }
                    return study
                }
            }
            return await group.reduce(into: WorldStudy(of: kind)) { $0 += $1 }
        }
        for finding in study.findings.prefix(2) { Issue.record("\(report(finding, kind, command))") }
        return study
    }

    private static func report(
        _ finding: WorldStudy.Finding, _ kind: any StudiedWorld.Type, _ command: String
    ) -> String {
        var settings = CheckedWorld.Settings()
        settings.keepsMoments = true
        let again = kind.init(seed: finding.seed, settings)
        _ = again.play()
        let lines = again.moments.suffix(momentCount).map {
            "\(CheckedWorld.clock($0.microseconds)) \($0.subject) \($0.text)"
        }
        return """
            seed \(finding.seed): \(finding.failures.joined(separator: "; "))
            see it again: sdlab -c '\(command) --seed \(finding.seed)'
            \(lines.joined(separator: "\n"))
            """
    }
}
