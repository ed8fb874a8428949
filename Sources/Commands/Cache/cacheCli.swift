import CommandKit
import CommandRedis
import CommandServices
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

extension CacheCommands {
    /// `cache-cli SET user:123 '{"name":"Alice"}' --ttl 3600`
    static var cacheCLI: Command {
        let words = ["SET", "GET", "DEL", "EXPIRE", "TTL", "INFO"]
        let description = CommandDescription(
            "cache-cli", "asks a cache node, and says which one answered",
            usage: "[--host HOST] [--port PORT] COMMAND [ARGUMENT…]",
            flags: addressFlags + [
                .init("ttl", nil, .integer(1...Int(Int32.max)), "for SET: seconds until the key ends"),
                CommonFlags.json,
            ],
            arguments: .init([.word(words), .text], 1...10_000),
            examples: [
                "cache-cli SET user:123 '{\"name\":\"Alice\"}' --ttl 3600", "cache-cli GET user:123",
                "cache-cli DEL user:123", "cache-cli --port 7002 INFO memory", "cache-cli ZADD board 10 Alice",
            ],
            group: .clients,
            details: """
                SET says on which node the key was stored, and GET gives the value as it is.
                Any other command goes to the node as it stands, and its reply is shown as
                redis-cli shows it. Words that begin with - stand behind a -- of their own.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            if let seconds = invocation.arguments.integer("ttl") {
                guard words[0].uppercased() == "SET" else {
                    throw UsageError("cache-cli: --ttl is for SET; another key's end is set by EXPIRE key seconds")
                }
                words += ["EX", "\(seconds)"]
            }
            return .running(
                CacheQuestion(
                    invocation.process,
                    try RedisAddress(invocation, port: defaultPort, server: "cache-node"), words,
                    wantsJSON: invocation.arguments.wantsJSON))
        }
    }
}

/// One command of cache-cli: what it asks, and how it shows the answer.
final class CacheQuestion: Program {
    private let process: Process
    private let address: RedisAddress
    private let words: [String]
    private let wantsJSON: Bool
    private let connection = RESPClientConnection()

    init(_ process: Process, _ address: RedisAddress, _ words: [String], wantsJSON: Bool) {
        self.process = process
        self.address = address
        self.words = words
        self.wantsJSON = wantsJSON
    }

    func start() {
        connection.onEnd = { [self] failure in fail(address.complaint(failure, connection)) }
        do throws(NetworkError) {
            try connection.connect(from: process.node, to: address.destination, security: address.security)
        } catch {
            return fail("\(error)")
        }
        connection.send(words) { [self] result in
            guard process.isRunning else { return }
            switch result {
            case .success(.error(let text)):
                process.errorOutput.write("(error) \(text)\n")
                finish(1)
            case .success(let value): show(value)
            case .failure: break
            }
        }
    }

    private func show(_ value: RESPValue) {
        let name = words[0].uppercased()
        if wantsJSON {
            process.print(RedisReply.json(value).text)
        } else if name == "SET", value == .simple("OK") {
            process.print("OK (stored on node \(address.port))")
        } else if name == "GET", let text = value.text {
            process.print(text)
        } else if ["INFO", "CLIENT"].contains(name), let text = value.text, text.utf8.contains(10) {
            process.output.write(text.replacing("\r\n", with: "\n"))
        } else {
            process.print(RedisReply.text(value))
        }
        finish(0)
    }

    private func finish(_ status: Int) {
        connection.close()
        if process.isRunning { process.exit(status) }
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        process.complain(text)
        finish(1)
    }
}
