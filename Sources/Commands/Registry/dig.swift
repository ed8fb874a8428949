import CommandKit
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

extension RegistryCommands {
    /// `dig @localhost -p 8600 payment-api.service.local SRV`
    static var dig: Command {
        let description = CommandDescription(
            "dig", "asks a DNS server, as BIND's dig does", usage: "[@SERVER] [-p PORT] NAME [TYPE] [+OPTION…]",
            arguments: .init([.text], 0...100, isRaw: true),
            examples: [
                "dig @localhost -p 8600 payment-api.service.consul SRV",
                "dig @localhost -p 8600 payment-api.service.consul +short",
                "dig @registry -p 8600 -x 127.0.0.1 +tcp",
            ],
            group: .clients,
            details: """
                Flags: -p PORT, -t TYPE, -q NAME, -x ADDRESS. Options: +short, +tcp, +norecurse,
                +noedns, +bufsize=N, +ignore (keeps a truncated answer), +time=S, +tries=N,
                +noall +answer, and +[no] with cmd, comments, question, answer, authority,
                additional, stats. A truncated answer is asked for again over TCP.
                Status 9 if no server answers. Without @SERVER it asks localhost; names are not
                looked up elsewhere.
                """)
        return Command(description) { invocation in
            let arguments = try DigArguments(invocation.arguments.arguments)
            return .running(DigProgram(invocation.process, arguments))
        }
    }
}

/// `dig` at work.
final class DigProgram: Program, DatagramHandler, StreamHandler {
    private let process: Process
    private let arguments: DigArguments
    private var query: DNSMessage
    private var socket: DatagramSocket?
    private var stream: Stream?
    private var received: [UInt8] = []
    private var timer: TimerID?
    private var startedAt = LabTime(nanoseconds: 0)
    private var triesLeft: Int
    private var isOver = false

    init(_ process: Process, _ arguments: DigArguments) {
        self.process = process
        self.arguments = arguments
        query = arguments.query
        query.id = process.node.draw { UInt16(truncatingIfNeeded: $0.next()) }
        triesLeft = arguments.tries
    }

    private var place: HostPort { HostPort(host: arguments.server, port: arguments.port) }
    /// As dig names it.
    private var placeText: String {
        "\(arguments.server == "localhost" ? "127.0.0.1" : arguments.server)#\(arguments.port)"
    }

    func start() {
        process.output.write(DigOutput.banner(arguments))
        if arguments.wantsTCP { askByStream() } else { askByDatagram() }
    }

    // MARK: Datagrams

    private func askByDatagram() {
        do throws(NetworkError) {
            if socket == nil { socket = try process.node.bindDatagrams(handler: self) }
            startedAt = process.node.world.now
            try socket?.send(query.bytes(), to: place)
        } catch {
            return fail("couldn't get address for '\(arguments.server)': \(error)", status: 10)
        }
        timer = process.node.after(arguments.timeout) { [self] in
            complain("communications error to \(placeText): timed out")
            again { [self] in askByDatagram() }
        }
    }

    private func again(_ ask: () -> Void) {
        triesLeft -= 1
        if triesLeft > 0 { return ask() }
        fail("no servers could be reached", status: 9)
    }

    func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
        // Something else that came here, or was made up, is not the answer.
        guard !isOver, DNSMessage.id(of: bytes) == query.id else { return }
        guard let response = read(bytes) else { return }
        if response.isTruncated, !arguments.ignoresTruncation {
            process.node.cancel(timer)
            if !arguments.isShort { process.output.write(";; Truncated, retrying in TCP mode.\n") }
            return askByStream()
        }
        show(response, bytes.count, remote, wasTCP: false)
    }

    func datagramSocket(_ socket: DatagramSocket, refusedBy remote: Endpoint) {
        guard !isOver, stream == nil else { return }
        process.node.cancel(timer)
        complain("communications error to \(placeText): connection refused")
        again { [self] in askByDatagram() }
    }

    // MARK: Connections

    private func askByStream() {
        received = []
        startedAt = process.node.world.now
        do throws(NetworkError) {
            stream = try process.node.connect(to: place, handler: self)
        } catch {
            return fail("couldn't get address for '\(arguments.server)': \(error)", status: 10)
        }
        timer = process.node.after(arguments.timeout) { [self] in
            complain("communications error to \(placeText): timed out")
            stream?.abort()
            again { [self] in askByStream() }
        }
    }

    func streamOpened(_ stream: Stream) { stream.write(query.framed) }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        received.append(contentsOf: bytes)
        guard received.count >= 2 else { return }
        let length = Int(received[0]) << 8 | Int(received[1])
        guard received.count >= length + 2 else { return }
        received.withUnsafeBytes { all in
            let bytes = UnsafeRawBufferPointer(rebasing: all[2..<(length + 2)])
            if let response = read(bytes) { show(response, length, stream.remote, wasTCP: true) }
        }
    }

    func stream(_ stream: Stream, closed reason: CloseReason) {
        guard !isOver, stream === self.stream else { return }
        process.node.cancel(timer)
        complain(
            "communications error to \(placeText): \(reason == .refused ? "connection refused" : "end of file")")
        again { [self] in askByStream() }
    }

    // MARK: The end

    private func read(_ bytes: UnsafeRawBufferPointer) -> DNSMessage? {
        do throws(DNSError) {
            return try DNSMessage(reading: bytes)
        } catch {
            fail("got a malformed answer from \(placeText): \(error)", status: 8)
            return nil
        }
    }

    private func show(_ response: DNSMessage, _ byteCount: Int, _ remote: Endpoint, wasTCP: Bool) {
        let world = process.node.world
        process.output.write(
            DigOutput(
                arguments: arguments, response: response, byteCount: byteCount,
                server: arguments.server == "localhost" ? Endpoint(.loopback, arguments.port) : remote, wasTCP: wasTCP,
                took: world.now - startedAt, now: world.now
            ).text)
        finish(0)
    }

    private func complain(_ text: String) { process.output.write(";; \(text)\n") }

    private func fail(_ text: String, status: Int) {
        complain(text)
        finish(status)
    }

    private func finish(_ status: Int) {
        if isOver { return }
        isOver = true
        process.node.cancel(timer)
        socket?.close()
        stream?.close()
        process.exit(status)
    }
}
