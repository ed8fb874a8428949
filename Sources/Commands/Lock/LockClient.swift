import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// A lock service as its clients see it: some of its members, any of which will do.
///
/// It asks the member that answered last, and when that one cannot be reached, is not part of a majority, or goes away
/// in mid-answer, the others in turn. It speaks etcd's JSON gateway, and so reaches a real etcd too.
final class LockClient {
    private let node: Node
    private var servers: [HostPort]
    private var current = 0
    /// Questions that have no answer yet, and have not been cancelled.
    private var open: Set<Int> = []
    /// Those of them that are under way, and not in a pause between two attempts.
    private var calls: [Int: HTTPCall] = [:]
    private var nextCall = 1
    /// Why the last member that answered could not do it.
    private var said: String?
    /// Between two rounds over all members.
    private static let pause = LabDuration.milliseconds(250)

    enum Failure: Error, CustomStringConvertible {
        /// The service understood, and refuses.
        case refused(String, code: Int)
        case unreachable(String)

        var description: String {
            switch self {
            case .refused(let text, _): text
            case .unreachable(let text): text
            }
        }
    }

    /// - Parameter servers: at least one.
    init(_ node: Node, servers: [HostPort]) {
        self.node = node
        self.servers = servers
    }

    var server: HostPort { servers[current] }

    /// Asks, and asks others if need be, until `deadline` has passed.
    ///
    /// - Parameters:
    ///   - deadline: for everything together; nil: the answer may take as long as it likes.
    ///   - isEnough: for an answer without an end: whether what has come of it will do.
    /// - Returns: what `cancel` wants to know.
    @discardableResult
    func ask(
        _ path: String, _ message: JSONValue, deadline: LabDuration? = .seconds(10),
        until isEnough: (@Sendable ([UInt8]) -> Bool)? = nil,
        _ completion: @escaping (Result<JSONValue, Failure>) -> Void
    ) -> Int {
        let id = nextCall
        nextCall += 1
        let end = deadline.map { node.world.now + $0 }
        open.insert(id)
        attempt(id, path, message, end, isEnough, tried: 0, completion)
        return id
    }

    func cancel(_ id: Int?) {
        guard let id else { return }
        open.remove(id)
        calls.removeValue(forKey: id)?.cancel()
    }

    private func attempt(
        _ id: Int, _ path: String, _ message: JSONValue, _ end: LabTime?, _ isEnough: (@Sendable ([UInt8]) -> Bool)?,
        tried: Int, _ completion: @escaping (Result<JSONValue, Failure>) -> Void
    ) {
        guard open.contains(id) else { return }
        let server = servers[current]
        var request = HTTPCall.Request("POST", url: HTTPURL(host: server.host, port: server.port, target: path))
        request.body = message.bytes()
        request.fields = [("Content-Type", "application/json")]
        // One member that is cut off must not use up the time for all.
        let left = end.map { max(.milliseconds(1), $0 - node.world.now) }
        request.deadline = left.map { servers.count > 1 ? min($0, .seconds(6)) : $0 }
        request.answer =
            isEnough.map { isEnough in
                .until(limitBytes: 1 << 20) { _, body in isEnough(body) }
            } ?? .collected(limitBytes: 16 << 20)
        let call = HTTPCall(node, request) { [self] result in
            calls[id] = nil
            var outcome = read(result, from: server)
            guard case .failure(.unreachable(let text)) = outcome else {
                open.remove(id)
                return completion(outcome)
            }
            // What a member said is worth more than that the next question got no answer at all.
            if case .failure(.deadline) = result, let said { outcome = .failure(.unreachable(said)) }
            if case .success = result { said = text }
            current = (current + 1) % servers.count
            let isRoundOver = (tried + 1) % servers.count == 0
            let isLast = servers.count == 1 && tried >= 1
            if isLast || end.map({ node.world.now >= $0 }) == true || (end == nil && tried >= 40 * servers.count) {
                open.remove(id)
                return completion(outcome)
            }
            node.after(isRoundOver ? Self.pause : .zero) { [self] in
                attempt(id, path, message, end, isEnough, tried: tried + 1, completion)
            }
        }
        calls[id] = call
        call.start()
    }

    private func read(_ result: Result<HTTPCall.Response, HTTPCall.Failure>, from server: HostPort)
        -> Result<JSONValue, Failure>
    {
        switch result {
        case .failure(let failure):
            let hint = failure == .refused ? "no lock server answers at \(server)" : "\(server): \(failure)"
            // Who has never answered has named no others.
            let remedy = servers.count == 1 ? "; if there are others, name one: --server HOST:PORT" : ""
            return .failure(.unreachable(hint + remedy))
        case .success(let response):
            let json = try? JSONValue(parsing: response.body)
            guard response.isSuccess else {
                let text = Self.text(json?["message"]) ?? Self.text(json?["detail"]) ?? "status \(response.status)"
                if response.status == 503 { return .failure(.unreachable("\(server): \(text)")) }
                var code = 2
                if case .integer(let number)? = json?["code"] { code = number }
                return .failure(.refused(text, code: code))
            }
            // A stream's answer is a line for each message; those who ask for one read it themselves.
            guard let json else { return .success(.string(String(decoding: response.body, as: UTF8.self))) }
            return .success(json)
        }
    }

    static func text(_ value: JSONValue?) -> String? {
        if case .string(let text)? = value { return text }
        return nil
    }

    /// A number of 64 bits, which the gateway writes as text and leaves out where it is 0.
    static func number(_ value: JSONValue?) -> Int64 {
        switch value {
        case .string(let text)?: Int64(text) ?? 0
        case .integer(let number)?: Int64(number)
        default: 0
        }
    }

    static func bytes(_ value: JSONValue?) -> [UInt8] { text(value).flatMap { Base64.standard.decode($0) } ?? [] }

    /// Learns the other members from the one that is known.
    func learnMembers(_ completion: @escaping () -> Void) {
        ask("/v3/cluster/member/list", [:], deadline: .seconds(2)) { [self] result in
            if case .success(let answer) = result, case .array(let members)? = answer["members"] {
                for member in members {
                    guard let url = Self.text(member["clientURLs"]?[0]), let parsed = try? HTTPURL(url) else {
                        continue
                    }
                    let place = HostPort(host: parsed.host, port: parsed.port)
                    if !servers.contains(place), servers.count < 16 { servers.append(place) }
                }
            }
            completion()
        }
    }
}
