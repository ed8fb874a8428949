import ChaosEngine
import KernelStructures
import TestSupport
import Testing

@Suite("Searching and shrinking")
struct SearchTests {
    private let space = FaultSchedule.Space(
        nodes: ["a", "b", "c"], faults: FaultSchedule.menu, horizon: .seconds(30), most: 8)

    @Test("a seed draws the same schedule each time, within its bounds")
    func drawing() {
        for seed in 0..<300 {
            var first = SeededRandom(seed: UInt64(seed))
            var second = first
            let schedule = FaultSchedule.draw(space, &first)
            #expect(schedule == FaultSchedule.draw(space, &second))
            #expect((1...8).contains(schedule.events.count))
            #expect(schedule.events.allSatisfy { $0.at < .seconds(30) && $0.lasts > .zero })
            #expect(zip(schedule.events, schedule.events.dropFirst()).allSatisfy { $0.at <= $1.at })
        }
    }

    /// Shrinks with a rule for what fails.
    private func shrunk(_ schedule: FaultSchedule, _ fails: (FaultSchedule) -> Bool) -> ScheduleShrinking {
        var shrinking = ScheduleShrinking(schedule)
        while let question = shrinking.question() { shrinking.answer(fails: fails(question)) }
        return shrinking
    }

    private func event(_ name: String, _ at: Int) -> FaultSchedule.Event {
        .init(at: .seconds(at), .kill(node: name), lasts: .seconds(16))
    }

    @Test("of many faults those are left that are needed, and no others")
    func minimal() {
        for size in 1...24 {
            let schedule = FaultSchedule((0..<size).map { event("n\($0)", $0) })
            for first in 0..<size {
                let second = (first * 7 + 3) % size
                let needed = Set(["n\(first)", "n\(second)"])
                let result = shrunk(schedule) { candidate in
                    needed.isSubset(of: candidate.events.map { $0.nodeName })
                }
                #expect(Set(result.best.events.map(\.nodeName)) == needed, "\(size) \(first)")
                #expect(result.best.events.count == needed.count)
                #expect(result.best.events.allSatisfy { $0.lasts == .milliseconds(100) })
                #expect(result.questionCount < ScheduleShrinking.questionLimit)
            }
        }
    }

    private static let busy = FaultMoment.Link(from: "a", to: "db")
    private static let rare = FaultMoment.Link(from: "mq", to: "b")
    private static let unreachable = FaultMoment.Link(from: "db", to: "mq")
    private var working: FaultSchedule.Space {
        FaultSchedule.Space(
            nodes: ["a", "b"], faults: FaultSchedule.menu, horizon: .seconds(2), most: 3,
            traffic: [Self.busy: 900, Self.rare: 4, Self.unreachable: 50])
    }

    @Test("of a platform at work most faults begin between two messages, of any link, and hit one of its ends")
    func moments() {
        var numbers: [FaultMoment.Link: Set<Int>] = [:]
        var count = 0
        var killCount = 0
        var timedCount = 0
        for seed in 0..<1000 {
            var random = SeededRandom(seed: UInt64(seed))
            for event in FaultSchedule.draw(working, &random).events {
                guard let moment = event.moment else {
                    timedCount += 1
                    continue
                }
                count += 1
                numbers[moment.link, default: []].insert(moment.number)
                #expect([moment.link.from, moment.link.to].contains(event.nodeName))
                #expect(["a", "b"].contains(event.nodeName))
                if case .kill = event.fault { killCount += 1 }
                if case .inject(let words, _) = event.fault {
                    #expect(["partition", "blackhole", "reset"].contains(words[0]), "\(words) only makes it late")
                }
            }
        }
        // Nobody who may be hit is at this one.
        #expect(Set(numbers.keys) == [Self.busy, Self.rare])
        #expect(numbers[Self.rare] == [1, 2, 3, 4])
        #expect((numbers[Self.busy] ?? []).allSatisfy { (1...900).contains($0) })
        #expect((numbers[Self.busy] ?? []).count > 300)
        #expect(count > 3 * timedCount && timedCount > 100)
        #expect(killCount > count / 2)
    }

