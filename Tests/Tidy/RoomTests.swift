import Testing

/// The rules of the house about rooms: who may know whom, and that one word means one thing.
@Suite struct RoomTests {
    /// The room that a file under Sources is in, by its folder: the folders are the rows of Package.swift.
    private static func room(of file: String) -> String {
        let parts = file.split(separator: "/")
        switch parts[0] {
        case "Engines" where parts.count > 3 && (parts[1] == "Kernel" || parts[2] == "Service"):
            return parts.prefix(3).joined(separator: "/")
        case "Bench": return "Bench"
        default: return parts.prefix(2).joined(separator: "/")
        }
    }

    private static func imports(_ file: String) throws -> [String] {
        try Repository.lines("Sources/\(file)").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 2, words[words.count - 2] == "import", words[0].hasPrefix("@") || words.count == 2
            else { return nil }
            return String(words[words.count - 1])
        }
    }

    // MARK: Layers

    /// What only a component's service may know.
    private static let hosts: Set<String> = ["KernelWorld", "KernelLoopback", "KernelHosting", "KernelService"]

    private static func isForPureRooms(_ module: String) -> Bool {
        !hosts.contains(module) && !module.hasPrefix("Shell")
            && !["Service", "Services", "Commands"].contains(where: module.hasSuffix)
    }

    @Test("a component's engine is pure: it knows neither the World nor what stands on it")
    func pureEngines() throws {
        var engines: Set<String> = []
        for file in try Repository.swiftFiles(under: "Sources") where file.hasPrefix("Engines/") {
            let room = Self.room(of: file)
            guard !room.hasPrefix("Engines/Kernel/"), !room.hasSuffix("/Service") else { continue }
            engines.insert(room)
            for module in try Self.imports(file) where !Self.isForPureRooms(module) {
                Issue.record("Sources/\(file) imports \(module); it belongs in \(room)/Service")
            }
        }
        #expect(engines.count >= 7)
    }

    /// Words of what stands once, in Kernel/Hosting/Upstream: heads rewritten for the other side, connections kept.
    private static let forwarding = ["isHopByHop", "isNamedByConnection", "idleSince", "takeIdle"]

    @Test("requests are passed on to servers in one place, whoever decides about them")
    func forwardingStandsOnce() throws {
        for file in try Repository.swiftFiles(under: "Sources")
        where !file.hasPrefix("Engines/Kernel/Hosting/") && !file.hasPrefix("Engines/Kernel/Wire/") {
            for (number, line) in BareSource.of(try Repository.text("Sources/\(file)")).enumerated() {
                for word in Self.forwarding where line.contains(word) {
                    Issue.record("Sources/\(file):\(number + 1): \(word) is for Kernel/Hosting/Upstream")
                }
            }
        }
    }

    @Test("the check of layers sees what it should")
    func layersOfSamples() {
        for module in ["KernelWorld", "KernelHosting", "LoadBalancerService", "CommandServices", "ShellSession"] {
            #expect(!Self.isForPureRooms(module), "\(module)")
        }
        for module in ["KernelStructures", "KernelWire", "HashRingEngine", "Synchronization"] {
            #expect(Self.isForPureRooms(module), "\(module)")
        }
        #expect(Self.room(of: "Engines/LoadBalancer/Service/Probe.swift") == "Engines/LoadBalancer/Service")
        #expect(Self.room(of: "Engines/LoadBalancer/Pool/Server.swift") == "Engines/LoadBalancer")
        #expect(Self.room(of: "Engines/Kernel/Wire/HTTP/HTTPHead.swift") == "Engines/Kernel/Wire")
        #expect(Self.room(of: "Commands/General/Files/files.swift") == "Commands/General")
    }

    // MARK: Names

    private static let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "actor", "typealias"]

    private static let modifiers: Set<Substring> = ["final", "indirect"]

    /// The type that a line declares for other rooms to see.
    private static func declaredType(_ line: Substring) -> String? {
        let words = line.split(separator: " ").drop { $0.hasPrefix("@") }
        guard !line.hasPrefix(" "), words.first == "public" || words.first == "package" else { return nil }
        let declaration = words.dropFirst().drop(while: modifiers.contains)
        guard let kind = declaration.first, kinds.contains(kind), let name = declaration.dropFirst().first else {
            return nil
        }
        return String(name.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
    }

    @Test("one word, one thing: no two rooms have a type of the same name to show")
    func names() throws {
        var places: [String: Set<String>] = [:]
        for file in try Repository.swiftFiles(under: "Sources") {
            for line in BareSource.of(try Repository.text("Sources/\(file)")) {
                if let name = Self.declaredType(line) { places[name, default: []].insert(Self.room(of: file)) }
            }
        }
        #expect(places.count > 300)
        for (name, rooms) in places where rooms.count > 1 {
            Issue.record("\(name) is something else in each of \(rooms.sorted().joined(separator: ", "))")
        }
    }

    @Test("the check of names reads declarations")
    func namesOfSamples() {
        let samples: [(Substring, String?)] = [
            ("public final class Node {", "Node"), ("package struct Line: Sendable {", "Line"),
            ("@frozen public enum Kind<Value> {", "Kind"), ("struct Inner {", nil), ("    public struct Nested {", nil),
            ("public func make(_ class: Int) {}", nil), ("package indirect enum Tree {", "Tree"),
            ("public extension Node {", nil), ("public typealias Handler = () -> Void", "Handler"),
        ]
        for (line, expected) in samples { #expect(Self.declaredType(line) == expected, "\(line)") }
    }
}
