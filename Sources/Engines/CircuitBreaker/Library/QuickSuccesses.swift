import KernelStructures
import Synchronization

/// Counts quick successes of several threads, each in a place of its own.
///
/// ## The problem
///
/// Two threads that count into one place pay for the way of its cache line from one processor to the other, each time:
/// a few hundred nanoseconds for an addition of one. And a lock that both want makes one of them wait.
///
/// ## An everyday picture
///
/// Two people count visitors at two doors. With one counter between them they walk; with one each they only add up in
/// the evening.
///
/// ## How
///
/// A window of time wants to know in which second they were. A place counts for one second only, the present one; who
/// comes with another has to go to the engine, which then has all places told it what they have (`collect`). That is
/// once a second and place, however many calls a second has.
///
/// Eight places, 128 bytes apart (processors fetch lines in pairs), and a thread takes the one that its stack says. A
/// place has a lock, which only threads of the same place ever want; whoever reads takes all the locks, and so sees
/// each call whole or not at all.
package final class QuickSuccesses: Sendable {
    package struct Count: Equatable, Sendable {
        package var calls = 0
        package var duration = LabDuration.zero
        package var maxDuration = LabDuration.zero
    }

    /// What one place holds.
    private struct Sum {
        var count = Count()
        /// Of these calls, those that no window of time has yet, all of one second.
        var uncollected = 0
        var second = Int64.min

        @inline(__always) mutating func add(_ duration: LabDuration) {
            count.calls += 1
            count.duration += duration
            if duration > count.maxDuration { count.maxDuration = duration }
        }
    }

    private struct Place: ~Copyable, Sendable {
        let sum = Mutex(Sum())
    }

    /// A power of two.
    private static let placeCount = 8
    private static let strideBytes = 128
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer

    package init() {
        precondition(MemoryLayout<Place>.size <= Self.strideBytes)
        memory = .allocate(byteCount: Self.placeCount * Self.strideBytes, alignment: Self.strideBytes)
        for index in 0..<Self.placeCount {
            (memory + index * Self.strideBytes).initializeMemory(as: Place.self, to: Place())
        }
    }

    deinit {
        for index in 0..<Self.placeCount { place(index).deinitialize(count: 1) }
        memory.deallocate()
    }

    private func place(_ index: Int) -> UnsafeMutablePointer<Place> {
        (memory + index * Self.strideBytes).assumingMemoryBound(to: Place.self)
    }

    /// By where the thread has its stack: 64 KB are more than calls differ by, and less than two stacks are apart. One
    /// that takes another place now and then loses nothing. The high bits of a product spread them.
    @inline(__always) private var ownPlace: UnsafeMutablePointer<Place> {
        var here: UInt8 = 0
        let address = withUnsafeMutablePointer(to: &here) { UInt64(UInt(bitPattern: $0)) }
        return place(Int(truncatingIfNeeded: ((address >> 16) &* 0x9E37_79B9_7F4A_7C15) >> 61))
    }

    @inline(__always) func add(_ duration: LabDuration) { ownPlace.pointee.sum.withLock { $0.add(duration) } }

    /// Counts a call for a window of time.
    ///
    /// - Parameter isWanted: asked while nobody can collect from this place.
    /// - Returns: whether it was counted; otherwise the engine has to hear of it.
    @inline(__always) package func add(_ duration: LabDuration, second: Int64, if isWanted: () -> Bool) -> Bool {
        ownPlace.pointee.sum.withLock {
            guard $0.second == second, isWanted() else { return false }
            $0.uncollected += 1
            $0.add(duration)
            return true
        }
    }

    /// Hands over what no window has yet, place by place; from now on they count for that second.
    package func collect(second: Int64, _ take: (_ calls: Int, _ second: Int64) -> Void) {
        for index in 0..<Self.placeCount {
            let (calls, old) = place(index).pointee.sum.withLock { sum in
                defer { (sum.uncollected, sum.second) = (0, second) }
                return (sum.uncollected, sum.second)
            }
            if calls > 0 { take(calls, old) }
        }
    }

    package var total: Count {
        var total = Count()
        for index in 0..<Self.placeCount {
            let count = place(index).pointee.sum.withLock { $0.count }
            total.calls += count.calls
            total.duration += count.duration
            total.maxDuration = max(total.maxDuration, count.maxDuration)
        }
        return total
    }
}
