import CacheEngine
import CommandKit
import CommandRedis
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// One command of cache-cli: whom it asks, who answers in the end, and how the answer is shown.
///
/// A node of a cluster that has not got the key says who has (`MOVED`), or who is just getting it (`ASK`); the question
/// is then asked there. Of a key in a hot slot there are copies for readers, and a read goes to any of them, or to the
/// owner, by chance.
final class CacheQuestion: Program {
    private let process: Process
    private let address: RedisAddress
    private let words: [String]
    private let arguments: ParsedArguments
    private var wantsJSON: Bool { arguments.wantsJSON }
    /// With `cluster lost-writes`: what was said so far, and who is still to be asked.
    private var lost = LostWritesAnswer()
    private var others: [HostPort] = []
    private var connection = RESPClientConnection()
    private var destination: HostPort
    private var redirections = 0
    private var tries = 0
    /// The node of a copy for readers that is asked.
    private var reader: String?

    /// Two nodes that send one to one another would do so for ever.
    private static let redirectionLimit = 5
    /// While a slot is between two nodes the answer is to try again.
    private static let tryLimit = 20

    init(_ process: Process, _ address: RedisAddress, _ words: [String], _ arguments: ParsedArguments) {
        self.process = process
        self.address = address
        self.words = words
        self.arguments = arguments
        destination = address.destination
    }

    func start() {
        guard Self.isRead(words) else { return ask(isAsking: false) }
        guard connect() else { return }
        connection.send(["CLUSTER", "LOCATE", words[1]]) { [self] result in
            guard process.isRunning, case .success(let value) = result else { return }
            let readers = Self.readers(value)
            let chosen = readers.isEmpty ? 0 : process.node.draw { $0.below(readers.count + 1) }
            guard chosen > 0 else { return ask(isAsking: false, isConnected: true) }
            connection.close()
            (reader, destination) = readers[chosen - 1]
            ask(isAsking: false)
        }
    }

    /// Whether it reads one key, which stands behind the command's name.
    private static func isRead(_ words: [String]) -> Bool {
        guard words.count > 1, let command = CacheCommand.named(words[0].lowercased()),
            command.flags.contains(.readOnly), case .places(1, 1, _) = command.keys
        else { return false }
        return true
    }

    /// From the reply to CLUSTER LOCATE: who may be asked besides the owner.
    private static func readers(_ reply: RESPValue) -> [(node: String?, target: HostPort)] {
        guard let fields = reply.elements, let place = fields.firstIndex(where: { $0.text == "readers" }),
            place % 2 == 0, place + 1 < fields.count, let pairs = fields[place + 1].elements
        else { return [] }
        return stride(from: 0, to: pairs.count - 1, by: 2).compactMap { index in
            guard let node = pairs[index].text, let address = pairs[index + 1].text,
                let target = HostPort(parsing: address)
            else { return nil }
            return (node, target)
        }
    }

    /// - Returns: whether it is on its way; if not, it has failed.
    private func connect() -> Bool {
        let connection = RESPClientConnection()
        self.connection = connection
        connection.onEnd = { [self] failure in
            fail(redirections == 0 ? address.complaint(failure, connection) : "\(destination): \(failure)")
        }
        do throws(NetworkError) {
            try connection.connect(from: process.node, to: destination, security: address.security)
        } catch {
            fail("\(error)")
            return false
        }
        return true
    }

    private func ask(isAsking: Bool, isConnected: Bool = false) {
        guard isConnected || connect() else { return }
        if reader != nil { connection.send(["READONLY"]) { _ in } }
        if isAsking { connection.send(["ASKING"]) { _ in } }
        connection.send(words) { [self] result in
            guard process.isRunning, case .success(let value) = result else { return }
            if case .error(let text) = value { refused(text) } else { show(value) }
        }
    }

    private func refused(_ text: String) {
        if let (isAsking, target) = RedisRedirection.parse(text), redirections < Self.redirectionLimit {
            redirections += 1
            reader = nil
            connection.close()
            destination = target
            return ask(isAsking: isAsking)
        }
        if text.hasPrefix("TRYAGAIN"), tries < Self.tryLimit {
            tries += 1
            connection.close()
            process.node.after(.milliseconds(50)) { [self] in if process.isRunning { ask(isAsking: false) } }
            return
        }
        process.errorOutput.write("(error) \(text)\n")
        finish(1)
    }

    // MARK: Showing

