import KernelHosting
import KernelStructures
import RegistryEngine

/// Requests that wait for a change, by what they wait for.
///
/// A change looks only at those who wait for its topics. Those that ask the same get the same bytes: an answer is made
/// once a change, however many wait for it.
final class WatchTable {
    final class Waiter {
        let topics: [WatchTopic]
        /// What it knows already.
        let index: UInt64
        /// Those with equal ones ask the same.
        let question: String
        let answer: (_ made: [UInt8]?) -> [UInt8]?
        fileprivate(set) var isDone = false
        /// In the order in which they came.
        fileprivate var number = 0

        init(
            _ topics: [WatchTopic], index: UInt64, question: String,
            answer: @escaping (_ made: [UInt8]?) -> [UInt8]?
        ) {
            self.topics = topics
            self.index = index
            self.question = question
            self.answer = answer
        }
    }

    private struct Line {
        var waiters: [Waiter] = []
        /// Those that have gone and are still in line.
        var goneCount = 0
    }

    private var lines: [WatchTopic: Line] = [:]
    private var prefixCount = 0
    private var lastNumber = 0
    private(set) var count = 0

    func add(_ waiter: Waiter) {
        count += 1
        lastNumber += 1
        waiter.number = lastNumber
        for topic in waiter.topics {
            lines[topic, default: Line()].waiters.append(waiter)
            if case .prefix = topic { prefixCount += 1 }
        }
    }

    /// It has been answered, or has left.
    func remove(_ waiter: Waiter) {
        guard !waiter.isDone else { return }
        waiter.isDone = true
        count -= 1
        for topic in waiter.topics {
            if case .prefix = topic { prefixCount -= 1 }
            guard var line = lines.removeValue(forKey: topic) else { continue }
            line.goneCount += 1
            if line.goneCount * 2 > line.waiters.count {
                line.waiters.removeAll { $0.isDone }
                line.goneCount = 0
            }
            if !line.waiters.isEmpty { lines[topic] = line }
        }
    }

    /// Answers those who wait for one of these.
    ///
    /// - Returns: how many.
    func wake(_ topics: [WatchTopic], _ catalog: RegistryCatalog) -> Int {
        var woken = 0
        var made: [String: [UInt8]] = [:]
        for topic in topics {
            woken += wake(topic, catalog, &made)
            if case .key(let key) = topic, prefixCount > 0 { woken += wakePrefixes(of: key, catalog, &made) }
        }
        return woken
    }

    /// Answers all whose topics have changed, whichever they are.
    func wakeAll(_ catalog: RegistryCatalog) -> Int {
        var made: [String: [UInt8]] = [:]
        let waiters = lines.values.flatMap(\.waiters).filter { !$0.isDone }.sorted { $0.number < $1.number }
        return waiters.reduce(0) { $0 + (answer($1, catalog, &made) ? 1 : 0) }
    }

    private func answer(_ waiter: Waiter, _ catalog: RegistryCatalog, _ made: inout [String: [UInt8]]) -> Bool {
        guard !waiter.isDone, waiter.topics.contains(where: { catalog.index(of: $0) > waiter.index }) else {
            return false
        }
        remove(waiter)
        if let bytes = waiter.answer(made[waiter.question]) { made[waiter.question] = bytes }
        return true
    }

    private func wake(_ topic: WatchTopic, _ catalog: RegistryCatalog, _ made: inout [String: [UInt8]]) -> Int {
        guard let line = lines[topic] else { return 0 }
        var woken = 0
        for waiter in line.waiters where answer(waiter, catalog, &made) { woken += 1 }
        return woken
    }

    private func wakePrefixes(of key: String, _ catalog: RegistryCatalog, _ made: inout [String: [UInt8]]) -> Int {
        var woken = wake(.prefix(""), catalog, &made)
        for end in key.indices { woken += wake(.prefix(String(key[...end])), catalog, &made) }
        return woken
    }
}
