import CommandKit
import CommandServices
import FeatureFlagsEngine
import FeatureFlagsService
import KernelJSON
import KernelStructures
import ShellSession

extension FeatureFlagsCommands {
    /// `flags-app --flag new-checkout-flow --users 1000`
    static var flagsApp: Command {
        let description = CommandDescription(
            "flags-app", "a program with users that asks its flags, through the client library",
            usage: "--flag FLAG [--users N] [--rounds N] [FLAGS]",
            flags: [
                .init("flag", "f", .text("FLAG"), "which flag it asks"),
                .init("users", "u", .integer(1...1_000_000), "its users are 1 to N (100)"),
                .init("rounds", "r", .integer(0...1_000_000), "how often all of them come; 0 without an end (1)"),
                .init("every", nil, .duration(), "from one round to the next (5s)"),
                .init("with", "w", .text("NAME=VALUE"), repeatable: true, "what is known of all of them: country=US"),
                .init("variants", nil, "asks which variant they see"),
                .init("env", "e", .text("NAME"), "its environment"),
                .init("server", "s", .endpoint, "where the server is (localhost:\(FeatureFlagsHost.defaultPort))"),
                .init("token", nil, .text("KEY"), "a client's key, where the server asks for one"),
                .init("refresh", nil, .duration(), "from one look at the server to the next (15s)"),
                .init("follow", nil, "has changes pushed, and need not wait for the next look"),
                .init("backup", nil, .file, "where it keeps the last good definitions"),
                .init("bootstrap", nil, .file, "definitions to begin with, as JSON"),
            ],
            examples: [
                "flags-app --flag new-checkout-flow --users 1000",
                "flags-app --flag button-color --variants --rounds 0 --follow",
            ], group: .clients,
            details: """
                It decides by itself: no question to a server lies on the way of a user. With
                the server away it goes on with the last definitions that were good.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            guard let flag = arguments.text("flag") else { throw UsageError("flags-app: which one? add --flag FLAG") }
            var settings = FlagApp.Settings(flag: flag)
            settings.userCount = arguments.integer("users") ?? 100
            settings.rounds = arguments.integer("rounds") ?? 1
            settings.every = arguments.duration("every") ?? .seconds(5)
            settings.showsVariants = arguments.has("variants")
            settings.follows = arguments.has("follow")
            settings.apiKey = try arguments.secret("token") ?? ""
            settings.backup = arguments.text("backup").map { invocation.session.files.absolute($0) }
            for word in arguments.texts("with") {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, !parts[0].isEmpty else {
                    throw UsageError("flags-app: --with: '\(word)' is not NAME=VALUE, such as country=US")
                }
                settings.properties[String(parts[0])] = String(parts[1])
            }
            settings.client = try configuration(invocation)
            return .running(FlagApp(invocation.process, settings))
        }
    }

    private static func configuration(_ invocation: Invocation) throws -> FeatureFlagConfiguration {
        let arguments = invocation.arguments
        let server = arguments.endpoint("server") ?? HostPort(host: "localhost", port: FeatureFlagsHost.defaultPort)
        var client = FeatureFlagConfiguration(
            baseURL: "http://\(server)", refreshInterval: arguments.duration("refresh") ?? .seconds(15),
            appName: "flags-app", environment: arguments.text("env"))
        if let file = arguments.text("bootstrap") {
            let bytes: [UInt8]
            do { bytes = try invocation.session.files.read(file) } catch { throw CommandFailure("\(error)") }
            do { client.bootstrap = try FlagDefinitions(parsing: bytes) } catch {
                throw CommandFailure("\(file): \(error)")
            }
        }
        return client
    }
}
