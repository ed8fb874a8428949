import Synchronization

/// A number that only rises, from any thread without a lock. Two atomic words: whole steps, which are most, take one
/// addition; fractions go into a `Double` beside it.
public final class Counter: Sendable {
    private let whole = Atomic<UInt64>(0)
    private let fraction = AtomicDouble()

    public init() {}

    /// Adds `amount`; less than nothing counts as nothing, since a counter cannot fall.
    public func increment(by amount: Int = 1) {
        if amount > 0 { whole.wrappingAdd(UInt64(amount), ordering: .relaxed) }
    }

    /// Adds `amount`. What is negative, infinite or no number counts as nothing.
    public func increment(by amount: Double) {
        if amount > 0, amount.isFinite { fraction.add(amount) }
    }

    public var value: Double { Double(whole.load(ordering: .relaxed)) + fraction.value }
}

/// A value that rises and falls, from any thread without a lock.
public final class Gauge: Sendable {
    private let number = AtomicDouble()

    public init() {}

    public func set(_ value: Double) { number.set(value) }
    public func set(_ value: Int) { number.set(Double(value)) }
    public func increment(by amount: Double = 1) { number.add(amount) }
    public func decrement(by amount: Double = 1) { number.add(-amount) }

    public var value: Double { number.value }
}

/// A `Double` that threads add to: its bits in an atomic word, exchanged until nobody came between.
struct AtomicDouble: ~Copyable, Sendable {
    private let bits = Atomic<UInt64>(0)

    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (isExchanged, present) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if isExchanged { return }
            old = present
        }
    }

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}
