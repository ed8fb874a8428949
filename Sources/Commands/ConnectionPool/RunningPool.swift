import CommandKit
import ConnectionPoolEngine
import KernelStructures
import ShellSession

extension Session {
    /// The pools that run, with the names of their nodes.
    var pools: [(name: String, test: PoolTest)] {
        jobs.running.flatMap(\.running).compactMap { process in
            guard let program = process.component as? ServiceProgram<PoolTest>, let test = program.host else {
                return nil
            }
            return (test.node.name, test)
        }
    }

    /// A running pool by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func pool(named name: String?) throws -> PoolTest {
        let found = pools
        if let name {
            if let match = found.first(where: { $0.name.lowercased() == name.lowercased() }) { return match.test }
            throw CommandFailure(
                "no connection pool called '\(name)' runs\(didYouMean(name, among: found.map(\.name)))")
        }
        switch found.count {
        case 0: throw CommandFailure("no connection pool runs; start one: pool-test --max-conns 10 &")
        case 1: return found[0].test
        default: throw CommandFailure("several run (\(found.map(\.name).joined(separator: ", "))); name one of them")
        }
    }
}
