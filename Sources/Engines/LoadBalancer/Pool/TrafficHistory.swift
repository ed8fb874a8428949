import KernelStructures

/// How many requests each server finished in each of the last seconds, for the little curves of `pool`.
///
/// A second's number decides which of a server's 64 counters is its own. Whoever counts first in a new second finds the
/// counter of 64 seconds ago there and starts it over. So nothing has to happen while nothing happens: no timer, and a
/// request costs a division and an addition.
public struct TrafficHistory: Sendable {
    private struct Counter: Sendable {
        var second: Int64 = .min
        var requests: UInt32 = 0
        var errors: UInt32 = 0
    }

    /// Seconds that can be asked about; the last of them is not over yet.
    public static let seconds = 60
    /// A power of two, so that a remainder is a mask.
    private static let counterCount = 64

    /// `counterCount` for each slot, one after the other.
    private var counters: [Counter] = []

    mutating func count(slot: Int, isError: Bool, now: LabTime) {
        let second = now.unixSeconds
        let index = slot * Self.counterCount + Int(second & Int64(Self.counterCount - 1))
        if index >= counters.count { grow(slot) }
        if counters[index].second != second { counters[index] = Counter(second: second) }
        counters[index].requests &+= 1
        if isError { counters[index].errors &+= 1 }
    }

    private mutating func grow(_ slot: Int) {
        let missing = (slot + 1) * Self.counterCount - counters.count
        counters.append(contentsOf: repeatElement(Counter(), count: missing))
    }

    /// The slot has another server now.
    mutating func forget(slot: Int) {
        let start = slot * Self.counterCount
        guard start < counters.count else { return }
        for index in start..<start + Self.counterCount { counters[index] = Counter() }
    }

    /// Requests of the last 60 seconds, in so many equal parts, the latest part last.
    ///
    /// - Parameter parts: a divisor of 60.
    public func requests(slot: Int, parts: Int, now: LabTime) -> [Int] {
        sums(slot, parts, now) { $0.requests }
    }

    public func errors(slot: Int, parts: Int, now: LabTime) -> [Int] { sums(slot, parts, now) { $0.errors } }

    private func sums(_ slot: Int, _ parts: Int, _ now: LabTime, _ value: (Counter) -> UInt32) -> [Int] {
        precondition(Self.seconds % parts == 0, "60 seconds cannot be cut into \(parts) equal parts")
        var sums = [Int](repeating: 0, count: parts)
        let start = slot * Self.counterCount
        guard start < counters.count else { return sums }
        let oldest = now.unixSeconds - Int64(Self.seconds - 1)
        for counter in counters[start..<start + Self.counterCount] {
            guard counter.second >= oldest, counter.second <= now.unixSeconds else { continue }
            sums[Int(counter.second - oldest) * parts / Self.seconds] += Int(value(counter))
        }
        return sums
    }
}
