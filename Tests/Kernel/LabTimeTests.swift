import KernelStructures
import TestSupport
import Testing

@Suite("Lab time")
struct LabTimeTests {
    @Test(
        "is printed as RFC 3339 and read back",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (1_703_084_400_000_000_000, "2023-12-20T15:00:00Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"), (-1, "1969-12-31T23:59:59.999999999Z"),
            (1_703_084_400_250_000_000, "2023-12-20T15:00:00.25Z"), (4_107_542_400_000_000_000, "2100-03-01T00:00:00Z"),
        ] as [(Int64, String)])
    func known(_ nanoseconds: Int64, _ text: String) {
        #expect(LabTime(nanoseconds: nanoseconds).description == text)
        #expect(LabTime(parsing: text)?.nanoseconds == nanoseconds)
    }

    @Test("keeps every nanosecond on the way through text")
    func roundTrip() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<20_000 {
            let time = LabTime(nanoseconds: Int64(bitPattern: random.next()))
            if LabTime(parsing: time.description) != time { Issue.record("\(time.nanoseconds) became \(time)") }
        }
    }

    @Test("counts days without a gap over four centuries")
    func days() {
        // One day at a time: the calendar's day, month and year must move as a calendar does.
        var previous = CivilTime(LabTime(nanoseconds: -220 * 31_557_600 * 1_000_000_000))
        for day in 1...160_000 {
            let time = previous.labTime + .seconds(86_400)
            let next = CivilTime(time)
            let isNextDay =
                (next.day == previous.day + 1 && next.month == previous.month)
                || (next.day == 1 && next.month == previous.month % 12 + 1 && previous.day >= 28)
            guard isNextDay, next.weekday == (previous.weekday + 1) % 7, next.labTime == time else {
                Issue.record("day \(day): after \(previous) came \(next)")
                return
            }
            previous = next
        }
    }

    @Test(
        "refuses malformed dates",
        arguments: [
            "", "2023-12-20", "2023-12-20T15:00:00", "2023-13-01T00:00:00Z", "2023-02-29T00:00:00Z",
            "2023-04-31T00:00:00Z",
            "2023-12-20T24:00:00Z", "2023-12-20T15:60:00Z", "2023-12-20T15:00:61Z", "2023-12-20T15:00:00Zx",
            "2023-12-20T15:00:00.Z", "2023-12-20T15:00:00+1:00", "2023-12-20T15:00:00+24:00",
            "2023-12-20T15:00:00+01:60",
            "20231220T150000Z", "+023-12-20T15:00:00Z",
        ])
    func malformed(_ text: String) {
        #expect(LabTime(parsing: text) == nil)
    }

    @Test(
        "refuses years that 64 bits of nanoseconds do not reach",
        arguments: ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2262-04-12T00:00:00Z"])
    func outOfRange(_ text: String) {
        #expect(LabTime(parsing: text) == nil)
    }

    @Test("applies offsets and lower-case letters")
    func offsets() {
        #expect(LabTime(parsing: "2023-12-20T16:00:00+01:00") == .documentedEpoch)
        #expect(LabTime(parsing: "2023-12-20T09:30:00-05:30") == .documentedEpoch)
        #expect(LabTime(parsing: "2023-12-20t15:00:00z") == .documentedEpoch)
    }

    @Test("prints the Date header's form")
    func httpDate() {
        #expect(LabTime.documentedEpoch.httpDate == "Wed, 20 Dec 2023 15:00:00 GMT")
        #expect(LabTime(nanoseconds: 784_111_777_000_000_000).httpDate == "Sun, 06 Nov 1994 08:49:37 GMT")
    }

    @Test("saturates at its ends, which can be printed")
    func ends() {
        #expect(LabTime.distantFuture + .seconds(1) == .distantFuture)
        #expect(LabTime(nanoseconds: .min).description == "1677-09-21T00:12:43.145224192Z")
        #expect(LabTime.distantFuture.description == "2262-04-11T23:47:16.854775807Z")
        #expect(LabTime(nanoseconds: -1).unixSeconds == -1)
    }
}
