/// What one client did: it asked at `call`, and had an answer at `end`.
public struct ClientOperation<Action> {
    public let client: Int
    /// What was asked and what was answered.
    public let action: Action
    /// Any unit, as long as it is the same for all.
    public let call: Int
    /// `Int.max` where no answer came: it may have taken effect at any time after `call`, or never.
    public let end: Int

    public init(client: Int, _ action: Action, call: Int, end: Int) {
        self.client = client
        self.action = action
        self.call = call
        self.end = end
    }
}

/// What an object does that is used by one client at a time.
public protocol SequentialModel {
    associatedtype State: Hashable
    associatedtype Action
    var first: State { get }
    /// The state after `action`; nil if its answer could not be given in `state`.
    func step(_ state: State, _ action: Action) -> State?
}

/// Whether what several clients saw can be explained by one object that did one thing after another, each at some
/// moment between its call and its answer (Herlihy and Wing 1990).
///
/// The search is Wing and Gong's, with Lowe's memory ("Testing for linearizability", 2017) as Anishathalye's Porcupine
/// has it: operations are placed one by one, a call that fits is taken out of the line of events, and a state that was
/// reached with the same operations placed is not tried again. Histories of independent objects are to be judged one
/// object at a time: that is what makes it quick (Horn and Kroening 2015).
public struct LinearizabilityChecker<Model: SequentialModel> {
    private let model: Model
    private let operations: [ClientOperation<Model.Action>]
    /// A line of calls and answers, in order of time: `next[0]` is the first.
    private var next: [Int]
    private var previous: [Int]
    /// Of each event: its operation, and whether it is the call.
    private var events: [(operation: Int, isCall: Bool)] = [(0, false)]
    private var callEvent: [Int]
    private var endEvent: [Int]

    private struct Memory: Hashable {
        let placed: [UInt64]
        let state: Model.State
    }

    public static func judge(_ operations: [ClientOperation<Model.Action>], _ model: Model) -> Bool {
        var checker = LinearizabilityChecker(operations, model)
        return checker.search()
    }

    private init(_ operations: [ClientOperation<Model.Action>], _ model: Model) {
        self.model = model
        self.operations = operations
        next = []
        previous = []
        callEvent = Array(repeating: 0, count: operations.count)
        endEvent = callEvent
        var moments: [(time: Int, isCall: Bool, operation: Int)] = []
        for (number, one) in operations.enumerated() {
            moments.append((one.call, true, number))
            moments.append((one.end, false, number))
        }
        // At the same moment, calls come first: then the two overlap, which is the kinder reading.
        moments.sort { ($0.time, $0.isCall ? 0 : 1, $0.operation) < ($1.time, $1.isCall ? 0 : 1, $1.operation) }
        for moment in moments {
            if moment.isCall {
                callEvent[moment.operation] = events.count
            } else {
                endEvent[moment.operation] = events.count
            }
            events.append((moment.operation, moment.isCall))
        }
        let count = events.count
        next = (0..<count).map { ($0 + 1) % count }
        previous = (0..<count).map { ($0 + count - 1) % count }
    }

    private mutating func takeOut(_ event: Int) {
        next[previous[event]] = next[event]
        previous[next[event]] = previous[event]
    }

    private mutating func putBack(_ event: Int) {
        next[previous[event]] = event
        previous[next[event]] = event
    }

    private mutating func search() -> Bool {
        var placed = [UInt64](repeating: 0, count: (operations.count + 63) / 64)
        var seen: Set<Memory> = []
        var stack: [(operation: Int, state: Model.State)] = []
        var state = model.first
        var at = next[0]
        while next[0] != 0 {
            let event = events[at]
            if event.isCall {
                if let after = model.step(state, operations[event.operation].action) {
                    placed[event.operation / 64] |= 1 << UInt64(event.operation % 64)
                    if seen.insert(Memory(placed: placed, state: after)).inserted {
                        stack.append((event.operation, state))
                        state = after
                        takeOut(callEvent[event.operation])
                        takeOut(endEvent[event.operation])
                        at = next[0]
                        continue
                    }
                    placed[event.operation / 64] &= ~(1 << UInt64(event.operation % 64))
                }
                at = next[at]
            } else {
                // Its answer came before anything else could: the last one placed was wrong.
                if operations[event.operation].end == .max, rest(from: at) { return true }
                guard let last = stack.popLast() else { return false }
                state = last.state
                placed[last.operation / 64] &= ~(1 << UInt64(last.operation % 64))
                putBack(endEvent[last.operation])
                putBack(callEvent[last.operation])
                at = next[callEvent[last.operation]]
            }
        }
        return true
    }

    /// Whether only answers that never came are left: what they are about need not have happened.
    private func rest(from event: Int) -> Bool {
        var at = next[0]
        while at != 0 {
            if operations[events[at].operation].end != .max { return false }
            at = next[at]
        }
        return true
    }
}

/// A register that can be read, written, and set if it has a certain value.
public struct RegisterModel: SequentialModel {
    public enum Action: Sendable, Equatable {
        /// nil: nothing was there.
        case read(Int?)
        /// The answer never came.
        case readUnanswered
        case write(Int)
        /// `didSet` is nil where no answer came.
        case compareAndSet(Int, Int, didSet: Bool?)
    }

    public init() {}
    public var first: Int? { nil }

    public func step(_ state: Int?, _ action: Action) -> Int?? {
        switch action {
        case .read(let value): return value == state ? .some(state) : .none
        case .readUnanswered: return .some(state)
        case .write(let value): return .some(value)
        case .compareAndSet(let old, let new, let didSet):
            let fits = state == old
            if let didSet, didSet != fits { return .none }
            return .some(fits ? new : state)
        }
    }
}

extension RegisterModel.Action: CustomStringConvertible {
    public var description: String {
        switch self {
        case .read(let value): "read of \(value.map(String.init) ?? "nothing")"
        case .readUnanswered: "read without an answer"
        case .write(let value): "write of \(value)"
        case .compareAndSet(let old, let new, let didSet):
            "write of \(new) if \(old) is there: \(didSet.map { $0 ? "it was" : "it was not" } ?? "who knows")"
        }
    }
}
