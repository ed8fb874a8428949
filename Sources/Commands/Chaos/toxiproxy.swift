import ChaosService
import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import ShellSession

extension ChaosCommands {
    /// `toxiproxy --port 8474`
    static var toxiproxy: Command {
        let kind = ServiceKind(
            "toxiproxy", node: "toxiproxy", port: .preset(ToxiproxyHost.defaultPort), speaksTLS: false)
        let description = CommandDescription(
            "toxiproxy", "proxies whose connections are slow, cut, reset …: Toxiproxy's API",
            usage: "[--config FILE] [FLAGS]",
            flags: kind.flags(
                listens: "where its API is",
                [.init("config", "c", .file, "proxies to begin with: a JSON list as /populate takes it")]),
            examples: [
                "toxiproxy",
                #"curl -d '{"name":"db","upstream":"db:5432"}' localhost:8474/proxies"#,
                #"curl -d '{"type":"timeout"}' localhost:8474/proxies/db/toxics"#,
                "curl -X POST localhost:8474/reset",
            ],
            group: .components, role: .service, tags: ["TOXI"],
            details: """
                Toxics: latency, bandwidth, slow_close, timeout, reset_peer, slicer, limit_data;
                upstream or downstream, for a share of the connections (toxicity), and
                "enabled": false for a server that is down. Clients of Toxiproxy work as they
                are; as a process of its own (sdlab toxiproxy) between programs of the machine.
                /faults is the lab's: POST {"inject": "latency 2s", "target": "api"}, "for" how
                long.
                """)
        return .service(kind, description) { invocation in
            let proxies = try initial(invocation)
            let session = invocation.session
            let hooks = FaultDesk.Hooks.ofSession(session, invocation.process.submission)
            return ServicePlan { node, service in
                ToxiproxyHost(
                    node: node, port: service.port, proxies: proxies, hooks: hooks, options: service.options)
            }
        }
    }

    private static func initial(_ invocation: Invocation) throws -> [JSONValue] {
        guard let file = invocation.arguments.text("config") else { return [] }
        let bytes: [UInt8]
        do { bytes = try invocation.session.files.read(file) } catch { throw CommandFailure("\(error)") }
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue(parsing: bytes) } catch {
            throw CommandFailure("\(file): \(error)")
        }
        guard case .array(let proxies) = value else { throw CommandFailure("\(file): a list of proxies is expected") }
        return proxies
    }
}
