import KernelStructures

/// A clock of one machine: of its own beginning, and a little too fast or too slow.
struct MemberClock {
    private var nanoseconds: Int64
    private var since: Int
    private var speed: Double

    init(_ random: inout SeededRandom, now: Int) {
        nanoseconds = Int64(1_000_000_000 * random.below(1_000_000))
        since = now
        speed = Self.drawSpeed(&random)
    }

    private static func drawSpeed(_ random: inout SeededRandom) -> Double {
        1 + (2 * random.unit() - 1) * (CheckedWorld.fastestClock - 1)
    }

    func reading(_ now: Int) -> LabTime {
        LabTime(nanoseconds: nanoseconds + Int64(Double(now - since) * speed * 1000))
    }

    mutating func changeSpeed(_ random: inout SeededRandom, now: Int) {
        nanoseconds = reading(now).nanoseconds
        since = now
        speed = Self.drawSpeed(&random)
    }
}
