import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire

/// Clients that are told of changes at once.
final class FlagStreams {
    private var followers: [Follower] = []

    final class Follower {
        let stream: HTTPEventStream
        let environment: String
        let protocolKind: Kind
        /// What has opened the door; nil where no key was asked for.
        let token: FlagToken?
        /// The revision that it has.
        var known: Int

        enum Kind { case unleash, remoteEvaluation }

        init(_ stream: HTTPEventStream, _ environment: String, _ kind: Kind, token: FlagToken?, known: Int) {
            self.stream = stream
            self.environment = environment
            self.token = token
            protocolKind = kind
            self.known = known
        }
    }

    var count: Int { followers.count }

    func add(_ follower: Follower) { followers.append(follower) }
    func remove(_ follower: Follower) { followers.removeAll { $0 === follower } }

    /// Ends the streams of those who would not be let in any more: their token was taken back, or one is asked for now.
    func endUnadmitted(_ store: FlagStore) {
        guard store.asksForTokens || followers.contains(where: { $0.token != nil }) else { return }
        let gone = followers.filter { follower in
            guard let token = follower.token else { return store.asksForTokens }
            return store.tokens[token.name] != token
        }
        followers.removeAll { follower in gone.contains { $0 === follower } }
        for follower in gone { follower.stream.end() }
    }

    /// Tells those who follow an environment what is new for them; made once for all that know the same.
    func publish(_ environment: String, _ store: FlagStore, etag: () -> String) {
        var deltas: [Int: String] = [:]
        var refetch: String?
        for follower in followers where follower.environment == environment && follower.known < store.revision {
            switch follower.protocolKind {
            case .unleash:
                let text = deltas[follower.known] ?? Self.delta(store, follower.known, environment)
                deltas[follower.known] = text
                follower.stream.send(
                    ServerSentEvent(text, event: "unleash-updated", id: "\(store.revision)"))
            case .remoteEvaluation:
                let text = refetch ?? Self.refetch(etag())
                refetch = text
                follower.stream.send(ServerSentEvent(text, id: "\(store.revision)"))
            }
            follower.known = store.revision
        }
        followers.removeAll { !$0.stream.isOpen }
    }

    static func delta(_ store: FlagStore, _ known: Int?, _ environment: String) -> String {
        JSONValue.object([("events", .array(store.delta(since: known, in: environment)))]).text(.compact)
    }

    /// OFREP's event: what is to be done is to ask again.
    private static func refetch(_ etag: String) -> String {
        JSONValue.object([
            ("type", "refetchEvaluation"), ("etag", .string(String(etag.dropFirst().dropLast()))),
        ]).text(.compact)
    }
}
