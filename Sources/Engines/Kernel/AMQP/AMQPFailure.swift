/// Why a channel or a connection is closed, as the specification numbers it.
public enum AMQPReplyCode: UInt16, CaseIterable, Sendable {
    case success = 200
    case contentTooLarge = 311
    case noRoute = 312
    case noConsumers = 313
    case connectionForced = 320
    case invalidPath = 402
    case accessRefused = 403
    case notFound = 404
    case resourceLocked = 405
    case preconditionFailed = 406
    case frameError = 501
    case syntaxError = 502
    case commandInvalid = 503
    case channelError = 504
    case unexpectedFrame = 505
    case resourceError = 506
    case notAllowed = 530
    case notImplemented = 540
    case internalError = 541

    /// Whether only the channel is closed for it (a "soft error"), and not the whole connection.
    public var closesOnlyChannel: Bool {
        switch self {
        case .contentTooLarge, .noRoute, .noConsumers, .accessRefused, .notFound, .resourceLocked,
            .preconditionFailed:
            true
        default: false
        }
    }

    /// As it stands at the head of a reply text: `NOT_FOUND`.
    public var name: String {
        switch self {
        case .success: "OK"
        case .contentTooLarge: "CONTENT_TOO_LARGE"
        case .noRoute: "NO_ROUTE"
        case .noConsumers: "NO_CONSUMERS"
        case .connectionForced: "CONNECTION_FORCED"
        case .invalidPath: "INVALID_PATH"
        case .accessRefused: "ACCESS_REFUSED"
        case .notFound: "NOT_FOUND"
        case .resourceLocked: "RESOURCE_LOCKED"
        case .preconditionFailed: "PRECONDITION_FAILED"
        case .frameError: "FRAME_ERROR"
        case .syntaxError: "SYNTAX_ERROR"
        case .commandInvalid: "COMMAND_INVALID"
        case .channelError: "CHANNEL_ERROR"
        case .unexpectedFrame: "UNEXPECTED_FRAME"
        case .resourceError: "RESOURCE_ERROR"
        case .notAllowed: "NOT_ALLOWED"
        case .notImplemented: "NOT_IMPLEMENTED"
        case .internalError: "INTERNAL_ERROR"
        }
    }
}

/// A violation of the protocol, or a refusal: what `channel.close` or `connection.close` says.
public struct AMQPFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let code: AMQPReplyCode
    /// Without the code's name before it.
    public let explanation: String
    /// The method that was at fault; nil: none in particular.
    public var method: AMQPMethodID?
    /// Closes the connection even where the code alone would close only the channel.
    public var isFatal: Bool

    public init(_ code: AMQPReplyCode, _ explanation: String, method: AMQPMethodID? = nil, isFatal: Bool = false) {
        self.code = code
        self.explanation = explanation
        self.method = method
        self.isFatal = isFatal
    }

    public var closesOnlyChannel: Bool { code.closesOnlyChannel && !isFatal }

    /// `NOT_FOUND - no queue 'orders' in vhost '/'`, as RabbitMQ writes it; at most 255 bytes.
    public var text: String { AMQPWriter.clipped("\(code.name) - \(explanation)") }

    public var description: String { "\(code.rawValue) \(text)" }
}
