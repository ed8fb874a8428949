import KernelJSON
import KernelStructures
import KernelWire

/// One aggregated request on its way: which parts are to be asked now, and what the answer is at last.
///
/// A value that does nothing itself. Its host asks what `start` and `finished` return, reports each answer by
/// `finished`, and gives up by `expire`; once `outcome` is there, nothing more is needed, and what is still under way
/// can be dropped.
///
/// The one promise: **an answer in which something is missing says so**, in a field (`X-Gateway-Complete: false`), in
/// the body (`_incomplete`), and by its status if the file wants that. A dashboard without notifications is fine; one
/// that shows "no notifications" because a server was down is a lie.
public struct AggregateRun: Sendable {
    public let aggregate: Aggregate
    private var states: [State]
    public private(set) var outcome: Outcome?

    private enum State: Sendable {
        case waiting, asked
        case answered(JSONValue)
        case failed(Failure)

        var isOver: Bool {
            switch self {
            case .waiting, .asked: false
            case .answered, .failed: true
            }
        }
    }

    /// Why a part is missing.
    public struct Failure: Error, Equatable, Sendable {
        public var text: String
        public var isTimeout = false

        public init(_ text: String, isTimeout: Bool = false) {
            self.text = text
            self.isTimeout = isTimeout
        }
    }

    /// A part that is to be asked now.
    public struct Question: Equatable, Sendable {
        public let part: Int
        public let target: String
    }

    /// The answer to the client.
    public struct Outcome: Equatable, Sendable {
        public var status: Int
        public var body: JSONValue
        /// The names of the parts that are missing, in the file's order.
        public var missing: [String]
        public var isComplete: Bool { missing.isEmpty }
        /// Whether a required part is among them: the body is a problem then.
        public var isRefused = false
    }

    public init(_ aggregate: Aggregate) {
        self.aggregate = aggregate
        states = aggregate.parts.map { _ in .waiting }
    }

    /// The first parts to ask.
    public mutating func start() -> [Question] { advance() }

    /// A part has been answered, or will not be.
    ///
    /// - Returns: the parts that can be asked now.
    public mutating func finished(_ part: Int, _ result: Result<JSONValue, Failure>) -> [Question] {
        guard outcome == nil, states.indices.contains(part), case .asked = states[part] else { return [] }
        switch result {
        case .success(let value): states[part] = .answered(value)
        case .failure(let failure): fail(part, failure)
        }
        return advance()
    }

    /// The time for all of them is over.
    public mutating func expire() {
        guard outcome == nil else { return }
        for part in states.indices {
            switch states[part] {
            case .waiting, .asked: fail(part, Failure("no answer in time", isTimeout: true))
            case .answered, .failed: break
            }
        }
        _ = advance()
    }

    private mutating func fail(_ part: Int, _ failure: Failure) {
        states[part] = .failed(failure)
        if aggregate.parts[part].isRequired, outcome == nil { outcome = refusal(part, failure) }
    }

    /// Asks what can be asked, fails what never can be, and sees whether that was all.
    private mutating func advance() -> [Question] {
        var questions: [Question] = []
        // Parts refer to those before them only, so one round sees everything.
        for part in states.indices where outcome == nil {
            guard case .waiting = states[part] else { continue }
            switch target(of: part) {
            case nil: continue
            case .success(let target)?:
                states[part] = .asked
                questions.append(Question(part: part, target: target))
            case .failure(let failure)?: fail(part, failure)
            }
        }
        if outcome == nil, states.allSatisfy(\.isOver) { outcome = merged() }
        return outcome == nil ? questions : []
    }

    // MARK: Chaining

    /// What a part is asked for; nil while another has not answered.
    private func target(of part: Int) -> Result<String, Failure>? {
        var text = ""
        var isInPath = true
        for piece in aggregate.parts[part].path.pieces {
            switch piece {
            case .text(let literal):
                text += literal
                if literal.contains("?") { isInPath = false }
            case .value(let name, let path):
                guard let other = aggregate.parts.firstIndex(where: { $0.name == name }), other < part else {
                    return .failure(Failure("there is no part \(name) before it"))
                }
                switch states[other] {
                case .waiting, .asked: return nil
                case .failed: return .failure(Failure("\(name) is missing"))
                case .answered(let value):
                    guard let found = Self.scalar(Self.value(of: value, at: path)) else {
                        return .failure(Failure("\(name) has no \(path.joined(separator: "."))"))
                    }
                    if isInPath, !Self.isSegment(found) {
                        return .failure(
                            Failure("\(name) has no \(path.joined(separator: ".")) that can stand in a path"))
                    }
                    text += PercentCoding.encode(found)
                }
            }
        }
        // The dots that lead up (RFC 3986 §5.2.4): a value may be them, or make them with what stands beside it.
        let segments = text.prefix { $0 != "?" }.split(separator: "/")
        if aggregate.parts[part].path.pieces.count > 1, segments.contains(where: { $0 == "." || $0 == ".." }) {
            return .failure(Failure("its path would lead elsewhere"))
        }
        return text.utf8.count <= Self.targetLimitBytes ? .success(text) : .failure(Failure("its path is too long"))
    }

