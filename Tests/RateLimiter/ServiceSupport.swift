import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterService
import TestSupport

/// A limiter on a node of a world in memory, and clients to ask it.
final class ServiceBench {
    let world: World
    let host: RateLimiterHost
    /// Its configuration file, which a reload reads again.
    private let file: TextFile
    private var clients: [RawClient] = []

    init(
        _ yaml: String, world: World = memoryWorld(), name: String = "rl", port: UInt16 = 8080, throttle: UInt16? = nil,
        descriptors: Bool = false
    )
        throws
    {
        self.world = world
        let file = TextFile(yaml)
        self.file = file
        host = RateLimiterHost(
            node: world.node(name), source: try file.source(), port: port, throttle: throttle,
            descriptors: descriptors ? Self.descriptorPort : nil)
        try host.start()
    }

    /// Reads another text for a configuration file.
    func reload(_ yaml: String) throws {
        file.text = yaml
        try host.reload()
    }

    private final class TextFile {
        var text: String
        init(_ text: String) { self.text = text }

        func source() throws -> ConfigurationSource<RateLimiterConfiguration> {
            .init(try read(), read: read) { [self] in Array(text.utf8) }
        }

        private func read() throws -> RateLimiterConfiguration {
            try RateLimiterConfiguration(yaml: Array(text.utf8), file: "rl.yaml")
        }
    }

    func client(_ name: String = "client") throws -> RawClient {
        let node = world.nodes[name] ?? world.node(name)
        let client = try RawClient(node, host.node.name, 8080)
        clients.append(client)
        return client
    }

    /// One request on a connection of its own; lab time passes until it is answered.
    func ask(_ path: String = "/", _ fields: String..., from name: String = "client", method: String = "GET") throws
        -> HTTPHead
    {
        let client = try client(name)
        client.write("\(method) \(path) HTTP/1.1\r\nHost: rl\r\n\(fields.map { $0 + "\r\n" }.joined())\r\n")
        for _ in 0..<200 where client.answers.isEmpty { world.pass(.microseconds(50)) }
        guard let answer = client.answers.first else { throw BenchTrouble.noAnswer }
        client.stream.close()
        return answer.head
    }

    private static let descriptorPort: UInt16 = 8082

    /// Posts to the port for Envoy; lab time passes until it is answered.
    func post(_ path: String, _ body: String) throws -> (head: HTTPHead, body: String) {
        let client = try RawClient(world.nodes["envoy"] ?? world.node("envoy"), host.node.name, Self.descriptorPort)
        clients.append(client)
        client.write("POST \(path) HTTP/1.1\r\nHost: rl\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        for _ in 0..<200 where client.answers.isEmpty { world.pass(.microseconds(50)) }
        guard let answer = client.answers.first else { throw BenchTrouble.noAnswer }
        client.stream.close()
        return (answer.head, String(decoding: answer.body, as: UTF8.self))
    }

    enum BenchTrouble: Error { case noAnswer }
}

extension HTTPHead {
    func number(_ name: String) -> Int? { value(of: name).flatMap { Int($0) } }
}

/// A reader of structured fields (RFC 9651 §4.2) as strict as the text, for lists of strings with parameters: nil for
/// anything that is not one.
struct StructuredList {
    struct Item {
        var name: String
        var parameters: [(String, Value)] = []
        func integer(_ key: String) -> Int? {
            parameters.first { $0.0 == key }.flatMap { if case .integer(let number) = $0.1 { number } else { nil } }
        }
    }
    enum Value: Equatable { case integer(Int), string(String), bytes(String), yes }

    private(set) var items: [Item] = []
    private var rest: Substring

    init?(_ text: String) {
        rest = text[...]
        repeat {
            while rest.first == " " || rest.first == "\t" { rest.removeFirst() }
            guard let name = string() else { return nil }
            var item = Item(name: name)
            while rest.first == ";" {
                rest.removeFirst()
                while rest.first == " " { rest.removeFirst() }
                let key = rest.prefix { $0.isASCII && ($0.isLowercase || $0.isNumber || "_-.*".contains($0)) }
                guard let first = key.first, first.isLowercase || first == "*" else { return nil }
                rest.removeFirst(key.count)
                guard let value = value() else { return nil }
                item.parameters.append((String(key), value))
            }
            items.append(item)
            while rest.first == " " || rest.first == "\t" { rest.removeFirst() }
            if rest.isEmpty { return }
            guard rest.removeFirst() == "," else { return nil }
        } while !rest.isEmpty
        return nil
    }

    private mutating func value() -> Value? {
        guard rest.first == "=" else { return .yes }
        rest.removeFirst()
        switch rest.first {
        case "\"": return string().map { .string($0) }
        case ":":
            rest.removeFirst()
            let body = rest.prefix { $0 != ":" }
            guard body.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+/=".contains($0)) }) else {
                return nil
            }
            rest.removeFirst(body.count)
            guard rest.popFirst() == ":" else { return nil }
            return .bytes(String(body))
        default:
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "-" }
            guard (1...15).contains(digits.count), let number = Int(digits) else { return nil }
            rest.removeFirst(digits.count)
            return .integer(number)
        }
    }

    private mutating func string() -> String? {
        guard rest.popFirst() == "\"" else { return nil }
        var text = ""
        while let character = rest.popFirst() {
            switch character {
            case "\"": return text
            case "\\":
                guard let next = rest.popFirst(), next == "\"" || next == "\\" else { return nil }
                text.append(next)
            case _ where character.isASCII && character.asciiValue! >= 32 && character.asciiValue! < 127:
                text.append(character)
            default: return nil
            }
        }
        return nil
    }
}
