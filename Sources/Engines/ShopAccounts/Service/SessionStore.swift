import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShopAccountsEngine

/// Sessions in a cache that speaks RESP. What the cache forgets, people log in again for.
final class SessionStore {
    private let link: RESPStoreLink

    /// How long failed attempts are remembered.
    static let attemptSeconds = 900

    enum Failure: Error { case unreachable }

    init(_ node: Node, _ place: HostPort) {
        link = RESPStoreLink(node: node, destination: place, timeout: .milliseconds(500))
        node.whenEnded { [weak link] in link?.letGo() }
    }

    func greet(_ completion: @escaping (Bool) -> Void) { ask(["PING"]) { completion($0 != nil) } }
    func close() { link.close() }

    /// - Parameter onlyIfThere: one that was ended meanwhile stays ended.
    func put(_ record: SessionRecord, id: String, onlyIfThere: Bool = false, _ completion: @escaping (Bool) -> Void) {
        let words = ["SET", "session:\(id)", record.text, "EX", "\(SessionRecord.lifeSeconds)"]
        ask(words + (onlyIfThere ? ["XX"] : [])) { answer in
            if case .simple? = answer { completion(true) } else { completion(false) }
        }
    }

    func find(_ id: String, _ completion: @escaping (Result<SessionRecord?, Failure>) -> Void) {
        ask(["GET", "session:\(id)"]) { answer in
            switch answer {
            case nil, .error?: completion(.failure(.unreachable))
            case .bulk(let bytes)?: completion(.success(SessionRecord(parsing: String(decoding: bytes, as: UTF8.self))))
            default: completion(.success(nil))
            }
        }
    }

    func remove(_ id: String, _ completion: @escaping (Bool) -> Void) {
        ask(["DEL", "session:\(id)"]) { answer in
            if case .integer? = answer { completion(true) } else { completion(false) }
        }
    }

    /// How many there have been in the last quarter of an hour, with this one; nil where nobody can say.
    func countAttempt(_ account: String, _ completion: @escaping (Int?) -> Void) {
        let key = "attempts:\(account)"
        ask(["INCR", key]) { [weak self] answer in
            guard case .integer(let count)? = answer else { return completion(nil) }
            if count == 1 { self?.ask(["EXPIRE", key, "\(Self.attemptSeconds)"]) { _ in } }
            completion(Int(count))
        }
    }

    func forgetAttempts(_ account: String) { ask(["DEL", "attempts:\(account)"]) { _ in } }

    private func ask(_ words: [String], _ completion: @escaping (RESPValue?) -> Void) {
        link.ask(words.map { Array($0.utf8) }) { result in
            if case .success(let value) = result { completion(value) } else { completion(nil) }
        }
    }
}
