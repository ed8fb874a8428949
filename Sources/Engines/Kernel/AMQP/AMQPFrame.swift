import KernelWire

/// What stands around everything on the wire: a type, a channel, a length, the payload, and a byte that ends it.
///
/// ```
///   1     2          4          length     1
/// ┌─────┬─────────┬──────────┬──────────┬──────┐
/// │type │ channel │  length  │ payload  │ 0xCE │
/// └─────┴─────────┴──────────┴──────────┴──────┘
/// ```
public enum AMQPFrame {
    public enum Kind: UInt8, Sendable { case method = 1, header = 2, body = 3, heartbeat = 8 }

    /// The last byte of each frame: one that is missing shows that both sides count differently.
    public static let end: UInt8 = 0xCE
    /// What every peer can take (bytes, the eight around the payload included).
    public static let minimumSize = 4096
    /// What is sent before the first frame.
    public static let protocolHeader: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]
    /// Bytes around a payload.
    public static let overhead = 8
}

/// A content header: which class, how long the body will be, and the properties as they stand.
public struct AMQPContentHeader {
    public let classID: UInt16
    /// Bytes.
    public let bodySize: UInt64
    /// Flags and properties, where they are.
    public let properties: UnsafeRawBufferPointer

    public init(payload: UnsafeRawBufferPointer) throws(AMQPFailure) {
        var reader = AMQPReader(payload)
        classID = try reader.short()
        let weight = try reader.short()
        guard weight == 0 else { throw AMQPFailure(.syntaxError, "a content header with weight \(weight)") }
        bodySize = try reader.longLong()
        guard reader.remaining >= 2 else { throw AMQPFailure(.syntaxError, "a content header without flags") }
        properties = try reader.take(reader.remaining)
    }
}

/// Cuts what arrives into frames. A frame that is there in one piece is read where it lies; what is cut off is kept
/// until its rest has come, up to the largest frame that was agreed on.
public final class AMQPFrameReader {
    private var partial = RawBytes()
    /// Bytes of a frame with its eight around; 0: any number up to `hardLimit`.
    public var frameMax = AMQPFrame.minimumSize
    /// What "any number" means: one peer must not take all memory.
    public static let hardLimit = 16 << 20

    public init() {}

    public enum Step {
        case needMore
        /// The payload is valid until the next call.
        case frame(AMQPFrame.Kind, channel: UInt16, payload: UnsafeRawBufferPointer)
        /// The stream cannot be read any further.
        case failed(AMQPFailure)
    }

    private var limit: Int { frameMax > 0 ? min(frameMax, Self.hardLimit) : Self.hardLimit }
    /// Bytes of a frame that has not come whole yet.
    public var partialByteCount: Int { partial.count }
    private var isPartialUsed = false

    /// The next frame of what has arrived; `position` moves behind what has been taken.
    public func next(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Step {
        if isPartialUsed {
            partial.removeAll()
            isPartialUsed = false
        }
        if partial.count > 0 { return completePartial(bytes, &position) }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
        let size: Int?
        do throws(AMQPFailure) { size = try frameSize(rest) } catch { return .failed(error) }
        guard let size, rest.count >= size else {
            partial.append(rest)
            position = bytes.count
            return .needMore
        }
        position += size
        return cut(UnsafeRawBufferPointer(rebasing: rest[..<size]))
    }

    private func completePartial(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Step {
        // The head first, since it says how much is wanted.
        func fill(to count: Int) -> Bool {
            let wanted = min(max(0, count - partial.count), bytes.count - position)
            partial.append(UnsafeRawBufferPointer(rebasing: bytes[position..<position + wanted]))
            position += wanted
            return partial.count >= count
        }
        guard fill(to: 7) else { return .needMore }
        let size: Int?
        do throws(AMQPFailure) { size = try frameSize(partial.all) } catch { return .failed(error) }
        guard let size, fill(to: size) else { return .needMore }
        isPartialUsed = true
        return cut(partial.all)
    }

    /// Bytes of the frame that begins here; nil while its head is not whole.
    private func frameSize(_ bytes: UnsafeRawBufferPointer) throws(AMQPFailure) -> Int? {
        guard let type = bytes.first else { return nil }
        guard AMQPFrame.Kind(rawValue: type) != nil else {
            throw AMQPFailure(.frameError, "unknown frame type \(type)")
        }
        guard bytes.count >= 7 else { return nil }
        let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 3, as: UInt32.self)))
        let size = length + AMQPFrame.overhead
        guard size <= limit else {
            throw AMQPFailure(
                .frameError, "type \(type), a payload of \(length) bytes: {frame_too_large,\(length),\(limit - 8)}")
        }
        return size
    }

    private func cut(_ frame: UnsafeRawBufferPointer) -> Step {
        guard frame[frame.count - 1] == AMQPFrame.end, let kind = AMQPFrame.Kind(rawValue: frame[0]) else {
            return .failed(AMQPFailure(.frameError, "a frame of type \(frame[0]) does not end with 0xCE"))
        }
        let channel = UInt16(bigEndian: frame.loadUnaligned(fromByteOffset: 1, as: UInt16.self))
        let payload = UnsafeRawBufferPointer(rebasing: frame[7..<frame.count - 1])
        return .frame(kind, channel: channel, payload: payload)
    }
}
