import KernelStructures
import KernelWire
import KernelWorld

/// Who gets a request's next attempt.
public enum UpstreamChoice {
    case server(UpstreamServer)
    /// It has to wait: the policy calls `stopWaiting` and `next` when it may go on. Until then nothing of its body is
    /// read.
    case wait
    /// Nobody; the policy has answered the request itself (`respond`).
    case answered
}

/// What to do about a failed attempt.
public enum UpstreamRecovery: Sendable {
    /// Choose again.
    case again
    /// Answer 502 or 504.
    case answer
    /// The policy has answered the request itself.
    case answered
}

/// How a server failed a request.
public enum UpstreamFailure: Error, Equatable, Sendable {
    /// Its name leads nowhere.
    case unresolved(NetworkError)
    /// No connection was made; `.timedOut` after the timeout for connecting, too.
    case notConnected(CloseReason)
    /// The connection ended before the response did.
    case closed(CloseReason)
    /// What it said is no response.
    case malformed(HTTPError)
    /// It said nothing for too long, or took nothing of the request.
    case timedOut
    /// It answered, with a status that the policy takes for a failure.
    case status(Int)

    /// 502, or 504 where it took too long.
    public var gatewayStatus: Int { self == .timedOut ? 504 : 502 }

    /// For the client.
    ///
    /// - Parameter noun: what the server is called: `UpstreamPool.noun`.
    public func text(_ noun: String) -> String {
        switch self {
        case .unresolved(let error): "\(noun) cannot be reached: \(error)"
        case .notConnected(let reason): "\(noun) cannot be reached (\(reason))"
        case .closed: "\(noun) closed the connection without an answer"
        case .malformed(let error): error.text
        case .timedOut: "\(noun) did not answer in time"
        case .status(let status): "\(noun) answered \(status)"
        }
    }
}

/// One attempt at a server, once it is over.
public struct UpstreamAttempt: Sendable {
    public enum Outcome: Equatable, Sendable {
        /// The server answered, with this status; 101 for a tunnel.
        case answered(Int)
        case failed(UpstreamFailure)
        /// The client went away; that says nothing about the server.
        case abandoned
        /// A kept connection had been closed meanwhile; that says nothing either.
        case stale
    }

    public let outcome: Outcome
    /// How far it had come: `.connecting`, `.sent`, or `.responding` once the client had got anything of the answer.
    public let phase: UpstreamExchange.Phase
    /// Whether it went over a connection that had been kept.
    public let isReused: Bool
    /// Bytes of the request.
    public let bytesSent: Int
    /// Bytes of the response.
    public let bytesReceived: Int
}
