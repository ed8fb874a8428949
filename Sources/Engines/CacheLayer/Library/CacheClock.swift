import KernelClock
import KernelStructures

/// The time that a cache layer goes by.
public struct CacheClock: Sendable {
    let now: @Sendable () -> LabTime
    /// Never ahead of `now`, and cheaper to read.
    let roughNow: @Sendable () -> LabTime
    let pause: @Sendable (LabDuration) async throws -> Void

    /// The machine's clock, which only goes forward. For reads it may be 4 ms behind: entries live that much longer.
    public static let machine = CacheClock(
        now: { HostClock.monotonic }, roughNow: { HostClock.coarseMonotonic },
        pause: { try await Task.sleep(for: $0.duration) })

    /// The machine's calendar: for a cache that several machines share, since entries say until when they are fresh.
    /// When somebody sets it, entries live longer or shorter.
    public static let calendar = CacheClock(
        now: { HostClock.wallTime }, roughNow: { HostClock.wallTime },
        pause: { try await Task.sleep(for: $0.duration) })

    private init(
        now: @escaping @Sendable () -> LabTime, roughNow: @escaping @Sendable () -> LabTime,
        pause: @escaping @Sendable (LabDuration) async throws -> Void
    ) {
        self.now = now
        self.roughNow = roughNow
        self.pause = pause
    }

    /// Any clock.
    public init<C: Clock>(_ clock: C) where C.Duration == Duration, C: Sendable, C.Instant: Sendable {
        let origin = clock.now
        let now: @Sendable () -> LabTime = {
            LabTime(nanoseconds: 0) + LabDuration(origin.duration(to: clock.now))
        }
        self.init(now: now, roughNow: now, pause: { try await clock.sleep(for: $0.duration) })
    }
}
