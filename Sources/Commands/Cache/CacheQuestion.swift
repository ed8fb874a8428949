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
/// is then asked there.
final class CacheQuestion: Program {
    private let process: Process
    private let address: RedisAddress
    private let words: [String]
    private let wantsJSON: Bool
    private var connection = RESPClientConnection()
    private var destination: HostPort
    private var redirections = 0
    private var tries = 0

    /// Two nodes that send one to one another would do so for ever.
    private static let redirectionLimit = 5
    /// While a slot is between two nodes the answer is to try again.
    private static let tryLimit = 20

    init(_ process: Process, _ address: RedisAddress, _ words: [String], wantsJSON: Bool) {
        self.process = process
        self.address = address
        self.words = words
        self.wantsJSON = wantsJSON
        destination = address.destination
    }

    func start() { ask(isAsking: false) }

    private func ask(isAsking: Bool) {
        let connection = RESPClientConnection()
        self.connection = connection
        connection.onEnd = { [self] failure in
            fail(redirections == 0 ? address.complaint(failure, connection) : "\(destination): \(failure)")
        }
        do throws(NetworkError) {
            try connection.connect(from: process.node, to: destination, security: address.security)
        } catch {
            return fail("\(error)")
        }
        if isAsking { connection.send(["ASKING"]) { _ in } }
        connection.send(words) { [self] result in
            guard process.isRunning, case .success(let value) = result else { return }
            if case .error(let text) = value { refused(text) } else { show(value) }
        }
    }

    private func refused(_ text: String) {
        if let (isAsking, target) = Self.redirection(text), redirections < Self.redirectionLimit {
            redirections += 1
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

    /// `MOVED 3999 127.0.0.1:7002`: whom to ask instead.
    static func redirection(_ text: String) -> (isAsking: Bool, target: HostPort)? {
        let parts = text.split(separator: " ")
        guard parts.count == 3, parts[0] == "MOVED" || parts[0] == "ASK", let target = HostPort(parsing: parts[2])
        else {
            return nil
        }
        return (parts[0] == "ASK", target)
    }

    // MARK: Showing

    private func show(_ value: RESPValue) {
        let name = words[0].uppercased()
        if wantsJSON {
            process.print(RedisReply.json(value).text)
        } else if name == "SET", value == .simple("OK") {
            return locate { [self] place in
                process.print("OK (stored on node \(place?.node ?? "\(destination.port)"))")
            }
        } else if name == "GET", let text = value.text {
            return locate { [self] place in
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