    @Test("the n-th message of a link is its moment, once, whatever else is said")
    func watching() {
        let first = FaultMoment(Self.busy, number: 2)
        let schedule = FaultSchedule([
            .init(at: .seconds(2), .kill(node: "a"), lasts: .seconds(1), moment: first),
            .init(at: .seconds(1), .kill(node: "b"), lasts: .seconds(1)),
            .init(at: .seconds(2), .pause(node: "b"), lasts: .seconds(1), moment: FaultMoment(Self.rare, number: 1)),
            .init(at: .seconds(2), .pause(node: "a"), lasts: .seconds(1), moment: first),
        ])
        var watch = MomentWatch(schedule)
        #expect(watch.note(from: "a", to: "db") == [])
        #expect(watch.note(from: "db", to: "a") == [])
        #expect(watch.note(from: "a", to: "db") == [0, 3])
        #expect(watch.note(from: "a", to: "db") == [])
        #expect(watch.note(from: "mq", to: "b") == [2])
        #expect(watch.counts[Self.busy] == 3 && watch.counts[Self.rare] == 1)
        // What has come has a time; what has not come has done nothing.
        let resolved = schedule.resolved([0: .milliseconds(1500), 2: .milliseconds(20)])
        #expect(resolved.events.map(\.at) == [.milliseconds(20), .seconds(1), .milliseconds(1500)])
        #expect(resolved.events.map { $0.moment == nil } == [false, true, false])
        #expect(resolved.atTimes.events.allSatisfy { $0.moment == nil })
        #expect(
            resolved.commands(until: .milliseconds(1800)) == [
                "advance 20ms", "pause b for 1s", "advance 980ms", "kill -9 b", "advance 500ms", "kill -9 a",
                "advance 300ms",
            ])
    }

    @Test("links beyond the limit are not counted")
    func manyLinks() {
        var watch = MomentWatch(FaultSchedule([]))
        for number in 0..<MomentWatch.linkLimit + 10 { _ = watch.note(from: "a", to: "n\(number)") }
        #expect(watch.counts.count == MomentWatch.linkLimit)
        _ = watch.note(from: "a", to: "n0")
        #expect(watch.counts[FaultMoment.Link(from: "a", to: "n0")] == 2)
    }

    @Test("a moment stays one while its schedule is shrunk")
    func shrinkingMoments() {
        let moment = FaultMoment(Self.rare, number: 3)
        let schedule = FaultSchedule([
            event("a", 1), .init(at: .seconds(2), .kill(node: "b"), lasts: .seconds(4), moment: moment), event("c", 2),
        ])
        let result = shrunk(schedule) { $0.events.contains { $0.moment == moment } }
        #expect(result.best.events.map(\.moment) == [moment])
        #expect(result.best.events[0].lasts == .milliseconds(100))
    }

    @Test("a fault that has to last is made no shorter than it must be")
    func lengths() {
        let result = shrunk(FaultSchedule([event("a", 1), event("b", 2)])) { candidate in
            candidate.events.contains { $0.nodeName == "b" && $0.lasts >= .seconds(3) }
        }
        #expect(result.best.events.count == 1)
        #expect(result.best.events[0].lasts == .seconds(4))
    }

    @Test("what was found is an experiment of the short form, for every fault there is")
    func asExperiment() throws {
        for seed in 0..<100 {
            var random = SeededRandom(seed: UInt64(seed))
            let schedule = FaultSchedule.draw(space, &random)
            let one = try experiment(schedule.experimentText(title: "found", invariant: "curl -sf 'http://a/'"))
            #expect(one.method.count == schedule.events.count)
            #expect(one.method.allSatisfy { $0.isBackground })
            let waits = one.method.map(\.pauseBefore).reduce(LabDuration.zero) { $0 + $1 }
            #expect(waits == schedule.events.last?.at)
        }
    }

    @Test("an experiment that was found says with what it begins, and is one that is read")
    func remarks() throws {
        let schedule = FaultSchedule([.init(at: .seconds(1), .kill(node: "a"), lasts: .seconds(2))])
        let text = schedule.experimentText(
            title: "t", invariant: "true", before: "backend --port 80 &\nsleep 1", beside: "curl a")
        #expect(text.hasPrefix("# First, in a fresh lab:\n#   backend --port 80 &\n#   sleep 1\n# Then this"))
        #expect(text.contains("\n#   curl a\nexperiment:\n"))
        #expect(try experiment(text).method.count == 1)
        #expect(schedule.experimentText(title: "t", invariant: "true").hasPrefix("experiment:"))
        #expect(schedule.events[0].name == "kill")
    }

    @Test("a search file is read, and refused with its place")
    func plans() throws {
        let good = "search:\n  setup: |\n    spawn 2 backend --port 8081\n  invariant: curl -sf a\n  faults: [kill]\n"
        let plan = try SearchPlan(parsing: Array(good.utf8), file: "f")
        #expect(plan.faults == ["kill"] && plan.most == 4 && plan.always == nil)
        let watched = try SearchPlan(parsing: Array((good + "  always: ledger check --live\n").utf8), file: "f")
        #expect(watched.always == "ledger check --live")
        for bad in ["search: {}", "a: b", "search: {invariant: x, faults: [kil]}", "search: {invariant: x, most: 0}"] {
            #expect(throws: (any Error).self) { try SearchPlan(parsing: Array(bad.utf8), file: "f") }
        }
    }
}

extension FaultSchedule.Event {
    fileprivate var nodeName: String {
        switch fault {
        case .inject(_, let node), .kill(let node), .pause(let node): node
        }
    }
}
