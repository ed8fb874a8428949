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

    @Test("a search file is read, and refused with its place")
    func plans() throws {
        let good = "search:\n  setup: |\n    spawn 2 backend --port 8081\n  invariant: curl -sf a\n  faults: [kill]\n"
        let plan = try SearchPlan(parsing: Array(good.utf8), file: "f")
        #expect(plan.faults == ["kill"] && plan.most == 4)
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
