import KernelStructures

/// One message to one person, and how far it has come.
public struct Notification: Equatable, Sendable {
    public enum Channel: String, CaseIterable, Sendable { case email, sms }

    public enum State: String, CaseIterable, Sendable {
        /// To be sent at its time; perhaps not for the first time.
        case pending
        /// The post has taken it.
        case sent
        /// The post will never take it, or has refused too often: somebody has to look at it.
        case dead
        /// Nobody to send it to: no telephone number.
        case skipped
    }

    /// How an attempt to send it ended.
    public enum Outcome: Equatable, Sendable {
        /// What the server said when it took it.
        case sent(String)
        case postponed(String)
        case refused(String)
        case nobody(String)
    }

    public var id: Int
    public var eventID: String
    public var channel: Channel
    public var template: String
    public var state: State
    /// So far.
    public var attempts: Int

    public static let attemptLimit = 10
    private static let firstPause = LabDuration.seconds(1)
    private static let longestPause = LabDuration.seconds(600)

    public init(id: Int, eventID: String, channel: Channel, template: String, state: State, attempts: Int) {
        self.id = id
        self.eventID = eventID
        self.channel = channel
        self.template = template
        self.state = state
        self.attempts = attempts
    }

    /// Takes an attempt's outcome.
    ///
    /// - Returns: how long to wait for the next one; nil: there is none.
    public mutating func take(_ outcome: Outcome) -> LabDuration? {
        attempts = min(attempts + 1, Self.attemptLimit)
        switch outcome {
        case .sent: state = .sent
        case .refused: state = .dead
        case .nobody: state = .skipped
        case .postponed:
            if attempts < Self.attemptLimit {
                return min(Self.longestPause, Self.firstPause * (1 << min(2 * (attempts - 1), 20)))
            }
            state = .dead
        }
        return nil
    }

    /// Which messages an event is worth: channel and template.
    public static func plan(for event: OrderEvent) -> [(channel: Channel, template: String)] {
        switch event.type {
        case "order.created": [(.email, "order.created"), (.sms, "order.created")]
        case "order.failed": [(.email, "order.failed")]
        default: []
        }
    }

    /// The same for each attempt, so that whoever gets it twice can know it again.
    public var messageID: String { "<\(eventID).\(channel.rawValue).\(id)@notifications>" }
}
