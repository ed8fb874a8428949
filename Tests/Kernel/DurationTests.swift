import KernelStructures
import TestSupport
import Testing

@Suite("Durations")
struct DurationTests {
    @Test(
        "are read in every documented form",
        arguments: [
            ("5s", 5_000_000_000), ("1.5s", 1_500_000_000), ("200ms", 200_000_000), ("1m30s", 90_000_000_000),
            ("30 seconds", 30_000_000_000), ("1 minute 30 seconds", 90_000_000_000), ("2h", 7_200_000_000_000),
            ("1d", 86_400_000_000_000), ("7us", 7000), ("7µs", 7000), ("7μs", 7000), ("9ns", 9), ("0s", 0),
            ("1d2h3m4s5ms6us7ns", 93_784_005_006_007), ("0.5ms", 500_000),
        ] as [(String, Int64)])
    func reading(_ text: String, _ nanoseconds: Int64) {
        #expect(LabDuration(parsing: text)?.nanoseconds == nanoseconds)
    }

    @Test(
        "refuse what is not one",
        arguments: [
            "", " ", "5", "s", "-5s", "+5s", "5 x", "1e3s", "1..5s", ".s", "∞", "5s,", "٣s", "0x5s", "5s 3", "NaNs",
            "infs",
        ])
    func refusing(_ text: String) {
        #expect(LabDuration(parsing: text) == nil)
    }

    @Test("stop at 292 years instead of wrapping around")
    func bounds() {
        #expect(LabDuration(parsing: "106751d") != nil)
        #expect(LabDuration(parsing: "106752d") == nil)
        #expect(LabDuration(parsing: "99999999999999999999999s") == nil)
        #expect(LabDuration.infinite + .seconds(1) == .infinite)
        #expect(LabDuration.seconds(-1) - .infinite < .seconds(-1))
        #expect(LabDuration(nanoseconds: .min) - .seconds(1) == LabDuration(nanoseconds: .min))
        #expect(LabDuration.seconds(3) * Int.max == .infinite)
        #expect(LabDuration.seconds(-3) * Int.max == LabDuration(nanoseconds: .min))
        #expect(LabDuration.seconds(-3) * Int.min == .infinite)
        #expect(LabDuration.seconds(1e300) == .infinite)
        #expect(LabDuration.seconds(Double.nan) == .zero)
        #expect(LabDuration(nanoseconds: .min).description.hasPrefix("-"))
    }

    @Test("count a bare number in the unit that the caller names, and only alone")
    func bareUnit() {
        #expect(LabDuration(parsing: "5", bareUnit: .seconds(1)) == .seconds(5))
        #expect(LabDuration(parsing: "0.25", bareUnit: .seconds(1)) == .milliseconds(250))
        #expect(LabDuration(parsing: "1m5", bareUnit: .seconds(1)) == nil)
        #expect(LabDuration(parsing: "0s5", bareUnit: .seconds(1)) == nil)
        #expect(LabDuration(parsing: "5 5", bareUnit: .seconds(1)) == nil)
    }

    @Test(
        "are printed in the shortest exact form",
        arguments: [
            (0, "0s"), (1, "1ns"), (1500, "1.5us"), (200_000_000, "200ms"), (1_500_000_000, "1.5s"),
            (59_999_999_999, "59.999999999s"), (60_000_000_000, "1m"), (90_000_000_000, "1m30s"),
            (90_500_000_000, "1m30.5s"), (7_200_000_000_000, "2h"), (86_400_000_000_001, "1d1ns"),
            (-5_000_000_000, "-5s"),
        ] as [(Int64, String)])
    func printing(_ nanoseconds: Int64, _ text: String) {
        #expect(LabDuration(nanoseconds: nanoseconds).description == text)
    }

    @Test("come back from their text as they were, at every magnitude")
    func roundTrip() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<20_000 {
            let magnitude = random.below(63)
            let nanoseconds = Int64((random.next() >> 1) >> UInt64(62 - magnitude))
            let duration = LabDuration(nanoseconds: nanoseconds)
            if duration == .infinite { continue }
            let read = LabDuration(parsing: duration.description)
            if read != duration {
                Issue.record("\(nanoseconds) ns became \(duration), read as \(String(describing: read))")
            }
        }
    }

    @Test(
        "are rounded for tables to at most three digits of one unit",
        arguments: [
            (1_234_567, "1.23ms"), (46_000_000, "46ms"), (2_341_000_000, "2.34s"), (999_499, "999us"), (999_600, "1ms"),
            (999_700_000, "1s"), (123_456_789, "123ms"), (0, "0s"), (-1_234_567, "-1.23ms"), (90_123_456_789, "1m30s"),
            (7_384_900_000_000, "2h3m"), (200_000_000_000_000, "2d8h"), (59_999_000_000, "1m"),
        ] as [(Int64, String)])
    func rounded(_ nanoseconds: Int64, _ text: String) {
        #expect(LabDuration(nanoseconds: nanoseconds).rounded == text)
    }
}
