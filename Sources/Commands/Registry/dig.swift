import CommandKit
import KernelService
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

/// `dig` at work: a question, and the page that shows its answer.
final class DigProgram: Program {
    private let process: Process
    private let arguments: DigArguments
    private var query: DNSQuery?

    init(_ process: Process, _ arguments: DigArguments) {
        self.process = process
        self.arguments = arguments
    }

    /// As dig names it.
    private var placeText: String {
        "\(arguments.server == "localhost" ? "127.0.0.1" : arguments.server)#\(arguments.port)"
    }

    func start() {
        process.output.write(DigOutput.banner(arguments))
        var policy = DNSQuery.Policy(timeout: arguments.timeout, tries: arguments.tries)
        policy.wantsTCP = arguments.wantsTCP
        policy.ignoresTruncation = arguments.ignoresTruncation
        let server = HostPort(host: arguments.server, port: arguments.port)
        let query = DNSQuery(process.node, server: server, message: arguments.query, policy: policy) { [unowned self] in
            switch $0 {
            case .success(let answer): show(answer)
            case .failure(let failure): show(failure)
            }
        }
        query.onTrouble = { [unowned self] in show($0) }
        self.query = query
        query.start()
    }

    private func show(_ trouble: DNSQuery.Trouble) {
        switch trouble {
        case .truncated: if !arguments.isShort { process.output.write(";; Truncated, retrying in TCP mode.\n") }
        default: complain("communications error to \(placeText): \(trouble.rawValue)")
        }
    }

    private func show(_ failure: DNSQuery.Failure) {
        switch failure {
        case .unreachable(let error): complain("couldn't get address for '\(arguments.server)': \(error)")
        case .noAnswer: complain("no servers could be reached")
        case .malformed(let error): complain("got a malformed answer from \(placeText): \(error)")
        }
        process.exit(failure.digStatus)
    }

    private func show(_ answer: DNSQuery.Answer) {
        let server = arguments.server == "localhost" ? Endpoint(.loopback, arguments.port) : answer.remote
        process.output.write(
            DigOutput(
                arguments: arguments, response: answer.message, byteCount: answer.byteCount, server: server,
                wasTCP: answer.wasTCP, took: answer.took, now: process.node.world.now
            ).text)
        process.exit(0)
    }

    private func complain(_ text: String) { process.output.write(";; \(text)\n") }
}

extension DNSQuery.Failure {
    /// BIND's: 9 where no server answers, 8 for what cannot be read, 10 for what is wrong within.
    fileprivate var digStatus: Int {
        switch self {
        case .unreachable: 10
        case .noAnswer: 9
        case .malformed: 8
        }
    }
}
