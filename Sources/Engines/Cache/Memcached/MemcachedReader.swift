import KernelStructures

/// One request of memcached's text protocol: the words of its line, and the data behind it if it brings any.
public struct MemcachedRequest: Equatable, Sendable {
    public var words: [[UInt8]]
    public var data: [UInt8]?

    public init(_ words: [[UInt8]], data: [UInt8]? = nil) {
        self.words = words
        self.data = data
    }

    public var name: String { words.first.map { String(decoding: $0, as: UTF8.self) } ?? "" }
}

/// Reads memcached's text protocol, however its bytes are cut ("protocol.txt", memcached 1.6).
///
/// A request is a line. Of commands that store something the line says how many bytes follow; they end with CRLF of
/// their own. A line that is too long, or says more bytes than a value may have, is answered by an error; the bytes it
/// announced are skipped, so that they are not taken for commands.
public struct MemcachedReader: Sendable {
    public enum Event: Equatable, Sendable {
        /// The input is used up.
        case needMore
        case request(MemcachedRequest)
        /// To be said to the client, who may go on.
        case refused(String)
        /// To be said to the client, and the end: nothing more can be understood.
        case failed(String)
    }

    /// Bytes of a value: memcached's `-I`.
    public var valueByteLimit = 1 << 20
    /// Bytes of a line; a `get` may name many keys.
    public static let lineByteLimit = 64 << 10
    private static let wordLimit = 10_000

    private var line: [UInt8] = []
    /// A request whose data has not come whole.
    private var pending: (request: MemcachedRequest, count: Int)?
    private var skipping = 0
    private var hasFailed = false

    public init() {}

    /// Bytes kept of an unfinished request.
    public var heldByteCount: Int { line.count + (pending?.request.data?.count ?? 0) }

    public mutating func next(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Event {
        while !hasFailed, position < bytes.count {
            if skipping > 0 {
                let skipped = min(skipping, bytes.count - position)
                position += skipped
                skipping -= skipped
            } else if pending != nil {
                if let event = readData(bytes, &position) { return event }
            } else if let event = readLine(bytes, &position) {
                return event
            }
        }
        return .needMore
    }

    private mutating func readLine(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Event? {
        let rest = bytes[position...]
        guard let newline = rest.firstIndex(of: 10) else {
            line.append(contentsOf: rest.prefix(Self.lineByteLimit + 1))
            position = bytes.count
            return line.count > Self.lineByteLimit ? fail("CLIENT_ERROR line too long") : nil
        }
        line.append(contentsOf: rest[..<newline].prefix(Self.lineByteLimit + 1))
        position = newline + 1
        if line.count > Self.lineByteLimit { return fail("CLIENT_ERROR line too long") }
        if line.last == 13 { line.removeLast() }
        let words = line.split(separator: 32, maxSplits: Self.wordLimit).map(Array.init)
        line = []
        return begin(MemcachedRequest(words))
    }

    private mutating func fail(_ text: String) -> Event {
        hasFailed = true
        line = []
        return .failed(text)
    }

    /// A line has come; data may have to follow.
    private mutating func begin(_ request: MemcachedRequest) -> Event? {
        guard !request.words.isEmpty else { return .refused("ERROR") }
        let place: Int
        switch request.name {
        case "set", "add", "replace", "append", "prepend", "cas": place = 4
        case "ms": place = 2
        default: return .request(request)
        }
        guard request.words.count > place else {
            return .refused(request.name == "ms" ? "CLIENT_ERROR bad command line format" : "ERROR")
        }
        let digits = String(decoding: request.words[place], as: UTF8.self)
        guard let count = Int(digits), count >= 0, count <= Int(Int32.max) else {
            return .refused("CLIENT_ERROR bad data chunk")
        }
        guard count <= valueByteLimit else {
            skipping = count + 2
            return .refused("SERVER_ERROR object too large for cache")
        }
        pending = (request, count)
        pending?.request.data = []
        return nil
    }

    private mutating func readData(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Event? {
        guard let (started, count) = pending else { return nil }
        var request = started
        pending = nil
        var data = request.data ?? []
        request.data = nil
        let taken = min(count + 2 - data.count, bytes.count - position)
        data.append(contentsOf: bytes[position..<position + taken])
        position += taken
        guard data.count == count + 2 else {
            request.data = data
            pending = (request, count)
            return nil
        }
        guard data[count] == 13, data[count + 1] == 10 else {
            // The client counts in another way than it says: what comes up to the next line end is no command.
            return .refused("CLIENT_ERROR bad data chunk")
        }
        data.removeLast(2)
        request.data = data
        return .request(request)
    }
}
