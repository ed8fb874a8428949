import CircuitBreakerEngine
import Glibc
import KernelStructures
import Synchronization

struct Broken: Error {}
struct NotFound: Error {}

/// A clock that stands still until it is moved; any thread may.
final class HandClock: Sendable {
    private let nanoseconds = Atomic<Int64>(LabTime.documentedEpoch.nanoseconds)

    var now: LabTime { LabTime(nanoseconds: nanoseconds.load(ordering: .acquiring)) }
    func pass(_ duration: LabDuration) { nanoseconds.add(duration.nanoseconds, ordering: .acquiringAndReleasing) }
}

/// The seed's configuration: five failures of the last ten calls, 30 s, two successes.
let seedConfiguration = CircuitBreakerConfiguration(
    failureThreshold: 5, successThreshold: 2, timeout: .seconds(30), windowSize: 10)

/// An engine and the time, for tests that tell a story.
struct Story {
    var engine: BreakerEngine
    var now = LabTime.documentedEpoch

    init(_ configuration: CircuitBreakerConfiguration = seedConfiguration) {
        engine = BreakerEngine(configuration, now: now, random: SeededRandom(seed: 7))
    }

    mutating func pass(_ duration: LabDuration) { now = now + duration }

    /// Makes one call after another: `.` succeeds, `x` fails, `c` is cancelled, `s` takes two seconds, and a call
    /// that is refused is refused.
    ///
    /// - Returns: for each call the letter of the state that it met, a refusal as `-`.
    @discardableResult mutating func call(_ outcomes: String) -> String {
        var met = ""
        for outcome in outcomes {
            guard let permit = engine.tryAcquire(now: now).permit else {
                met += "-"
                continue
            }
            met.append(permit.state.letter)
            switch outcome {
            case "x": _ = engine.onFailure(permit, now: now)
            case "c": _ = engine.release(permit, now: now)
            case "s":
                pass(.seconds(2))
                _ = engine.onSuccess(permit, now: now)
            default: _ = engine.onSuccess(permit, now: now)
            }
        }
        return met
    }

    /// Trips it and waits until the next call is a trial.
    mutating func becomeReadyToTry() {
        call("xxxxx")
        now = max(now, engine.openUntil)
    }
}

enum SourceText {
    struct Unreadable: Error {}

    /// The lines of a file of the package.
    static func read(_ path: String) throws -> [Substring] {
        guard let file = fopen(path, "r") else { throw Unreadable() }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    }
}
