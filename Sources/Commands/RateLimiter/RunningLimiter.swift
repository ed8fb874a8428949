import CommandKit
import KernelStructures
import RateLimiterEngine
import ShellSession

extension Session {
    /// The rate limiters that run, with the names of their nodes.
    var limiters: [(name: String, host: RateLimiterHost)] {
        jobs.running.flatMap(\.running).compactMap { process in
            guard let program = process.component as? ServiceProgram<RateLimiterHost>, let host = program.host else {
                return nil
            }
            return (host.node.name, host)
        }
    }

    /// A running rate limiter by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func limiter(named name: String?) throws -> RateLimiterHost {
        let found = limiters
        if let name {
            if let match = found.first(where: { $0.name.lowercased() == name.lowercased() }) { return match.host }
            throw CommandFailure("no rate limiter called '\(name)' runs\(didYouMean(name, among: found.map(\.name)))")
        }
        switch found.count {
        case 0: throw CommandFailure("no rate limiter runs; start one: ratelimiter --rate 10 --port 8080")
        case 1: return found[0].host
        default:
            throw CommandFailure("several run (\(found.map(\.name).joined(separator: ", "))); name one: --node NAME")
        }
    }
}
