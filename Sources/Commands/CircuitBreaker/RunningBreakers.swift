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

/// Breakers of programs that have come to their end: how they were then. Whoever looks afterwards looks for those.
final class EndedBreakers {
    private(set) var all: [RunningBreaker] = []

    /// That are remembered, the latest ones.
    static let limit = 16

    func note(_ holder: any BreakerHolder, name: String, owner: String, at time: LabTime) {
        let ended = EndedBreaker(
            snapshot: holder.snapshot(ofBreaker: name), strips: holder.strips(ofBreaker: name), time: time)
        all.removeAll { $0.name == name }
        all.append(RunningBreaker(holder: ended, name: name, owner: owner))
        if all.count > Self.limit { all.removeFirst() }
    }
}

/// One of them.
final class EndedBreaker: BreakerHolder {
    private let last: BreakerSnapshot
    private let lastStrips: (states: String, endings: String)
    /// When its program ended.
    let time: LabTime

    init(snapshot: BreakerSnapshot, strips: (states: String, endings: String), time: LabTime) {
        last = snapshot
        lastStrips = strips
        self.time = time
    }

    var breakerNames: [String] { [last.name] }
    func snapshot(ofBreaker name: String) -> BreakerSnapshot { last }
    func strips(ofBreaker name: String) -> (states: String, endings: String) { lastStrips }
    /// Nobody asks it any more.
    func order(_ state: CircuitState, ofBreaker name: String) {}
    func reconfigure(_ configuration: CircuitBreakerConfiguration, breaker name: String) {}
}

extension RunningBreaker {
    /// When its program ended; nil while it runs.
    var ended: LabTime? { (holder as? EndedBreaker)?.time }
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

    /// Of programs that have ended.
    var endedBreakers: EndedBreakers { world.only(EndedBreakers.self) { EndedBreakers() } }

    /// Those that run, or, where none does, how the last ones were when they ended.
    var breakersToLookAt: [RunningBreaker] { breakers.isEmpty ? endedBreakers.all : breakers }

    /// A breaker by its name, or the only one there is.
    ///
    /// - Parameter verbs: what the name may have been meant to be, if it is none.
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func breaker(named name: String?, orMeant verbs: [String]) throws -> RunningBreaker {
        let all = breakersToLookAt
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
