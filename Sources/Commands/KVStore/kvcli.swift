import CommandKit
import CommandRedis
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

extension KVStoreCommands {
    /// `kv-cli SET user:1 Alice`
    static var kvCLI: Command {
        let words = ["SET", "GET", "DEL", "SCAN", "COMPACT", "FLUSH", "STATS", "LEVELS", "TRACE"]
        let description = CommandDescription(
            "kv-cli", "asks a key-value store, and says where it looked",
            usage: "[--host HOST] [--port PORT] COMMAND [ARGUMENT…]",
            flags: KVStoreCommands.addressFlags + [CommonFlags.json],
            arguments: .init([.word(words), .key], 1...10_000),
            examples: [
                "kv-cli SET user:1 Alice", "kv-cli SET session:1 x EX 30", "kv-cli GET user:1", "kv-cli SCAN 'user:*'",
                "kv-cli TRACE user:1", "kv-cli COMPACT", "kv-cli STATS", "kv-cli INCRBY visits 5",
            ],
            group: .clients,
            details: """
                GET says `(from memtable)` when no table had to be asked. TRACE shows which
                memtable and tables a read looks into, and which Bloom filters said no. SCAN
                lists all keys of a pattern. COMPACT returns when all tables are merged. Any
                other command goes to the server as it stands, and its reply is shown as
                redis-cli shows it. Words that begin with - stand behind a -- of their own.
                """)
        return Command(description) { invocation in
            let client = KVClient(
                invocation.process, try RedisAddress(invocation, port: 6379, server: "lsm-kv"),
                wantsJSON: invocation.arguments.wantsJSON)
            client.words = invocation.arguments.arguments
            return .running(client)
        }
    }
}

/// One command of kv-cli: what it asks, and how it shows the answers.
final class KVClient: Program {
    let process: Process
    private let address: RedisAddress
    private let wantsJSON: Bool
    private let connection = RESPClientConnection()
    var words: [String] = []

    init(_ process: Process, _ address: RedisAddress, wantsJSON: Bool) {
        self.process = process
        self.address = address
        self.wantsJSON = wantsJSON
    }

    func start() {
        connection.onEnd = { [self] failure in fail(address.complaint(failure, connection)) }
        do throws(NetworkError) {
            try connection.connect(from: process.node, to: address.destination, security: address.security)
        } catch {
            return fail("\(error)")
        }
        let rest = Array(words.dropFirst())
        switch (words[0].uppercased(), rest.count) {
        // Programs get the reply alone.
        case ("SET", 2...) where !wantsJSON: set()
        case ("GET", 1) where !wantsJSON: get(rest[0])
        case ("DEL", 1...) where !wantsJSON: delete()
        case ("SCAN", 0...1): scan(rest.first ?? "*", cursor: "0", found: [])
        case ("COMPACT", 0): ask(["LSM", "COMPACT"]) { [self] _ in finish() }
        case ("FLUSH", 0): ask(["LSM", "FLUSH"]) { [self] _ in finish() }
        case ("STATS", 0): ask(["LSM", "STATS"]) { [self] in show(statistics: $0) }
        case ("LEVELS", 0): ask(["LSM", "LEVELS"]) { [self] in show(levels: $0) }
        case ("TRACE", 1): ask(["LSM", "TRACE", rest[0]]) { [self] in show(trace: $0) }
        case (let word, let count)
        where (count == 0 || !["SET", "GET", "DEL"].contains(word))
            && ["SET", "GET", "DEL", "TRACE", "COMPACT", "FLUSH", "STATS", "LEVELS"].contains(word):
            fail("\(word): that is not how many words it takes; see help kv-cli")
        default: ask(words) { [self] in show($0) }
        }
    }

    // MARK: Asking

    private func ask(_ words: [String], then: @escaping (RESPValue) -> Void) {
        connection.send(words) { [self] result in
            switch result {
            case .success(.error(let text)):
                process.errorOutput.write("(error) \(text)\n")
                finish(1)
            case .success(let value): if process.isRunning { then(value) }
            case .failure: break
            }
        }
    }

    /// How many entries the memtable has; nil where the server is none of ours.
    private func askEntries(then: @escaping (Int?) -> Void) {
        connection.send(["LSM", "STATS"]) { result in
            guard case .success(let value) = result, let text = value.text else { return then(nil) }
            then(Self.fields(text).first { $0.0 == "memtable_entries" }.flatMap { Int($0.1) })
        }
    }

