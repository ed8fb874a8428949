import KernelStructures
import ResilienceEngine
import Testing

@Suite struct BulkheadTests {
    private func bulkhead(_ places: Int, queue: Int = 0) -> Bulkhead {
        var configuration = Bulkhead.Configuration()
        configuration.maxConcurrentCalls = places
        configuration.queueCapacity = queue
        configuration.maxWaitDuration = .seconds(1)
        return Bulkhead(configuration)
    }

    @Test("a semaphore: so many inside, the next is refused, and a place that is left is free again")
    func semaphore() {
        var bulkhead = bulkhead(2)
        let now = LabTime.documentedEpoch
        guard case .admitted(let first) = bulkhead.enter(now: now), case .admitted = bulkhead.enter(now: now) else {
            Issue.record("there are two places")
            return
        }
        #expect(bulkhead.enter(now: now) == .refused)
        #expect(bulkhead.leave(first) == nil)
        #expect(bulkhead.leave(first) == nil, "a ticket is good for one place")
        #expect(bulkhead.freeCount == 1)
        if case .refused = bulkhead.enter(now: now) { Issue.record("a place is free") }
        #expect(bulkhead.enter(now: now) == .refused)
    }

    @Test("a random life agrees with two lists: who is inside, and who waits in which order", arguments: 0..<20)
    func model(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let places = 1 + random.below(4)
        let capacity = random.below(5)
        var bulkhead = bulkhead(places, queue: capacity)
        var inside: [Bulkhead.Ticket] = []
        var line: [(ticket: Bulkhead.Ticket, until: LabTime)] = []
        var now = LabTime.documentedEpoch
        for _ in 0..<2000 {
            switch random.below(6) {
            case 0, 1:
                switch bulkhead.enter(now: now) {
                case .admitted(let ticket):
                    #expect(inside.count < places && line.isEmpty)
                    inside.append(ticket)
                case .queued(let ticket):
                    #expect(inside.count == places && line.count < capacity)
                    line.append((ticket, now + .seconds(1)))
                case .refused: #expect(inside.count == places && line.count == capacity)
                }
            case 2, 3:
                guard !inside.isEmpty else { continue }
                let next = bulkhead.leave(inside.remove(at: random.below(inside.count)))
                #expect(next == line.first?.ticket)
                if let next {
                    line.removeFirst()
                    inside.append(next)
                }
            case 4:
                guard !line.isEmpty else { continue }
                let gone = line.remove(at: random.below(line.count)).ticket
                #expect(bulkhead.leave(gone) == nil)
            default:
                now = now + .milliseconds(random.below(700))
                while let first = line.first, first.until <= now {
                    #expect(bulkhead.expire(now: now) == first.ticket)
                    line.removeFirst()
                }
                #expect(bulkhead.expire(now: now) == nil)
            }
            #expect(bulkhead.runningCount == inside.count)
            #expect(bulkhead.waitingCount == line.count)
            #expect(bulkhead.nextDeadline == line.first?.until ?? .distantFuture)
        }
    }

    @Test("more places let in who waits; fewer send nobody away")
    func reconfiguring() {
        var bulkhead = bulkhead(1, queue: 10)
        let now = LabTime.documentedEpoch
        for _ in 0..<5 { _ = bulkhead.enter(now: now) }
        var configuration = bulkhead.configuration
        configuration.maxConcurrentCalls = 3
        bulkhead.reconfigure(configuration)
        #expect(bulkhead.admitWaiting() != nil)
        #expect(bulkhead.admitWaiting() != nil)
        #expect(bulkhead.admitWaiting() == nil)
        #expect([bulkhead.runningCount, bulkhead.waitingCount] == [3, 2])
        configuration.maxConcurrentCalls = 1
        bulkhead.reconfigure(configuration)
        #expect(bulkhead.runningCount == 3)
        #expect(bulkhead.freeCount == 0)
    }

    @Test("who comes when there are more places stands behind those who wait")
    func nobodyOvertakes() {
        var bulkhead = bulkhead(1, queue: 10)
        let now = LabTime.documentedEpoch
        _ = bulkhead.enter(now: now)
        guard case .queued(let first) = bulkhead.enter(now: now) else {
            Issue.record("there is one place")
            return
        }
        var configuration = bulkhead.configuration
        configuration.maxConcurrentCalls = 2
        bulkhead.reconfigure(configuration)
        guard case .queued = bulkhead.enter(now: now) else {
            Issue.record("the place is the first one's")
            return
        }
        #expect(bulkhead.admitWaiting() == first && bulkhead.waitingCount == 1)
    }

    @Test("the wait ends at its deadline: not a nanosecond before, and no later")
    func endOfTheWait() {
        var bulkhead = bulkhead(1, queue: 10)
        let now = LabTime.documentedEpoch
        _ = bulkhead.enter(now: now)
        guard case .queued(let ticket) = bulkhead.enter(now: now) else {
            Issue.record("there is one place")
            return
        }
        #expect(bulkhead.nextDeadline == now + .seconds(1) && bulkhead.deadline(of: ticket) == now + .seconds(1))
        #expect(bulkhead.expire(now: now + .seconds(1) - LabDuration(nanoseconds: 1)) == nil)
        #expect(bulkhead.expire(now: now + .seconds(1)) == ticket && bulkhead.expire(now: now + .seconds(9)) == nil)
        #expect(bulkhead.waitingCount == 0 && bulkhead.nextDeadline == .distantFuture)
    }

    @Test("deadlines: the earlier one counts, and the rest of the time is never negative")
    func deadlines() {
        let now = LabTime.documentedEpoch
        let caller = Deadline(in: .seconds(5), from: now)
        #expect(caller.narrowed(to: .seconds(2), from: now).time == now + .seconds(2))
        #expect(caller.narrowed(to: .seconds(9), from: now) == caller)
        #expect(caller.narrowed(to: nil, from: now) == caller)
        #expect(caller.remaining(now + .seconds(7)) == .zero)
        #expect(caller.hasPassed(now + .seconds(5)) && !caller.hasPassed(now + .seconds(4)))
        #expect(Deadline.none.narrowed(to: .seconds(1), from: now).time == now + .seconds(1))
    }

    @Test("the fallback chain: the first step that handles the failure, then those after it")
    func fallbacks() {
        let chain = FallbackChain([
            .init("cache", handles: [.notPermitted, .timedOut]), .init("default"), .init("never", handles: []),
        ])
        #expect(chain.next(for: .notPermitted) == 0)
        #expect(chain.next(for: .failed) == 1)
        #expect(chain.next(for: .notPermitted, after: 0) == 1)
        #expect(chain.next(for: .failed, after: 1) == nil)
    }
}
