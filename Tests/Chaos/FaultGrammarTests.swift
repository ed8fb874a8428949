import ChaosService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("The words of faults")
struct FaultGrammarTests {
    private func request(_ text: String) throws(FaultGrammarError) -> FaultRequest {
        try FaultRequest(text.split(separator: " ").map(String.init))
    }

    /// A fault in one line: kind, selectors, duration.
    private func describe(_ text: String) -> String {
        do throws(FaultGrammarError) { return describe(try request(text)) } catch { return "! \(error)" }
    }

    private func describe(_ request: FaultRequest) -> String {
        let kind =
            switch request.kind {
            case .latency(let delay, let jitter): "latency \(delay)±\(jitter)"
            case .loss(let share): "loss \(share)"
            case .throttle(let rate): "throttle \(rate)"
            case .corrupt(let share): "corrupt \(share)"
            case .duplicate(let share): "duplicate \(share)"
            case .reorder(let share): "reorder \(share)"
            case .block(let partition): partition ? "partition" : "blackhole"
            case .reset: "reset"
            case .refuse: "refuse"
            case .protocolFailure(let fault):
                "fail \((fault as? HTTPFault).map { "\($0.status) limit \($0.counts.limit ?? -1) skip \($0.counts.skipped)" } ?? "?")"
            case .disk(let trouble):
                switch trouble {
                case .full: "full"
                case .slow(let time): "slow \(time)"
                case .failSync(let count): "fail-sync \(count)"
                case .tornWrite(let count): "torn \(count)"
                }
            }
        let arrow = request.link.isBothWays ? "<->" : "->"
        return "\(kind) \(request.link.from)\(arrow)\(request.link.to)"
            + (request.duration.map { " for \($0)" } ?? "")
    }

    @Test(
        "every form is understood",
        arguments: [
            ("latency 200ms", "latency 200ms±0s *<->*"),
            ("latency 200ms±50ms A->B for 30s", "latency 200ms±50ms a->b for 30s"),
            ("latency 200ms+-50ms on Server-A", "latency 200ms±50ms server-a->*"), ("loss 10% on B", "loss 0.1 b<->*"),
            ("loss 100% A<->B", "loss 1.0 a<->b"), ("throttle 64KB/s A->*", "throttle 65536 a->*"),
            ("throttle 1MiB/s on A", "throttle 1048576 a->*"),
            ("corrupt 1% for 1m on A", "corrupt 0.01 a->* for 1m"), ("partition {A,B}|{C}", "partition {a,b}<->c"),
            ("partition A", "partition a<->*"),
            ("partition on A for 5s", "partition a<->* for 5s"), ("blackhole A->B", "blackhole a->b"),
            ("duplicate 5% a->b", "duplicate 0.05 a->b"),
            ("reorder 5% on A for 1s", "reorder 0.05 a->* for 1s"),
            ("reset on A", "reset a<->*"),
            ("refuse on {A,B}", "refuse *->{a,b}"), ("fail http 503", "fail 503 limit -1 skip 0 *<->*"),
            ("fail http 503 first 2 on A", "fail 503 limit 2 skip 0 *->a"),
            ("fail http 500 after 2 for 5 on A", "fail 500 limit 5 skip 2 *->a"),
            ("fail http 500 after 2 for 5s on A", "fail 500 limit -1 skip 2 *->a for 5s"),
            ("fail http 500 after 2 for 5 for 30s", "fail 500 limit 5 skip 2 *<->* for 30s"),
            ("disk-full on db for 1m", "full *->db for 1m"),
            ("disk-slow 5ms on db", "slow 5ms *->db"), ("fail-sync on db", "fail-sync 1 *->db"),
            ("torn-write 3 on db", "torn 3 *->db"),
        ])
    func forms(_ text: String, _ expected: String) {
        #expect(describe(text) == expected)
    }

    @Test(
        "a slip is answered with the word and what was expected",
        arguments: [
            ("", "! what? one of latency"), ("latensy 5s", "! unknown fault 'latensy'; did you mean latency?"),
            ("xyzzyx", "! unknown fault 'xyzzyx'; it can be latency"),
            ("latency", "! how long is the delay"), ("latency 5", "! '5' is not a delay"),
            ("latency 50ms±60ms", "! '50ms±60ms': the jitter is larger"),
            ("latency 1s±1ms±1ms", "! '1s±1ms±1ms' is not a delay"), ("loss 10", "! '10' is not a percentage"),
            ("loss 0%", "! '0%' is not a percentage"),
            ("loss 101%", "! '101%' is not a percentage"), ("loss nan%", "! 'nan%' is not a percentage"),
            ("throttle 64KB", "! '64KB' is not a rate"),
            ("throttle 0/s", "! '0/s' is not a rate"), ("partition", "! between whom"),
            ("partition A|B|C", "! 'A|B|C' has more than two sides"),
            ("partition {A,}|B", "! '{A,}' names no nodes"), ("fail", "! fail what? http"),
            ("fail smtp 503", "! faults do not speak 'smtp'"),
            ("fail http", "! with which status"), ("fail http 99", "! '99' is not a status"),
            ("fail http 503 first", "! 'first' needs a number"),
            ("fail http 503 first x", "! 'first' needs a number"),
            ("fail http 503 first 0", "! '0' is not a number of times"), ("reset for", "! how long does it last"),
            ("reset for ever", "! 'ever' is not a time"), ("reset for 0s", "! '0s' is too short"),
            ("reset A-B", "! 'A-B' is not a link"),
            ("reset A->B C->D", "! unexpected 'C->D'"), ("reset on", "! on which node"),
            ("reset ->B", "! '' names no nodes"), ("disk-full", "! on which node?"),
            ("disk-slow on db", "! 'on' is not a time"), ("fail-sync 0 on db", "! '0' is not a number of times"),
            ("reset A->B->C", "! 'B->C' names no nodes"),
        ])
    func slips(_ text: String, _ expected: String) {
        #expect(describe(text).hasPrefix(expected), "\(describe(text))")
    }

