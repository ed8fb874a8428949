import CircuitBreakerEngine
import CommandKit
import CommandServices
import KernelService
import KernelStructures
import ShellSession

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
            // A program's own, or those of the service that it runs.
            let service = (process.component as? any ServiceHolder)?.anyService
            guard let holder = process.component as? any BreakerHolder ?? service as? any BreakerHolder else {
                return []
            }
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
        // `orders->payments` by whom it leads to, where no other one does.
        let leading = all.filter { $0.name.lowercased().hasSuffix("->\(meant)") }
        guard
            let found = all.first(where: { $0.name.lowercased() == meant })
                ?? (leading.count == 1 ? leading[0] : nil)
        else {
            throw CommandFailure("no circuit breaker called '\(name)' runs\(didYouMean(name, among: names + verbs))")
        }
        return found
    }
}
