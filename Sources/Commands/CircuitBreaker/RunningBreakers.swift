import CircuitBreakerEngine
import CommandKit
import KernelStructures
import ShellSession

/// A running program that has circuit breakers in it.
protocol BreakerHolder: AnyObject {
    /// Their names, in a stable order.
    var breakerNames: [String] { get }
    func snapshot(ofBreaker name: String) -> BreakerSnapshot
    /// The states that its last calls met, and how they ended, one letter each.
    func strips(ofBreaker name: String) -> (states: String, endings: String)
    func order(_ state: CircuitState, ofBreaker name: String)
    func reconfigure(_ configuration: CircuitBreakerConfiguration, breaker name: String)
}

/// One breaker of one program.
struct RunningBreaker {
    let holder: any BreakerHolder
    let name: String
    /// Of the program that has it.
    let owner: String

    var snapshot: BreakerSnapshot { holder.snapshot(ofBreaker: name) }
}

extension Session {
    /// The breakers of everything that runs.
    var breakers: [RunningBreaker] {
        jobs.running.flatMap(\.running).flatMap { process -> [RunningBreaker] in
            guard let holder = process.component as? any BreakerHolder else { return [] }
            return holder.breakerNames.map {
                RunningBreaker(holder: holder, name: $0, owner: process.nodeName ?? process.name)
            }
        }
    }

    /// A breaker by its name, or the only one there is.
    ///
    /// - Parameter verbs: what the name may have been meant to be, if it is none.
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func breaker(named name: String?, orMeant verbs: [String]) throws -> RunningBreaker {
        let all = breakers
        if all.isEmpty {
            throw CommandFailure("no circuit breaker runs; start one: circuit-test --url http://HOST:PORT &")
        }
        let names = all.map(\.name)
        guard let name else {
            if all.count == 1 { return all[0] }
            throw CommandFailure("several run (\(names.joined(separator: ", "))); name one of them")
        }
        let meant = nodeName(meantBy: name).lowercased()
        guard let found = all.first(where: { $0.name.lowercased() == meant }) else {
            throw CommandFailure("no circuit breaker called '\(name)' runs\(didYouMean(name, among: names + verbs))")
        }
        return found
    }
}
