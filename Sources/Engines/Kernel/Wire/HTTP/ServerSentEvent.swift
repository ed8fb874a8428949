import KernelStructures

/// One event of a stream of events (WHATWG HTML §9.2, `text/event-stream`): lines of text over an answer that does not
/// end.
///
/// ```
/// stream = *( comment / field / blank )       ; lines end in LF, CR LF or CR
/// field  = name ":" [ " " ] value
/// blank  = end of line                        ; ends the event
/// ```
public struct ServerSentEvent: Equatable, Sendable {
    /// What kind of event it is; nil for `message`.
    public var event: String?
    public var data: String
    /// A client that connects again says the last one it has seen (`Last-Event-ID`).
    public var id: String?
    /// How long a client is to wait before it connects again.
    public var retry: LabDuration?

    public init(_ data: String, event: String? = nil, id: String? = nil, retry: LabDuration? = nil) {
        self.data = data
        self.event = event
        self.id = id
        self.retry = retry
    }

    public static let contentType = "text/event-stream"

    /// The event's lines. A kind or an id with a line's end or NUL in it cannot be said, and is left out.
    public func write(into out: inout [UInt8]) {
        if let event, Self.isOneLine(event) { out.append(utf8: "event: \(event)\n") }
        if let id, Self.isOneLine(id), !id.utf8.contains(0) { out.append(utf8: "id: \(id)\n") }
        if let retry { out.append(utf8: "retry: \(max(0, retry.nanoseconds / 1_000_000))\n") }
        var isStart = true
        var previous: UInt8 = 0
        for byte in data.utf8 {
            defer { previous = byte }
            if byte == 10, previous == 13 { continue }
            if isStart {
                out.append(utf8: "data: ")
                isStart = false
            }
            if byte == 10 || byte == 13 {
                out.append(10)
                isStart = true
            } else {
                out.append(byte)
            }
        }
        // Also for no data at all, and for data whose last line is empty.
        out.append(utf8: isStart ? "data: \n\n" : "\n\n")
    }

    private static func isOneLine(_ text: String) -> Bool { text.utf8.allSatisfy { $0 != 10 && $0 != 13 } }

    /// A line that says nothing, to keep a connection open.
    public static let comment = Array(": \n\n".utf8)
}

/// Reads a stream of events, however it is cut.
public struct ServerSentEventReader: Sendable {
    /// The last id that was set; it stays until another one comes.
    public private(set) var lastID: String?
    private var line: [UInt8] = []
    private var event = ""
    private var data: [UInt8] = []
    private var hasData = false
    private var retry: LabDuration?
    private var isAfterCR = false
    private var isFirstLine = true

    /// Bytes of one event; a longer one ends the reading.
    public let limitBytes: Int

    public struct TooLong: Error, Equatable, Sendable, CustomStringConvertible {
        public let limitBytes: Int
        public var description: String { "an event is longer than \(limitBytes) bytes" }
    }

    public init(limitBytes: Int = 1 << 20) { self.limitBytes = limitBytes }

    /// The events that are complete with these bytes.
    public mutating func read(_ bytes: some Sequence<UInt8>) throws(TooLong) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            defer { isAfterCR = byte == 13 }
            if byte == 10, isAfterCR { continue }
            guard byte == 10 || byte == 13 else {
                line.append(byte)
                if line.count + data.count > limitBytes { throw TooLong(limitBytes: limitBytes) }
                continue
            }
            if let event = endLine() { events.append(event) }
        }
        return events
    }

    private mutating func endLine() -> ServerSentEvent? {
        defer { line.removeAll(keepingCapacity: true) }
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        if line.isEmpty { return dispatch() }
        let name = line.prefix { $0 != 58 }
        var value = line.dropFirst(name.count + 1)
        if value.first == 32 { value.removeFirst() }
        switch String(decoding: name, as: UTF8.self) {
        case "event": event = String(decoding: value, as: UTF8.self)
        case "data":
            if hasData { data.append(10) }
            hasData = true
            data += value
        case "id" where !value.contains(0): lastID = String(decoding: value, as: UTF8.self)
        case "retry" where !value.isEmpty && value.count <= 12 && value.allSatisfy { $0 >= 48 && $0 <= 57 }:
            retry = Int(String(decoding: value, as: UTF8.self)).map { .milliseconds($0) }
        default: break
        }
        return nil
    }

    private mutating func dispatch() -> ServerSentEvent? {
        defer {
            event = ""
            data = []
            hasData = false
            retry = nil
        }
        guard hasData else { return nil }
        return ServerSentEvent(
            String(decoding: data, as: UTF8.self), event: event.isEmpty ? nil : event, id: lastID, retry: retry)
    }
}
