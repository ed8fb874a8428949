import BackendService
import CommandKit
import CommandServices
import KernelStructures
import KernelWorld
import ShellSession

extension BackendCommands {
    /// `udp-echo --port 9000`
    static var udpEcho: Command {
        let kind = ServiceKind("udp-echo", node: "echo", port: .required(example: 9000), speaksTLS: false)
        let description = CommandDescription(
            "udp-echo", "sends every datagram back to where it came from", usage: "--port PORT [FLAGS]",
            flags: kind.flags([]), examples: ["udp-echo --port 9000 &", "udp send echo:9000 hello"],
            group: .components, role: .service,
            details: """
                The simplest service without connections (RFC 862). See what loss, duplication,
                reordering and latency do to it: inject loss 20% client->echo
                """)
        return .service(kind, description) { _ in
            ServicePlan { node, service in UDPEcho(node: node, port: service.port, options: service.options) }
        }
    }

    /// `udp send HOST:PORT TEXT`
    static var udp: Command {
        let description = CommandDescription(
            "udp", "sends datagrams and shows what comes back", usage: "send HOST:PORT TEXT [FLAGS]",
            flags: [
                .init("count", "c", .integer(1...1000), "how many, numbered from 1 (1, without a number)"),
                .init("interval", "i", .duration(allowsZero: true), "time between two of them (0s)"),
                .init("timeout", "t", .duration(allowsZero: false), "how long to wait for answers after the last (1s)"),
            ],
            arguments: .init([.word(["send"]), .text, .text], 3...3),
            examples: ["udp send echo:9000 hello", "udp send localhost:9000 ping --count 5 --interval 100ms"],
            group: .clients,
            details: """
                As nc -u does, with an end: 0 if an answer came, 1 if none did or the port is
                nobody's. With one datagram it ends with the first answer; with several it waits
                for all, and the timeout shows whether one comes twice.
                """)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            guard words[0] == "send" else { throw UsageError("udp: '\(words[0])'? write udp send HOST:PORT TEXT") }
            let destination: HostPort
            do throws(HostPort.Malformed) {
                destination = try HostPort(reading: words[1])
            } catch {
                throw UsageError("udp: \(error)")
            }
            let client = UDPClient(invocation.process, destination, text: words[2])
            client.count = invocation.arguments.integer("count") ?? 1
            client.isNumbered = invocation.arguments.has("count")
            client.interval = invocation.arguments.duration("interval") ?? .zero
            client.timeout = invocation.arguments.duration("timeout") ?? .seconds(1)
            return .running(client)
        }
    }
}

/// `udp send` at work.
final class UDPClient: Program, DatagramHandler {
    let process: Process
    private let destination: HostPort
    private let text: String
    var count = 1
    var isNumbered = false
    var interval = LabDuration.zero
    var timeout = LabDuration.seconds(1)
    private var socket: DatagramSocket?
    private var sent = 0
    private var received = 0
    private var isOver = false

    init(_ process: Process, _ destination: HostPort, text: String) {
        self.process = process
        self.destination = destination
        self.text = text
    }

    func start() {
        do throws(NetworkError) {
            socket = try process.node.bindDatagrams(handler: self)
        } catch {
            return fail("\(error)")
        }
        sendNext()
    }

    private func sendNext() {
        guard let socket, !isOver else { return }
        sent += 1
        do throws(NetworkError) {
            try socket.send(Array((isNumbered ? "\(text) \(sent)" : text).utf8), to: destination)
        } catch {
            return fail("\(error)")
        }
        if sent < count {
            process.node.after(interval) { [self] in sendNext() }
        } else {
            process.node.after(timeout) { [self] in timedOut() }
        }
    }

    func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
        received += 1
        process.output.write(Array(bytes) + (bytes.last == UInt8(ascii: "\n") ? [] : [UInt8(ascii: "\n")]))
        if !isNumbered { finish(0) }
    }

    func datagramSocket(_ socket: DatagramSocket, refusedBy remote: Endpoint) {
        fail("\(destination): port unreachable")
    }

    private func timedOut() {
        if isOver { return }
        if isNumbered {
            process.output.write("\(sent) sent, \(received) received\n")
        } else {
            process.errorOutput.write("udp: no answer from \(destination) within \(timeout)\n")
        }
        finish(received > 0 ? 0 : 1)
    }

    private func fail(_ reason: String) {
        if isOver { return }
        process.errorOutput.write("udp: \(reason)\n")
        finish(1)
    }

    private func finish(_ status: Int) {
        if isOver { return }
        isOver = true
        socket?.close()
        process.exit(status)
    }
}
