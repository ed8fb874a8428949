import KernelStructures

/// How fast counters grow, without a step for each thing that is counted: their values are looked at every few seconds,
/// as RabbitMQ's management does, and a rate is the difference to those of a while ago.
public struct CounterWindow<Counters: Sendable>: Sendable {
    private var older: Sample
    private var newer: Sample

    private struct Sample: Sendable {
        let time: LabTime
        let counters: Counters
    }

    /// Between two looks.
    private static var interval: LabDuration { .seconds(5) }

    init(_ counters: Counters, now: LabTime) {
        newer = Sample(time: now, counters: counters)
        older = newer
    }

    var isDue: LabTime { newer.time + Self.interval }

    /// Looks at them, if it is time.
    mutating func roll(_ counters: Counters, now: LabTime) {
        guard now >= isDue else { return }
        // After a pause nothing of what was before it counts.
        older = newer
        newer = Sample(time: now, counters: counters)
    }

    /// Of one counter, a second. Over five to ten seconds; over less where it has not been looked at for so long.
    public func rate(_ counter: KeyPath<Counters, Int>, _ counters: Counters, now: LabTime) -> Double {
        let grown = counters[keyPath: counter] - older.counters[keyPath: counter]
        return Double(grown) / max(1, (now - older.time).seconds)
    }
}

extension Broker {
    /// Looks at all counters if that is due. Costs next to nothing when it is not.
    public func rollRates(now: LabTime) {
        guard now >= rates.isDue else { return }
        rates.roll(counters, now: now)
        for host in virtualHosts.values {
            for queue in host.queues.values { queue.rates.roll(queue.counters, now: now) }
            for exchange in host.exchanges.values { exchange.rates.roll(exchange.publishedCount, now: now) }
        }
    }
}
