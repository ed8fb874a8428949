import CommandKit
import KernelStructures
import LoadBalancerEngine
import ShellSession

extension Session {
    /// The load balancers that run, with the names of their nodes.
    var balancers: [(name: String, host: LoadBalancerHost)] {
        jobs.running.flatMap(\.running).compactMap { process in
            guard let program = process.component as? ServiceProgram<LoadBalancerHost>, let host = program.host else {
                return nil
            }
            return (host.node.name, host)
        }
    }

    /// A running load balancer by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func balancer(named name: String?) throws -> LoadBalancerHost {
        let found = balancers
        if let name {
            if let match = found.first(where: { $0.name.lowercased() == name.lowercased() }) { return match.host }
            throw CommandFailure("no load balancer called '\(name)' runs\(didYouMean(name, among: found.map(\.name)))")
        }
        switch found.count {
        case 0: throw CommandFailure("no load balancer runs; start one: loadbalancer --backends 8081,8082 --port 8080")
        case 1: return found[0].host
        default: throw CommandFailure("several run (\(found.map(\.name).joined(separator: ", "))); name one of them")
        }
    }
}
