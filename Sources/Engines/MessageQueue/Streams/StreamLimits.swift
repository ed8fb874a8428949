import KernelAMQP
import KernelStructures

/// How much of a stream is kept.
public struct StreamLimits: Equatable, Sendable {
    /// `x-max-length-bytes`; nil: everything.
    public var maximumBytes: Int?
    /// `x-max-age`; nil: for ever.
    public var maximumAge: LabDuration?
    /// `x-stream-max-segment-size-bytes`: the most that goes at a time.
    public var segmentBytes: Int?

    public init(maximumBytes: Int? = nil, maximumAge: LabDuration? = nil, segmentBytes: Int? = nil) {
        self.maximumBytes = maximumBytes
        self.maximumAge = maximumAge
        self.segmentBytes = segmentBytes
    }

    static let chunkMessages = 1000
    /// Bytes after which a chunk is complete. So small that a limit is kept to about an eighth.
    var chunkBytes: Int {
        let eighth = maximumBytes.map { max(1, $0 / 8) } ?? .max
        return max(1, min(1 << 20, segmentBytes ?? .max, eighth))
    }

    /// An age as RabbitMQ writes it: a whole number and a unit, `7D`, `90s`; nil for anything else, and beyond a
    /// century.
    public static func age(_ text: String) -> LabDuration? {
        guard let unit = text.last, let number = Int(text.dropLast()), number >= 0 else { return nil }
        let seconds: Int
        switch unit {
        case "Y": seconds = 365 * 86_400
        case "M": seconds = 30 * 86_400
        case "D": seconds = 86_400
        case "h": seconds = 3600
        case "m": seconds = 60
        case "s": seconds = 1
        default: return nil
        }
        let (total, overflow) = number.multipliedReportingOverflow(by: seconds)
        guard !overflow, total <= 100 * 365 * 86_400, text.first != "+" else { return nil }
        return .seconds(total)
    }
}

/// Where a reader of a stream wants to begin: the consume argument `x-stream-offset`.
public enum StreamOffset: Equatable, Sendable {
    case first
    /// The last chunk's beginning.
    case last
    /// What comes from now on.
    case next
    case offset(UInt64)
    /// The first chunk that has something of that time or later.
    case time(LabTime)
    /// The same, so long before now.
    case age(LabDuration)

    /// - Returns: nil if the value means nothing.
    public init?(_ value: AMQPValue) {
        if case .timestamp(let seconds) = value {
            // Until the year 2262, as far as times here reach.
            guard seconds <= 9_223_372_036 else { return nil }
            self = .time(LabTime(nanoseconds: Int64(seconds) * 1_000_000_000))
            return
        }
        if let number = value.integer {
            guard number >= 0 else { return nil }
            self = .offset(UInt64(number))
            return
        }
        guard let text = value.text else { return nil }
        switch text {
        case "first": self = .first
        case "last": self = .last
        case "next": self = .next
        default:
            guard let age = StreamLimits.age(text) else { return nil }
            self = .age(age)
        }
    }
}