    private static let targetLimitBytes = 8000

    /// Whether a value stays one word of a path, whoever reads it: nothing that some read as two words, and not
    /// nothing, which would ask for all instead of one.
    private static func isSegment(_ value: String) -> Bool {
        !value.isEmpty && !value.utf8.contains { $0 == 47 || $0 == 92 || $0 == 0 }
    }

    private static func scalar(_ value: JSONValue?) -> String? {
        switch value {
        case .string(let text): text
        case .integer, .unsigned, .decimal, .bool, .number: value?.text
        case nil, .null, .array, .object: nil
        }
    }

    static func value(of value: JSONValue, at path: [String]) -> JSONValue? {
        path.reduce(value as JSONValue?) { found, name in Int(name).flatMap { found?[$0] } ?? found?[name] }
    }

    // MARK: Merging

    private func merged() -> Outcome {
        var members: [(key: String, value: JSONValue)] = []
        var missing: [(name: String, reason: String)] = []
        for (part, state) in zip(aggregate.parts, states) {
            switch state {
            case .answered(let value):
                if let complaint = Self.merge(part, value, into: &members) { missing.append((part.name, complaint)) }
            case .failed(let failure):
                if let group = part.group { members.append((group, .null)) }
                missing.append((part.name, failure.text))
            case .waiting, .asked: break
            }
        }
        if !missing.isEmpty {
            members.removeAll { $0.key == Self.incompleteMember }
            members.append((Self.incompleteMember, .object(missing.map { ($0.name, .string($0.reason)) })))
        }
        return Outcome(
            status: missing.isEmpty ? 200 : aggregate.partialStatus, body: .object(members),
            missing: missing.map(\.name))
    }

    /// The member of a partial answer that says what is missing, and why.
    public static let incompleteMember = "_incomplete"

    /// Puts a part's answer in its place.
    ///
    /// - Returns: what is wrong with that; nil if nothing is.
    private static func merge(
        _ part: Aggregate.Part, _ answer: JSONValue, into members: inout [(key: String, value: JSONValue)]
    ) -> String? {
        let picked = part.pick.isEmpty ? answer : value(of: answer, at: part.pick)
        guard let picked else {
            if let group = part.group { members.append((group, .null)) }
            return "its answer has no \(part.pick.joined(separator: "."))"
        }
        let value = AnswerFilter(part).apply(picked)
        if let group = part.group {
            members.append((group, value))
            return nil
        }
        guard case .object(let own) = value else { return "its answer is no object, and it has no group" }
        var taken: [String] = []
        for member in own {
            if members.contains(where: { $0.key == member.key }) {
                taken.append(member.key)
            } else {
                members.append(member)
            }
        }
        return taken.isEmpty ? nil : "another part has given \(taken.joined(separator: ", ")) already"
    }

    private func refusal(_ part: Int, _ failure: Failure) -> Outcome {
        let name = aggregate.parts[part].name
        let status = failure.isTimeout ? 504 : 502
        let body = JSONValue.object([
            ("type", "about:blank"), ("title", .string(HTTPStatus.reason(status))), ("status", .integer(status)),
            ("detail", .string("\(name) is required, and missing: \(failure.text)")), ("part", .string(name)),
        ])
        return Outcome(status: status, body: body, missing: [name], isRefused: true)
    }
}

/// What is kept of a part's answer, and under which names: of each element, if it is a list.
struct AnswerFilter {
    private let part: Aggregate.Part

    init(_ part: Aggregate.Part) { self.part = part }

    func apply(_ value: JSONValue) -> JSONValue {
        if case .array(let elements) = value { return .array(elements.map(one)) }
        return one(value)
    }

    private func one(_ value: JSONValue) -> JSONValue {
        guard case .object = value else { return value }
        var value = value
        if !part.allow.isEmpty { value = Self.keeping(part.allow, value) }
        if !part.deny.isEmpty { value = Self.dropping(part.deny, value) }
        guard !part.mapping.isEmpty, case .object(let members) = value else { return value }
        return .object(
            members.map { member in (part.mapping.first { $0.from == member.key }?.to ?? member.key, member.value) })
    }

    private static func keeping(_ paths: [[String]], _ value: JSONValue) -> JSONValue {
        guard case .object(let members) = value else { return value }
        return .object(
            members.compactMap { member in
                let mine = paths.filter { $0.first == member.key }
                if mine.isEmpty { return nil }
                if mine.contains(where: { $0.count == 1 }) { return member }
                return (member.key, keeping(mine.map { Array($0.dropFirst()) }, member.value))
            })
    }

    private static func dropping(_ paths: [[String]], _ value: JSONValue) -> JSONValue {
        guard case .object(let members) = value else { return value }
        return .object(
            members.compactMap { member in
                let mine = paths.filter { $0.first == member.key }
                if mine.isEmpty { return member }
                if mine.contains(where: { $0.count == 1 }) { return nil }
                return (member.key, dropping(mine.map { Array($0.dropFirst()) }, member.value))
            })
    }
}