    @Test("the text of a rule is what was typed without its duration, and reads back as the same fault")
    func text() throws {
        for (typed, shown) in [
            ("latency 200ms±50ms A->B for 30s", "latency 200ms±50ms A->B"),
            ("fail http 500 after 2 for 5 on A", "fail http 500 after 2 for 5 on A"),
            ("fail http 500 after 2 for 5 for 30s", "fail http 500 after 2 for 5"),
            ("partition {A,B}|{C} for 1m", "partition {A,B}|{C}"),
            ("corrupt 1% for 1m on A", "corrupt 1% on A"),
        ] {
            let request = try request(typed)
            #expect(request.text == shown)
            let again = try self.request(request.text)
            #expect(again.link == request.link && again.kind.name == request.kind.name && again.text == shown)
        }
        #expect(
            try request("partition {A,B}|C").mentioned == ["a", "b", "c"] && request("reset A->*").mentioned == ["a"]
                && request("reset").mentioned.isEmpty)
    }

    @Test("the ends of every number's range are understood or answered, and what is understood can be in force")
    func extremes() throws {
        let numbers = [
            "0", "-0", "1", "-1", "0.0000000001", "1e308", "9223372036854775807", "9223372036854775808",
            "-9223372036854775808",
            "18446744073709551616", "9223372036", "9223372037", "nan", "inf", "-inf", "0x10", "1_000", "٣", "", ".",
            "..1", "1.",
            "100", "100.1", "99.999999999999999999", String(repeating: "9", count: 400),
        ]
        var world: World?
        for number in numbers {
            let forms = [
                "latency \(number)s a->b", "latency \(number)ns±\(number)ns a->b", "latency 1s±\(number)s",
                "loss \(number)%",
                "corrupt \(number)%", "duplicate \(number)%", "reorder \(number)%", "throttle \(number)/s",
                "throttle \(number)TiB/s", "reset for \(number)s", "fail http \(number)",
                "fail http 503 first \(number)",
                "fail http 503 after \(number) for \(number)", "disk-slow \(number)h on a", "fail-sync \(number) on a",
                "torn-write \(number) on a",
            ]
            for form in forms {
                guard let request = try? request(form) else { continue }
                if case .loss(let share) = request.kind { #expect(share > 0 && share <= 1, "\(form)") }
                let lab = world ?? memoryWorld()
                world = lab
                let client = try #require(try lab.nodes["a"] ?? lab.nodes.start("a"))
                let inbox = try client.bindDatagrams(handler: Deaf())
                try inbox.send([1, 2, 3], to: HostPort(host: "a", port: inbox.port))
                #expect(lab.faults.inject(request.kind, on: request.link, for: request.duration, text: form) != nil)
                try inbox.send([1, 2, 3], to: HostPort(host: "a", port: inbox.port))
                lab.advance(by: .seconds(3))
                _ = lab.faults.removeAll()
                inbox.close()
            }
        }
    }

    private final class Deaf: DatagramHandler {
        func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {}
    }

    @Test("any row of words is answered, or understood as a rule whose text means the same")
    func noise() {
        var random = SeededRandom(seed: 6)
        let words = [
            "latency", "loss", "fail", "http", "503", "first", "after", "for", "on", "A", "A->B", "A<->B", "{A,B}|C",
            "10%", "5s", "2", "64KB/s", "partition", "disk-full", "|", "{}", "->", "±", "5s±1s", "*", "",
        ]
        let kinds = ["latency 5s", "loss 10%", "throttle 64KB/s", "partition {A,B}|C", "fail http 503", "disk-full"]
            .map { $0.split(separator: " ").map(String.init) }
        var understood = 0
        for round in 0..<50_000 {
            let begin = round % 2 == 0 ? kinds[random.below(kinds.count)] : []
            let row = begin + (0..<random.below(7)).map { _ in words[random.below(words.count)] }
            do throws(FaultGrammarError) {
                let fault = try FaultRequest(row)
                understood += 1
                let again = try FaultRequest(fault.text.split(separator: " ").map(String.init))
                let duration = fault.duration.map { " for \($0)" } ?? ""
                #expect(describe(again) + duration == describe(fault) && again.text == fault.text, "\(row)")
                #expect(again.duration == nil && again.link == fault.link, "\(row)")
            } catch {
                #expect(!error.description.isEmpty, "\(row)")
            }
        }
        #expect(understood > 1000)
    }
}
