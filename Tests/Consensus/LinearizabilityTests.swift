import KernelStructures
import LockCheckEngine
import TestSupport
import Testing

@Suite("The checker of histories")
struct LinearizabilityTests {
    private typealias Operation = ClientOperation<RegisterModel.Action>

    private func judge(_ operations: [(RegisterModel.Action, Int, Int)]) -> Bool {
        LinearizabilityChecker.judge(
            operations.enumerated().map { Operation(client: $0, $1.0, call: $1.1, end: $1.2) }, RegisterModel())
    }

    @Test("small histories")
    func small() {
        #expect(judge([]))
        #expect(judge([(.write(1), 0, 10), (.read(1), 5, 6)]), "it may have happened at once")
        #expect(judge([(.write(1), 0, 10), (.read(nil), 5, 6)]), "or later")
        #expect(!judge([(.write(1), 0, 10), (.read(1), 2, 3), (.read(nil), 5, 6)]), "but not both")
        #expect(!judge([(.write(1), 0, 1), (.read(nil), 2, 3)]), "a stale read")
        #expect(judge([(.write(1), 0, .max), (.read(nil), 2, 3), (.read(1), 5, 6)]), "no answer, and a late effect")
        #expect(judge([(.write(1), 0, .max), (.read(nil), 2, 3)]), "no answer, and none")
        #expect(
            !judge([
                (.write(1), 0, 1), (.compareAndSet(1, 2, didSet: true), 2, 3),
                (.compareAndSet(1, 3, didSet: true), 4, 5),
            ]))
    }

    @Test("what an object did is accepted, whatever overlaps, and one wrong answer is found", arguments: 0..<40)
    func generated(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var value: Int?
        var operations: [Operation] = []
        for number in 0..<80 {
            // It takes effect at a time of its own, within what its client sees.
            let time = number * 10
            let action: RegisterModel.Action
            switch random.below(3) {
            case 0: action = .read(value)
            case 1:
                value = number
                action = .write(number)
            default:
                let old = random.chance(0.5) ? value ?? 0 : random.below(80)
                let fits = value == old
                if fits { value = number }
                action = .compareAndSet(old, number, didSet: fits)
            }
            operations.append(
                Operation(
                    client: number, action, call: time - random.below(60),
                    end: random.chance(0.05) ? .max : time + random.below(60)))
        }
        #expect(LinearizabilityChecker.judge(operations, RegisterModel()))
        operations.append(Operation(client: 99, .read(1000), call: 100, end: 200))
        #expect(!LinearizabilityChecker.judge(operations, RegisterModel()))
    }
}

@Suite("Published histories", .enabled(if: VectorFile.exists("linearizability")))
struct HistoryVectorTests {
    private static func verdicts() -> [(file: String, isLinearizable: Bool)] {
        let text = (try? VectorFile.text("linearizability/verdicts.tsv")) ?? ""
        return text.split(separator: "\n").dropFirst().map { line in
            let fields = line.split(separator: "\t")
            return (String(fields[0]), fields[1] == "yes")
        }
    }

    @Test("each has its verdict, 56 of them")
    func verdict() throws {
        #expect(Self.verdicts().count == 56)
        // The largest takes long where nothing is optimized.
        for (file, isLinearizable) in Self.verdicts() {
            let text = try VectorFile.text("linearizability/" + file)
            let answer =
                file.hasPrefix("kv/")
                ? judgeKeys(text)
                : LinearizabilityChecker.judge(registerHistory(text), RegisterModel())
            #expect(answer == isLinearizable, "\(file)")
        }
    }

    // MARK: A register

    private func registerHistory(_ text: String) -> [ClientOperation<RegisterModel.Action>] {
        var operations: [ClientOperation<RegisterModel.Action>] = []
        var open: [String: (call: Int, kind: String, value: String)] = [:]
        for (time, line) in text.split(separator: "\n").enumerated() {
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count >= 4, let process = fields[0].split(separator: " ").last.map(String.init) else {
                continue
            }
            if fields[1] == ":invoke" {
                open[process] = (time, fields[2], fields[3])
                continue
            }
            guard let call = open[process] else { continue }
            let isAnswered = fields[1] != ":info"
            if isAnswered { open[process] = nil }
            if let action = action(call.kind, call.value, fields[1], fields[3]) {
                operations.append(.init(client: 0, action, call: call.call, end: isAnswered ? time : .max))
            }
            open[process] = nil
        }
        return operations
    }

    private func action(_ kind: String, _ asked: String, _ outcome: String, _ answer: String) -> RegisterModel.Action? {
        let numbers = asked.split { !$0.isNumber }.compactMap { Int($0) }
        switch kind {
        case ":read": return outcome == ":ok" ? .read(Int(answer)) : nil
        case ":write": return .write(numbers[0])
        default:
            let didSet = outcome == ":ok" ? true : outcome == ":fail" ? false : nil
            return .compareAndSet(numbers[0], numbers[1], didSet: didSet)
        }
    }

    // MARK: Strings by key

    private struct StringModel: SequentialModel {
        enum Action { case get(String), put(String), append(String) }
        var first: String { "" }
        func step(_ state: String, _ action: Action) -> String? {
            switch action {
            case .get(let text): text == state ? state : nil
            case .put(let text): text
            case .append(let text): state + text
            }
        }
    }

    private func judgeKeys(_ text: String) -> Bool {
        var byKey: [String: [ClientOperation<StringModel.Action>]] = [:]
        var open: [String: Int] = [:]
        for (time, line) in text.split(separator: "\n").enumerated() {
            var fields: [Substring: String] = [:]
            for pair in line.dropFirst().dropLast().split(separator: ",") {
                let words = pair.drop { $0 == " " }.split(separator: " ", maxSplits: 1)
                fields[words[0]] = String(words[1].filter { $0 != "\"" })
            }
            func field(_ name: Substring) -> String { fields[name] ?? "" }
            let process = field(":process")
            if field(":type") == ":invoke" {
                open[process] = time
                continue
            }
            let value = field(":value")
            let action: StringModel.Action =
                switch field(":f") {
                case ":get": .get(value)
                case ":put": .put(value)
                default: .append(value)
                }
            byKey[field(":key"), default: []].append(
                .init(client: 0, action, call: open.removeValue(forKey: process)!, end: time))
        }
        return byKey.values.allSatisfy { LinearizabilityChecker.judge($0, StringModel()) }
    }
}