    private func show(_ value: RESPValue) {
        let name = words[0].uppercased()
        let detail = words.count > 1 && name == "CLUSTER" && !arguments.has("raw") ? words[1].lowercased() : ""
        if detail == "lost-writes" {
            return gather(value)
        } else if wantsJSON {
            process.print(RedisReply.json(value).text)
        } else if detail == "locate", words.count == 3, let text = Self.sentence(value, about: words[2]) {
            process.print(text)
        } else if name == "SET", value == .simple("OK") {
            return locate { [self] place in
                process.print("OK (stored on node \(place?.node ?? "\(destination.port)"))")
            }
        } else if name == "GET", let text = value.text {
            return locate { [self] place in
                if let reader { return process.print("\(text) (from hot copy on \(reader))") }
                let isFromReplica = place?.isTakenOver == true
                process.print(isFromReplica ? "\(text) (from replica on \(place?.node ?? ""))" : text)
            }
        } else if ["INFO", "CLIENT", "CLUSTER"].contains(name), let text = value.text, text.utf8.contains(10) {
            process.output.write(text.replacing("\r\n", with: "\n"))
        } else {
            process.print(RedisReply.text(value))
        }
        finish(0)
    }

    private struct Place {
        let node: String
        let isTakenOver: Bool
    }

    /// Asks the node that has answered what it is called in its cluster, and how it came by the key's slot; nil for one
    /// that is alone.
    private func locate(_ completion: @escaping (Place?) -> Void) {
        guard words.count > 1 else {
            completion(nil)
            return finish(0)
        }
        connection.send(["CLUSTER", "LOCATE", words[1]]) { [self] result in
            guard process.isRunning else { return }
            completion(Self.place(try? result.get()))
            finish(0)
        }
    }

    private static func place(_ reply: RESPValue?) -> Place? {
        guard let fields = reply?.elements, fields.count % 2 == 0 else { return nil }
        var values: [String: String] = [:]
        for index in stride(from: 0, to: fields.count, by: 2) {
            if let key = fields[index].text, let value = fields[index + 1].text { values[key] = value }
        }
        return values["node"].map { Place(node: $0, isTakenOver: values["source"] == "replica") }
    }

    /// `key:1 (slot 6657) is on node 7003 (127.0.0.3:7003); copies: 7001`; nil for what is no answer to LOCATE.
    private static func sentence(_ reply: RESPValue, about key: String) -> String? {
        guard let fields = reply.elements, fields.count % 2 == 0 else { return nil }
        var values: [String: RESPValue] = [:]
        for index in stride(from: 0, to: fields.count, by: 2) {
            if let name = fields[index].text { values[name] = fields[index + 1] }
        }
        guard case .integer(let slot)? = values["slot"] else { return nil }
        guard let node = values["node"]?.text, let address = values["address"]?.text else {
            return "\(key) (slot \(slot)) is nobody's: the slot has no owner"
        }
        let copies = (values["copies"]?.elements ?? []).compactMap(\.text)
        let from = values["source"]?.text == "replica" ? ", which took over from a copy" : ""
        let whose = copies.isEmpty ? "no copies" : "copies: \(copies.joined(separator: ", "))"
        let read = readers(reply).compactMap(\.node)
        let hot = read.isEmpty ? "" : "; hot, also read from \(read.joined(separator: ", "))"
        return "\(key) (slot \(slot)) is on node \(node) (\(address))\(from); \(whose)\(hot)"
    }

    // MARK: Lost writes

    /// The ledger of the node that was asked, and then those of the others that it knows.
    private func gather(_ reply: RESPValue) {
        lost.add(reply)
        connection.send(["CLUSTER", "NODES"]) { [self] result in
            guard process.isRunning else { return }
            others = LostWritesAnswer.others((try? result.get())?.text ?? "")
            askNext()
        }
    }

    private func askNext() {
        connection.onEnd = nil
        connection.close()
        guard !others.isEmpty else {
            process.output.write(process.text(of: lost.view, asJSON: wantsJSON))
            return finish(0)
        }
        let target = others.removeFirst()
        let next = RESPClientConnection()
        connection = next
        next.onEnd = { [self] _ in
            guard process.isRunning else { return }
            lost.silent.append("\(target)")
            askNext()
        }
        do throws(NetworkError) {
            try next.connect(from: process.node, to: target, security: address.security)
        } catch {
            lost.silent.append("\(target)")
            return askNext()
        }
        // One that is frozen keeps its connections open, and says nothing.
        process.node.after(.seconds(2)) { [self] in
            guard process.isRunning, next === connection else { return }
            lost.silent.append("\(target)")
            askNext()
        }
        next.send(["CLUSTER", "LOST-WRITES"]) { [self] result in
            guard process.isRunning, next === connection, case .success(let value) = result else { return }
            lost.add(value)
            askNext()
        }
    }

    private func finish(_ status: Int) {
        connection.onEnd = nil
        connection.close()
        if process.isRunning { process.exit(status) }
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        process.complain(text)
        finish(1)
    }
}
