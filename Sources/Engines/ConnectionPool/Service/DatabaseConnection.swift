/// What a borrower does with a connection to a database, whichever protocol the database speaks.
public protocol DatabaseConnection: NodeConnection {
    /// Asks one thing; says whether it was answered.
    func ask(_ question: DatabaseQuestion, _ done: @escaping (_ isAnswered: Bool) -> Void)
    /// Opens a transaction; says whether one was open already, which somebody else had left.
    func begin(_ done: @escaping (_ wasOpen: Bool) -> Void)
    func commit(_ done: @escaping () -> Void)
}

/// What is asked.
public enum DatabaseQuestion: Sendable, Equatable {
    /// Something that takes as long as it says, or as the database likes.
    case query(milliseconds: Int?)
    /// Words of the database's own language.
    case words([String])
}

extension RESPConnection: DatabaseConnection {
    public func ask(_ question: DatabaseQuestion, _ done: @escaping (Bool) -> Void) {
        let words =
            switch question {
            case .query(let milliseconds): ["QUERY"] + (milliseconds.map { ["\($0)"] } ?? [])
            case .words(let words): words
            }
        send(words) { result in
            if case .success(let value) = result, value.errorText == nil { done(true) } else { done(false) }
        }
    }

    /// The lab's own database says whether a session is in a transaction; Redis says it by refusing a MULTI within
    /// another.
    public func begin(_ done: @escaping (Bool) -> Void) {
        if isRedis == true { return beginRedis(done) }
        send(["SESSION"]) { [weak self] result in
            guard let self, case .success(let value) = result else { return done(false) }
            isRedis = value.errorText != nil
            if isRedis == true { return beginRedis(done) }
            send(["BEGIN"]) { _ in done(value.text != "idle") }
        }
    }

    private func beginRedis(_ done: @escaping (Bool) -> Void) {
        send(["MULTI"]) { result in
            if case .success(let value) = result { done(value.errorText != nil) } else { done(false) }
        }
    }

    public func commit(_ done: @escaping () -> Void) { send([isRedis == true ? "EXEC" : "COMMIT"]) { _ in done() } }
}
