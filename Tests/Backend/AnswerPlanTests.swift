import BackendEngine
import KernelStructures
import TestSupport
import Testing

@Suite("What a backend answers in turn")
struct AnswerPlanTests {
    @Test("steps in order, each as often as it says, the last for ever")
    func order() throws {
        var plan = try AnswerPlan(parsing: "ok*2 fail@20ms,hang*1 404")
        #expect(try AnswerPlan(parsing: "early").steps.map(\.answer) == [.early])
        let answers = (0..<6).map { _ in plan.next() }
        #expect(answers.map(\.answer) == [.usual, .usual, .status(500), .nothing, .status(404), .status(404)])
        #expect(answers.map(\.delay) == [.zero, .zero, .milliseconds(20), .zero, .zero, .zero])
    }

    @Test(
        "what is no plan is refused, with the word",
        arguments: [
            "", " , ", "okk", "ok*0", "ok*", "ok*x", "fail@", "fail@soon", "600", "99", "ok*1000001", "*3", "@1s",
            String(repeating: "ok ", count: 1001),
        ])
    func malformed(text: String) {
        #expect(throws: AnswerPlan.Malformed.self) { try AnswerPlan(parsing: text) }
    }

    @Test("a plan has a step for each word, whatever the text", arguments: 0..<20)
    func fuzz(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pieces = ["ok", "fail", "*", "@", "2", "s", " ", ",", "503", "-", "ms", "99999999999999999999", "é"]
        for _ in 0..<500 {
            let text = (0..<random.below(8)).map { _ in pieces[random.below(pieces.count)] }.joined()
            guard var plan = try? AnswerPlan(parsing: text) else { continue }
            let words = text.split { $0 == " " || $0 == "," }
            #expect(plan.steps.count == words.count && plan.steps.allSatisfy { $0.delay >= .zero }, "\(text)")
            #expect(plan.next() == plan.steps[0])
        }
    }
}
