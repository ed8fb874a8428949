import FeatureFlagsEngine
import FeatureFlagsService
import KernelStructures
import KernelWorld
import ShellSession

/// `flags-app` at work: rounds of users, each of whom is decided about here.
final class FlagApp: Program {
    struct Settings {
        let flag: String
        var userCount = 100
        /// 0 without an end.
        var rounds = 1
        var every = LabDuration.seconds(5)
        var properties: [String: String] = [:]
        var showsVariants = false
        var follows = false
        var apiKey = ""
        var backup: String?
        var client = FeatureFlagConfiguration()

        init(flag: String) { self.flag = flag }
    }

    private let process: Process
    private let settings: Settings
    private var flags: NodeFlagClient!
    private var roundCount = 0

    init(_ process: Process, _ settings: Settings) {
        self.process = process
        self.settings = settings
    }

    func start() {
        flags = NodeFlagClient(
            process.node, apiKey: settings.apiKey, settings.client, follows: settings.follows, backup: settings.backup)
        flags.onSettled = { [self] in
            flags.onSettled = nil
            process.hold()
            round()
        }
        flags.start()
    }

    private func round() {
        guard process.isRunning else { return }
        roundCount += 1
        process.print(settings.showsVariants ? variantLine : line)
        if settings.rounds > 0, roundCount >= settings.rounds { return finish() }
        process.node.after(settings.every) { [self] in round() }
    }

    private func finish() {
        flags.stop { [self] in
            if process.isRunning { process.exit(0) }
        }
    }

    private func context(_ user: Int) -> FlagContext {
        FlagContext(
            userID: "\(user)", environment: settings.client.environment, appName: settings.client.appName,
            properties: settings.properties)
    }

    private var line: String {
        let count = (1...settings.userCount).count { flags.isEnabled(settings.flag, context($0)) }
        let share = fixedDecimal(Double(count) / Double(settings.userCount) * 100, places: 1)
        return "\(settings.flag): \(grouped(count)) of \(grouped(settings.userCount)) users (\(share)%)\(note)"
    }

    private var variantLine: String {
        var counts: [String: Int] = [:]
        for user in 1...settings.userCount {
            counts[flags.variant(settings.flag, context(user)).name, default: 0] += 1
        }
        let list = counts.sorted { $0.key < $1.key }.map { "\($0.key)=\(grouped($0.value))" }.joined(separator: ", ")
        return "\(settings.flag): \(list)\(note)"
    }

    /// What somebody has to know who wonders about the numbers.
    private var note: String {
        if !flags.client.set.contains(settings.flag) {
            return flags.trouble.map { " (nothing is known of it: \($0))" } ?? " (there is no such flag)"
        }
        return flags.trouble.map { " (by the last good definitions: \($0))" } ?? ""
    }
}