    private func set() {
        ask(words) { [self] reply in
            guard reply == .simple("OK") else { return show(reply) }
            askEntries { [self] entries in
                print(entries.map { "OK (wrote to memtable, \($0) entries)" } ?? "OK")
                finish()
            }
        }
    }

    private func get(_ key: String) {
        ask(["GET", key]) { [self] reply in
            guard reply != .null else { return show(reply) }
            connection.send(["LSM", "PLACE", key]) { [self] result in
                var place = ""
                if case .success(let value) = result, let text = value.text, text.hasSuffix("memtable") { place = text }
                print((reply.text ?? "") + (place.isEmpty ? "" : " (from \(place))"))
                finish()
            }
        }
    }

    private func delete() {
        ask(words) { [self] reply in
            guard let count = reply.integer, count > 0 else {
                print("0 deleted")
                return finish()
            }
            askEntries { [self] entries in
                let what = count == 1 ? "a tombstone" : "\(count) tombstones"
                print("\(count) deleted" + (entries.map { " (wrote \(what) to memtable, \($0) entries)" } ?? ""))
                finish()
            }
        }
    }

    private func scan(_ pattern: String, cursor: String, found: [String]) {
        ask(["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"]) { [self] reply in
            guard let parts = reply.elements, parts.count == 2, let next = parts[0].text, let keys = parts[1].elements
            else { return fail("the server's answer to SCAN is none") }
            let all = keys.compactMap(\.text)
            if wantsJSON {
                if next != "0" { return scan(pattern, cursor: next, found: found + all) }
                print(JSONValue.array((found + all).map { .string($0) }).text)
                return finish()
            }
            for key in all { print(key) }
            if next == "0" { finish() } else { scan(pattern, cursor: next, found: []) }
        }
    }

    // MARK: Showing

    private func print(_ text: String) { process.print(text) }

    private func finish(_ status: Int = 0) {
        connection.close()
        if process.isRunning { process.exit(status) }
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        process.complain(text)
        finish(1)
    }

    /// Whether the reply is a text for people, lines and all.
    private var asksForText: Bool {
        let second = words.count > 1 ? words[1].uppercased() : ""
        return words[0].uppercased() == "INFO"
            || (words[0].uppercased() == "CLIENT" && ["LIST", "INFO"].contains(second))
    }

    private func show(_ value: RESPValue) {
        if asksForText, !wantsJSON, let text = value.text {
            process.output.write(text.replacing("\r\n", with: "\n"))
            return finish()
        }
        print(wantsJSON ? RedisReply.json(value).text : RedisReply.text(value))
        finish()
    }

    static func fields(_ text: String) -> [(String, String)] {
        text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("#") }.compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (String(line[..<colon]), String(line[line.index(after: colon)...]))
        }
    }

    private func show(statistics value: RESPValue) {
        let fields = Self.fields(value.text ?? "")
        let view = View(
            .record(
                fields.map { name, text in
                    let json =
                        Int(text).map { JSONValue.integer($0) } ?? Double(text).map { .number($0) } ?? .string(text)
                    return .init(name.replacing("_", with: " "), key: name, View.Cell(text, json: json))
                }))
        render(view)
    }

    private func show(levels value: RESPValue) {
        let tables = (value.elements ?? []).compactMap { $0.elements }
        let rows = tables.map { cells -> [View.Cell] in
            func cell(_ index: Int) -> RESPValue { index < cells.count ? cells[index] : .null }
            return [
                .text(cell(1).text ?? ""), .integer(cell(3).integer ?? 0), .integer(cell(5).integer ?? 0),
                .text(cell(7).text ?? ""), .text(cell(9).text ?? ""), .integer(cell(11).integer ?? 0),
            ]
        }
        render(
            View(
                .table(
                    .init(
                        [
                            .init("TABLE", key: "table"), .init("LEVEL", key: "level", right: true),
                            .init("BYTES", key: "bytes", right: true),
                            .init("FIRST KEY", key: "first_key", flexible: true),
                            .init("LAST KEY", key: "last_key", flexible: true),
                            .init("OVERLAPS", key: "overlaps", right: true),
                        ], rows: rows, whenEmpty: "no tables: all is in the memtable"))))
    }

    private func show(trace value: RESPValue) {
        let lines = (value.elements ?? []).compactMap(\.text)
        if wantsJSON {
            print(JSONValue.array(lines.map { .string($0) }).text)
        } else {
            for line in lines { print(line) }
        }
        finish()
    }

    private func render(_ view: View) {
        process.output.write(process.text(of: view, asJSON: wantsJSON))
        finish()
    }
}
