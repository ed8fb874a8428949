import ChaosService
import CommandKit
import CommandServices
import KernelStructures
import KernelWorld
import ShellSession

extension ChaosCommands {
    static var inject: Command {
        let description = CommandDescription(
            "inject", "puts a fault into force: latency, loss, partition, reset …",
            usage: "FAULT [LINK] [for TIME]", arguments: .init([.fault, .node, .duration], 1...100, isRaw: true),
            examples: [
                "inject latency 200ms±50ms client->Server-A for 30s", "inject loss 10% on Server-B",
                "inject partition {Server-A,Server-B}|{lb}", "inject fail http 503 first 2 on Server-A",
                "inject fail http 500 after 2 for 5 on Server-A", "inject throttle 64KB/s Server-A->lb",
                "inject disk-full on db for 1m",
            ], group: .faults,
            details: """
                latency TIME[±JITTER]   loss N%   throttle SIZE/s   corrupt N%
                duplicate N%   reorder N%   (datagrams; TCP repairs both)
                partition {A,B}|{C}   blackhole   reset   refuse
                fail http STATUS [first N] [after N [for N]] [with FIELD=VALUE] [N%]
                disk-full   disk-slow TIME   fail-sync [N]   torn-write [N]
                cpu N%   memory [TIME]   (others take N% of its processor; its memory is full:
                slow, and killed after TIME, 30s)
                LINK is A->B, A<->B or 'on A'; without one, every link. 'on A' delays,
                throttles, corrupts, doubles and reorders what A sends; loss, blackhole and
                reset act both ways; refuse and fail on connections to A. client is every
                terminal, outside whoever connects from outside the lab. Faults act at once on
                open connections, add up, and end with their time, with heal, or with calm.
                """)
        return Command(description) { invocation in
            let world = invocation.session.world
            let request: FaultRequest
            do {
                let session = invocation.session
                request = try FaultRequest(invocation.arguments.arguments) { session.nodeName(meantBy: $0) }
            } catch let error as FaultGrammarError {
                throw UsageError("inject: \(error)")
            }
            let known = [NodeTable.clientName, NodeTable.outsideName] + world.nodes.allServices.map(\.name)
            for name in request.mentioned where !known.contains(where: { $0.lowercased() == name }) {
                // As it was typed: names are compared without regard to case.
                let typed = invocation.arguments.arguments.flatMap { word in
                    word.split { !$0.isLetter && !$0.isNumber && !"-_.:".contains($0) }
                }
                let shown = typed.first { $0.lowercased() == name } ?? name[...]
                throw CommandFailure("no node '\(shown)'\(didYouMean(name, among: known))")
            }
            guard
                let number = world.faults.inject(request, in: world)
            else { throw CommandFailure("no more than \(FaultTable.limit) faults at a time") }
            let ending = request.duration.map { " for \($0)" } ?? ""
            invocation.process.print("fault \(number): \(request.text)\(ending)")
            if case .protocolFailure = request.kind {
                let services = invocation.session.runningServices
                for name in request.mentioned {
                    let service = services.first { $0.node.name.lowercased() == name }
                    guard let language = service?.runtime.clientProtocol else { continue }
                    invocation.process.complain(
                        "\(name) speaks \(language) with its clients, in which this fault does nothing: refuse, reset, "
                            + "latency and pause do")
                }
            }
            return .success
        }
    }

    static var heal: Command {
        let description = CommandDescription(
            "heal", "ends partitions and blackholes, or the given faults", usage: "[NUMBER…]",
            arguments: .init([.text], 0...100), examples: ["heal", "heal 3"], group: .faults)
        return Command(description) { invocation in
            let faults = invocation.session.world.faults!
            if invocation.arguments.arguments.isEmpty {
                let count = faults.removeAll {
                    if case .block = $0.kind { return true }
                    return false
                }
                invocation.process.print("healed \(counted(count, "fault"))")
                return .success
            }
            let numbers = try invocation.arguments.arguments.map { word -> Int in
                guard let number = Int(word.hasPrefix("#") ? String(word.dropFirst()) : word) else {
                    throw UsageError("heal: '\(word)' is not the number of a fault; see faults")
                }
                guard faults.rules.contains(where: { $0.number == number }) else {
                    throw CommandFailure("there is no fault \(number); see faults")
                }
                return number
            }
            for number in numbers { faults.remove(number) }
            invocation.process.print("healed \(counted(numbers.count, "fault"))")
            return .success
        }
    }

    static var calm: Command {
        let description = CommandDescription("calm", "ends every fault", examples: ["calm"], group: .faults)
        return Command(description) { invocation in
            let count = invocation.session.world.faults.removeAll()
            invocation.process.print("reverted \(counted(count, "fault"))")
            // Frozen is not faulty, and easily forgotten.
            for node in invocation.session.world.nodes.allServices where node.isFrozen {
                invocation.process.print("\(node.name) is still frozen; resume \(node.name) thaws it")
            }
            return .success
        }
    }

    static var faultList: Command {
        let description = CommandDescription(
            "faults", "the faults in force", usage: "[--json]", flags: [CommonFlags.json], examples: ["faults"],
            group: .faults, role: .view)
        return Command(description) { invocation in
            let world = invocation.session.world
            let rows = world.faults.rules.map { rule -> [View.Cell] in
                [
                    .integer(rule.number), .text(rule.text + (world.faults.isUsedUp(rule) ? " (used up)" : "")),
                    .duration(world.now - rule.since),
                    rule.until.map { .duration($0 - world.now) } ?? .none,
                ]
            }
            return .view(
                View(
                    .table(
                        .init(
                            [
                                .init("ID", key: "number"), .init("FAULT", key: "fault", flexible: true),
                                .init("SINCE", key: "since_ms", right: true),
                                .init("ENDS IN", key: "ends_in_ms", right: true),
                            ], rows: rows, whenEmpty: "no faults"))))
        }
    }
}
