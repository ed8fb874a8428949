/// The properties of a message: what stands in its content header beside the length of its body.
///
/// On the wire a word of flags says which are there, the highest bit for the first; then they follow in this order.
public struct AMQPProperties: Equatable, Sendable {
    public var contentType: String?
    public var contentEncoding: String?
    public var headers: AMQPTable?
    /// 2: kept on the disk in durable queues.
    public var deliveryMode: UInt8?
    public var priority: UInt8?
    public var correlationID: String?
    public var replyTo: String?
    /// Milliseconds, as text.
    public var expiration: String?
    public var messageID: String?
    /// Seconds since 1970.
    public var timestamp: UInt64?
    public var type: String?
    public var userID: String?
    public var appID: String?
    public var clusterID: String?

    public init() {}

    /// With only headers in it, for messages that are otherwise as they come.
    public init(headers: AMQPTable) { self.headers = headers }

    public var isPersistent: Bool { deliveryMode == 2 }

    /// As it stands on the wire: flags, then what they announce.
    public var encoded: [UInt8] {
        var writer = AMQPWriter()
        writer.append(short: flags)
        if let contentType { writer.append(shortString: contentType) }
        if let contentEncoding { writer.append(shortString: contentEncoding) }
        if let headers { writer.append(table: headers) }
        if let deliveryMode { writer.append(octet: deliveryMode) }
        if let priority { writer.append(octet: priority) }
        for text in [correlationID, replyTo, expiration, messageID] {
            if let text { writer.append(shortString: text) }
        }
        if let timestamp { writer.append(longLong: timestamp) }
        for text in [type, userID, appID, clusterID] { if let text { writer.append(shortString: text) } }
        return writer.bytes
    }

    private var flags: UInt16 {
        let present = [
            contentType != nil, contentEncoding != nil, headers != nil, deliveryMode != nil, priority != nil,
            correlationID != nil, replyTo != nil, expiration != nil, messageID != nil, timestamp != nil, type != nil,
            userID != nil, appID != nil, clusterID != nil,
        ]
        var flags: UInt16 = 0
        for (index, isThere) in present.enumerated() where isThere { flags |= 1 << UInt16(15 - index) }
        return flags
    }

    /// - Throws: `AMQPFailure` 502 if they are malformed.
    public init(encoded bytes: [UInt8]) throws(AMQPFailure) {
        var result = Result<AMQPProperties, AMQPFailure>.success(AMQPProperties())
        bytes.withUnsafeBytes { raw in
            do throws(AMQPFailure) { result = .success(try AMQPProperties(raw)) } catch { result = .failure(error) }
        }
        self = try result.get()
    }

    /// - Throws: `AMQPFailure` 502 if they are malformed, or bytes are left.
    public init(_ raw: UnsafeRawBufferPointer) throws(AMQPFailure) {
        var reader = AMQPReader(raw)
        let flags = try reader.short()
        // The lowest bit would announce a second word; bit 1 belongs to no property, and is left to those who set it.
        guard flags & 1 == 0 else { throw AMQPFailure(.syntaxError, "flags of properties that there are not") }
        func has(_ index: Int) -> Bool { flags & (1 << UInt16(15 - index)) != 0 }
        if has(0) { contentType = try reader.anyShortString() }
        if has(1) { contentEncoding = try reader.anyShortString() }
        if has(2) { headers = try reader.table() }
        if has(3) { deliveryMode = try reader.octet() }
        if has(4) { priority = try reader.octet() }
        if has(5) { correlationID = try reader.anyShortString() }
        if has(6) { replyTo = try reader.anyShortString() }
        if has(7) { expiration = try reader.anyShortString() }
        if has(8) { messageID = try reader.anyShortString() }
        if has(9) { timestamp = try reader.longLong() }
        if has(10) { type = try reader.anyShortString() }
        if has(11) { userID = try reader.anyShortString() }
        if has(12) { appID = try reader.anyShortString() }
        if has(13) { clusterID = try reader.anyShortString() }
        if !reader.isAtEnd { throw AMQPFailure(.syntaxError, "\(reader.remaining) bytes behind the properties") }
    }

    /// What announces nothing but a delivery mode needs no reading: flags `10 00` and one byte, as most publishers of
    /// small messages send it; or nothing at all.
    public static func plainDeliveryMode(_ raw: UnsafeRawBufferPointer) -> UInt8? {
        if raw.count == 2, raw[0] == 0, raw[1] == 0 { return 1 }
        if raw.count == 3, raw[0] == 0x10, raw[1] == 0 { return raw[2] }
        return nil
    }
}
