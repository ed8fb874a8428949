/// A change of who belongs to a group, as it stands in the log.
public struct ConfigurationChange: Equatable, Sendable {
    public var transition: Transition
    public var steps: [Step]
    /// What the host has to say about it: addresses. The engine passes it on.
    public var context: [UInt8]

    public enum Transition: UInt8, Sendable {
        /// At once where one voter changes at most, and otherwise as `.implicit`.
        case automatic
        /// Through a joint configuration, which the leader leaves by itself.
        case implicit
        /// Through a joint configuration, until somebody proposes to leave it.
        case explicit
    }

    public struct Step: Equatable, Sendable {
        public var kind: Kind
        public var id: Int

        public enum Kind: UInt8, Sendable { case addVoter, addLearner, remove, update }

        public init(_ kind: Kind, _ id: Int) {
            self.kind = kind
            self.id = id
        }
    }

    public init(_ steps: [Step] = [], transition: Transition = .automatic, context: [UInt8] = []) {
        self.steps = steps
        self.transition = transition
        self.context = context
    }

    /// More than a group can have.
    static let stepLimit = 64

    /// Whether it leaves a joint configuration, and does nothing else.
    var leavesJoint: Bool { steps.isEmpty && transition == .automatic }
    var isJoint: Bool { transition != .automatic || steps.count > 1 }

    /// Bytes for an entry; none for what leaves a joint configuration without more to say.
    public var encoded: [UInt8] {
        if leavesJoint, context.isEmpty { return [] }
        var writer = ByteWriter()
        writer.put(transition.rawValue)
        writer.put(UInt8(steps.count))
        for step in steps {
            writer.put(step.kind.rawValue)
            writer.put(number: step.id)
        }
        writer.put(bytes: context)
        return writer.bytes
    }

    /// - Returns: nil if the bytes are none of `encoded`.
    public init?(encoded bytes: [UInt8]) {
        self.init()
        if bytes.isEmpty { return }
        var reader = ByteReader(bytes)
        guard let transition = reader.byte().flatMap(Transition.init), let count = reader.byte(),
            count <= Self.stepLimit
        else { return nil }
        self.transition = transition
        for _ in 0..<count {
            guard let kind = reader.byte().flatMap(Step.Kind.init), let id = reader.number() else { return nil }
            steps.append(Step(kind, id))
        }
        guard let context = reader.bytes(), reader.isAtEnd else { return nil }
        self.context = context
        if leavesJoint, context.isEmpty { return nil }
    }
}
