/// What to answer when a call cannot be made, or failed: the best that is left, step by step.
///
/// A newspaper whose photographer did not come prints last year's picture; without one, a drawing; without that, the
/// text alone. It does not appear with a white page, and it does not stay away. What each step answers is the
/// program's: the chain only says which step is next for which failure.
///
/// A fallback must not need what just failed, and must be cheaper than the call it replaces: one that asks another busy
/// service hands the outage on.
public struct FallbackChain: Sendable {
    public struct Step: Sendable {
        public let name: String
        public let handles: Set<CallFailure.Kind>

        /// - Parameter handles: failures that it answers; all unless given.
        public init(_ name: String, handles: Set<CallFailure.Kind> = Set(CallFailure.Kind.allCases)) {
            self.name = name
            self.handles = handles
        }
    }

    public let steps: [Step]

    public init(_ steps: [Step] = []) { self.steps = steps }

    /// The index of the step to try for a failure.
    ///
    /// - Parameter previous: the step that was tried last, and failed itself.
    public func next(for kind: CallFailure.Kind, after previous: Int? = nil) -> Int? {
        let first = previous.map { $0 + 1 } ?? 0
        return steps.indices.dropFirst(first).first { steps[$0].handles.contains(kind) }
    }
}
