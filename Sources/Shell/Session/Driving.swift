import KernelStructures
import KernelWorld

/// Why waiting for something ended without it.
public enum WaitFailure: Error, Equatable, Sendable {
    /// Nothing is set to happen any more: no timer, nothing under way.
    case nothingLeft
    /// The given lab time has passed.
    case timedOut
    /// Work goes on without time ever moving.
    case endless
    /// The user interrupted.
    case interrupted
}

/// How waiting moves time.
public enum Pace: Sendable {
    /// Step from timer to timer, as fast as the machine can.
    case stepping
    /// Follow the World's clock.
    case clock
}

extension Session {
    /// Lets everything happen that can happen at this moment of lab time.
    public func settle() {
        repeat {
            pump()
            world.drain()
        } while hasRunnable && !isStuck && !world.isLivelocked
    }

    /// Moves time until `condition` holds.
    ///
    /// - Parameters:
    ///   - limit: lab time after which to give up.
    ///   - isInterrupted: asked now and then; true ends the waiting.
    /// - Returns: nil if the condition holds, or why it does not.
    public func wait(
        _ pace: Pace, limit: LabDuration = .infinite, isInterrupted: () -> Bool = { false }, until condition: () -> Bool
    ) -> WaitFailure? {
        let deadline = world.now + limit
        while true {
            if pace == .stepping { settle() } else { pump() }
            if condition() { return nil }
            if isInterrupted() { return .interrupted }
            if isStuck || world.isLivelocked {
                clearStuck()
                return .endless
            }
            if pace == .stepping {
                if !stepOrWaitForHost(until: deadline) {
                    return world.nextTimerTime == nil ? .nothingLeft : .timedOut
                }
            } else {
                if world.now >= deadline { return .timedOut }
                world.turn(longestWait: hasRunnable || condition() ? .zero : .milliseconds(100))
            }
        }
    }

    /// One timer forward; with host commands or outside clients about, gives them a moment instead.
    private func stepOrWaitForHost(until deadline: LabTime) -> Bool {
        if waitsForHost, let source = world.eventSource {
            _ = source.poll(timeoutNanoseconds: 5_000_000)
            return true
        }
        return world.step(until: deadline)
    }

    /// Moves time by exactly `duration`, and lets background commands run as it passes. Nobody gets past `timeLimit`.
    ///
    /// - Parameter onStep: called between two moments, with the time that has passed so far.
    /// - Returns: why it stopped early, if it did.
    public func advance(
        by duration: LabDuration, isInterrupted: () -> Bool = { false }, onStep: (LabDuration) -> Void = { _ in }
    ) -> WaitFailure? {
        let start = world.now
        let wanted = start + duration
        let target = min(wanted, max(timeLimit, start))
        while true {
            settle()
            onStep(world.now - start)
            if isInterrupted() { return .interrupted }
            if isStuck || world.isLivelocked {
                clearStuck()
                return .endless
            }
            if hasRunnable {
                world.drain()
                continue
            }
            guard world.step(until: target) else { break }
        }
        world.advance(by: target - world.now)
        settle()
        guard target < wanted else { return nil }
        // Whoever has set the limit wants to know that it is reached.
        _ = isInterrupted()
        return .interrupted
    }
}
