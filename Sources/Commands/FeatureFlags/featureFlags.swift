import CommandKit
import CommandServices
import FeatureFlagsEngine
import FeatureFlagsService
import KernelStructures
import ShellSession

extension FeatureFlagsCommands {
    /// `feature-flags --port 4242`
    static var featureFlags: Command {
        let kind = ServiceKind("feature-flags", node: "flags", port: .preset(FeatureFlagsHost.defaultPort))
        let description = CommandDescription(
            "feature-flags", "serves feature flags: Unleash's client API, OFREP, and a page for people",
            usage: "[--data-dir DIR] [FLAGS]",
            flags: kind.flags(
                listens: "where it listens for HTTP",
                [
                    .init("data-dir", "D", .file, "where its database is (./flags)"),
                    .init(
                        "environments", nil, .text("LIST"),
                        "of a new database; the first is meant where none is named (production,development)"),
                ]),
            examples: ["feature-flags", "flags-cli create new-checkout-flow", "curl http://localhost:4242/api/flags"],
            group: .components, role: .service, tags: ["FLAGS"],
            details: """
                For programs:
                  /api/client/…         Unleash's client API, with a stream of changes
                  /ofrep/v1/…           OpenFeature's Remote Evaluation Protocol 0.3
                For people: http://localhost:4242/, flags-cli, and what that asks: /api/flags.
                A change is synced before anybody hears of it; SQLite keeps the data. Numbers
                that clients report are written a second later.
                Until a token is made (flags-cli token create NAME --kind admin) all may come.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            let directory = arguments.text("data-dir") ?? "./flags"
            var settings = FeatureFlagsHost.Settings(
                directory: invocation.session.files.absolute(directory), text: directory)
            if let list = arguments.text("environments") {
                settings.environments = try environments(list)
            }
            return ServicePlan { [settings] node, service in
                FeatureFlagsHost(node: node, port: service.port, settings: settings, options: service.options) {
                    answer, asJSON, columns in
                    let view = answer.view
                    var renderer = ViewRenderer(columns: columns ?? 80)
                    renderer.cutsCells = columns != nil
                    return asJSON ? renderer.json(view) : renderer.plain(view)
                }
            }
        }
    }

    private static func environments(_ list: String) throws -> [String] {
        let names = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        for (index, name) in names.enumerated() {
            guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != 47 && $0 != 58 }) else {
                throw UsageError("feature-flags: --environments: '\(name)' cannot be the name of an environment")
            }
            if names[..<index].contains(name) {
                throw UsageError("feature-flags: --environments: '\(name)' stands there twice")
            }
        }
        guard names.count <= FlagStore.environmentLimit else {
            throw UsageError("feature-flags: --environments: more than \(FlagStore.environmentLimit)")
        }
        return names
    }
}
