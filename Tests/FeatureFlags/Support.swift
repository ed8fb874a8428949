import FeatureFlagsEngine
import FeatureFlagsService
import KernelJSON
import KernelStructures
import KernelWorld
import TestSupport

let epoch = LabTime.documentedEpoch

/// A set with one flag of these strategies.
func flagSet(_ strategies: [FlagStrategy], variants: [FlagVariantDefinition] = [], name: String = "f") -> FlagSet {
    FlagSet(FlagDefinitions([FlagDefinition(name, isEnabled: true, strategies: strategies, variants: variants)]))
}

extension FlagSet {
    func isOn(_ name: String, _ context: FlagContext = .init(), now: LabTime = epoch, chance: UInt64 = 0) -> Bool {
        isEnabled(name, context, now: now, chance: chance)
    }
}

/// A server in memory; answers are shown by what they are called.
final class Lab {
    let world: World
    let host: FeatureFlagsHost
    let client: Node

    init(seed: UInt64 = 1) throws {
        world = memoryWorld(seed: seed)
        host = FeatureFlagsHost(
            node: world.node("flags"), port: 4242, settings: .init(directory: "/flags")
        ) { answer, isJSON, _ in "\(isJSON ? "json" : "text") \(answer)\n" }
        client = world.node("client-node")
        try host.start()
    }

    /// The server in its next life, with what is on its disk.
    func restarted() throws -> FeatureFlagsHost {
        host.node.end(.killed)
        let host = FeatureFlagsHost(
            node: world.node("flags"), port: 4242, settings: .init(directory: "/flags")
        ) { answer, _, _ in "\(answer)\n" }
        try host.start()
        return host
    }

    struct Answer {
        let status: Int
        let text: String
        let etag: String?
        var json: JSONValue { (try? JSONValue(parsing: text)) ?? .null }
    }

    @discardableResult
    func ask(_ method: String, _ target: String, _ body: String? = nil, _ fields: [String] = []) throws -> Answer {
        let raw = try RawClient(client, "flags", 4242)
        let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
        let head = ["\(method) \(target) HTTP/1.1", "Host: flags"] + fields + length
        raw.write(head.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
        world.pass(.milliseconds(500))
        let answer = raw.answers.first
        return Answer(
            status: answer?.status ?? 0, text: raw.bodies.first ?? "", etag: answer?.head.value(of: "ETag"))
    }

    var logLines: [String] {
        let events = world.journal.events
        return (0..<events.count).compactMap { index in
            if case .log(let line) = events[index].body { line.text } else { nil }
        }
    }
}
