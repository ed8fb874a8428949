import KernelStructures

/// Where a request belongs in a trace: W3C Trace Context (Recommendation of 23 November 2021), the fields `traceparent`
/// and `tracestate`.
///
/// ## The problem
///
/// One click becomes forty requests between twelve services. Each service can say what it did; nobody can say which of
/// its lines belong to that click.
///
/// ## An everyday picture
///
/// The docket that travels with a parcel. Every depot copies its number into its own book, and notes which depot it
/// came from. Nobody along the way knows the whole journey; whoever later lays the books side by side does.
///
/// ## How
///
/// ```
/// traceparent = version "-" trace-id "-" parent-id "-" trace-flags
///                00         32 hex       16 hex        2 hex          ; lower case, neither id all zeros
/// ```
///
/// A service takes the context of the request it got (`init(traceparent:tracestate:)`), makes a span of its own with
/// `child`, and sends the child's text onward.
///
/// ## Where it is wrong
///
/// Whoever may send requests may send any trace id: it proves nothing, and must not decide anything.
public struct TraceContext: Equatable, Sendable {
    public let traceID: TraceID
    /// The span that the request was sent from.
    public let spanID: SpanID
    /// Whether whoever began the trace keeps it. Other flags are unknown and not passed on (§3.2.2.5.2).
    public let isSampled: Bool
    public let state: TraceState

    public init(traceID: TraceID, spanID: SpanID, isSampled: Bool, state: TraceState = TraceState()) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
        self.state = state
    }

    /// Begins a trace. Equal sources of chance begin equal ones.
    public init(random: inout some RandomNumberGenerator, isSampled: Bool) {
        self.init(traceID: TraceID(random: &random), spanID: SpanID(random: &random), isSampled: isSampled)
    }

    /// A span within this one.
    public func child(random: inout some RandomNumberGenerator) -> TraceContext {
        TraceContext(traceID: traceID, spanID: SpanID(random: &random), isSampled: isSampled, state: state)
    }

    // MARK: Reading

    /// Reads the fields of a request, each as often as it stands there.
    ///
    /// - Parameters:
    ///   - traceparent: must be exactly one.
    ///   - tracestate: any number, which count as one list (§3.3.1.1). A list that cannot be read is left out; the
    ///     trace goes on without it (§3.3.1.6).
    /// - Throws: `TraceContextError`. The receiver then begins a new trace, and ignores `tracestate` as well (§3.2.4).
    public init(traceparent: [String], tracestate: [String] = []) throws(TraceContextError) {
        guard let text = traceparent.first else { throw .missing }
        guard traceparent.count == 1 else { throw .repeated }
        let parent = try Self.parse(text)
        let state = (try? TraceState(parsing: tracestate)) ?? TraceState()
        self.init(traceID: parent.trace, spanID: parent.span, isSampled: parent.flags & 1 == 1, state: state)
    }

    /// The four fields of a `traceparent` (§3.2.2); of a version that is not known, as many as this one has (§3.2.4).
    private static func parse(_ text: String) throws(TraceContextError)
        -> (trace: TraceID, span: SpanID, flags: UInt64)
    {
        let bytes = Array(text.utf8)
        let length = 55
        guard bytes.count >= length else { throw .malformed }
        guard bytes[2] == dash, bytes[35] == dash, bytes[52] == dash, let version = number(bytes[0..<2]),
            let high = number(bytes[3..<19]), let low = number(bytes[19..<35]), let span = number(bytes[36..<52]),
            let flags = number(bytes[53..<55])
        else { throw .malformed }
        if version == 0xFF { throw .forbiddenVersion }
        if bytes.count > length, version == 0 || bytes[length] != dash { throw .malformed }
        guard let trace = TraceID(high: high, low: low) else { throw .zeroTraceID }
        guard let span = SpanID(span) else { throw .zeroSpanID }
        return (trace, span, flags)
    }

    private static let dash = UInt8(ascii: "-")

    /// At most sixteen digits; upper case is refused (§3.2.2.3).
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for byte in digits {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return number
    }

    // MARK: Writing

    /// The field's value, in version 00.
    public var traceparent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }
    /// The field's value; nil where it is to be left out.
    public var tracestate: String? { state.isEmpty ? nil : state.description }
}

/// Why a request has no trace context.
public enum TraceContextError: Error, Equatable, Sendable {
    case missing, repeated, malformed
    /// Version ff.
    case forbiddenVersion
    case zeroTraceID, zeroSpanID
    /// A member of `tracestate` that is none, or of which there is another, or the 33rd.
    case badMember(String), duplicateMember(String), tooManyMembers
}

/// 128 bits that name a trace; never zero.
public struct TraceID: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init?(high: UInt64, low: UInt64) {
        if high == 0, low == 0 { return nil }
        self.high = high
        self.low = low
    }

    public init(random: inout some RandomNumberGenerator) {
        high = random.next()
        low = max(1, random.next())
    }

    /// Of 32 digits in either case, as APIs take them; shorter ones are filled up with zeros in front. Nil for anything
    /// else, and for zero.
    public init?(_ text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard !digits.isEmpty, digits.count <= 32 else { return nil }
        let low = digits.suffix(16)
        guard let high = hexadecimalNumber(digits.dropLast(low.count)), let low = hexadecimalNumber(low) else {
            return nil
        }
        self.init(high: high, low: low)
    }

    public var description: String { hexadecimal(high, 16) + hexadecimal(low, 16) }
}

/// At most sixteen digits in either case; of none, zero.
private func hexadecimalNumber(_ digits: ArraySlice<UInt8>) -> UInt64? {
    var number: UInt64 = 0
    for byte in digits {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): number = number << 4 | UInt64(byte - UInt8(ascii: "A") + 10)
        default: return nil
        }
    }
    return number
}

/// 64 bits that name a span within a trace; never zero.
public struct SpanID: Hashable, Sendable, CustomStringConvertible {
    public let value: UInt64

    public init?(_ value: UInt64) {
        if value == 0 { return nil }
        self.value = value
    }

    public init(random: inout some RandomNumberGenerator) { value = max(1, random.next()) }

    /// Of 16 digits in either case, or fewer.
    public init?(_ text: some StringProtocol) {
        guard !text.isEmpty, text.utf8.count <= 16, let value = hexadecimalNumber(Array(text.utf8)[...]) else {
            return nil
        }
        self.init(value)
    }

    public var description: String { hexadecimal(value, 16) }
}
