import CSystem
import Glibc
import Synchronization

/// Ports of 127.0.0.1 for servers under test, each given out once. They lie below those that the kernel gives to
/// outgoing connections, so that none of these can take one in between.
enum ProgramPort {
    private static let next = Mutex(12_000 + Int(getpid()) * 64 % 16_000)

    /// A port that nobody listens on.
    ///
    /// The socket that tries it is bound and does not listen. Another thread may start a process at this moment, and
    /// that child holds a copy of every descriptor until its exec: a copy of a listener would keep the port for a
    /// moment after it was closed here, and the server it was meant for would find the address in use.
    static func free() throws -> UInt16 {
        let (descriptor, port) = try first { try ProgramSocket.bound(to: $0) }
        close(descriptor)
        return port
    }

    /// A listener on a port of its own, which is never let go of in between.
    static func listener() throws -> (descriptor: Int32, port: UInt16) {
        try first { try ProgramSocket.listening(on: $0) }
    }

    private static func first(_ attempt: (UInt16) throws -> Int32) throws -> (descriptor: Int32, port: UInt16) {
        for _ in 0..<4_000 {
            let candidate = next.withLock { value in
                value = value >= 30_000 ? 12_000 : value + 1
                return UInt16(value)
            }
            if let descriptor = try? attempt(candidate) { return (descriptor, candidate) }
        }
        throw ProgramTrouble("no free port from 12000 to 30000")
    }
}

enum ProgramSocket {
    static func make() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ProgramTrouble.system("socket") }
        return descriptor
    }

    static func listening(on port: UInt16) throws -> Int32 {
        let descriptor = try bound(to: port)
        guard listen(descriptor, 1024) == 0 else {
            defer { close(descriptor) }
            throw ProgramTrouble.system("listen on \(port)")
        }
        return descriptor
    }

    /// A socket with this address that does not listen. Fails while another listens there.
    static func bound(to port: UInt16) throws -> Int32 {
        let descriptor = try make()
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard withAddress(127 << 24 | 1, port, { bind(descriptor, $0, $1) }) == 0 else {
            defer { close(descriptor) }
            throw ProgramTrouble.system("bind to \(port)")
        }
        return descriptor
    }

    static func withAddress<R>(_ address: UInt32, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R)
        -> R
    {
        var value = sockaddr_in()
        value.sin_family = sa_family_t(AF_INET)
        value.sin_port = port.bigEndian
        value.sin_addr.s_addr = address.bigEndian
        return withUnsafePointer(to: &value) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    static func isReadable(_ descriptor: Int32, until deadline: Double) -> Bool {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&wait, 1, ProgramClock.milliseconds(until: deadline))
            if count < 0, errno == EINTR { continue }
            return count > 0
        }
    }
}

struct ProgramResponse {
    let status: Int
    /// Status line and fields.
    let head: String
    let body: String
    /// Also of a body that was not kept.
    let bodyByteCount: Int
}

/// A small HTTP client of the tests' own: one connection, requests one after the other, every wait with a deadline.
final class ProgramConnection {
    let descriptor: Int32
    private var received: [UInt8] = []
    private var isOver = false

    /// - Parameter source: the address that it comes from, in 127.0.0.0/8; 0 for the usual one.
    init(port: UInt16, source: UInt32 = 0) throws {
        descriptor = try ProgramSocket.make()
        if source != 0 {
            guard ProgramSocket.withAddress(source, 0, { bind(descriptor, $0, $1) }) == 0 else {
                throw ProgramTrouble.system("bind")
            }
        }
        let result = ProgramSocket.withAddress(127 << 24 | 1, port) { connect(descriptor, $0, $1) }
        guard result == 0 else { throw ProgramTrouble.system("connect to \(port)") }
    }

    deinit { close(descriptor) }

    /// Closes it with a reset when it is let go of, whatever the other side is doing.
    func resetAtEnd() {
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ProgramTrouble.system("send") }
            done += count
        }
    }

    /// Asks for a path and returns the answer.
    func get(_ path: String = "/", keepsBody: Bool = true, within patience: Double = ProgramClock.patience) throws
        -> ProgramResponse
    {
        try send("GET \(path) HTTP/1.1\r\nHost: test\r\n\r\n")
        return try response(keepsBody: keepsBody, within: patience)
    }

    /// The next answer. Its body has a `Content-Length`, or lasts until the connection ends.
    func response(keepsBody: Bool = true, within patience: Double = ProgramClock.patience) throws -> ProgramResponse {
        let deadline = ProgramClock.seconds + patience
        var end: Int?
        while end == nil {
            end = endOfHead()
            if end == nil, !fill(until: deadline) {
                throw ProgramTrouble(
                    "the connection ended before an answer: \(String(decoding: received, as: UTF8.self))")
            }
        }
        let head = String(decoding: received[..<end!], as: UTF8.self)
        received.removeFirst(end!)
        let lines = head.split(whereSeparator: \.isNewline)
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw ProgramTrouble("no status line: \(head)")
        }
        let length = lines.first { $0.lowercased().hasPrefix("content-length:") }
            .flatMap { Int($0.split(separator: ":")[1].drop { $0 == " " }) }
        var body: [UInt8] = []
        var count = 0
        while count < length ?? .max {
            if received.isEmpty, !fill(until: deadline) {
                if length == nil { break }
                throw ProgramTrouble("the connection ended after \(count) of \(length!) bytes")
            }
            let taken = min(received.count, (length ?? .max) - count)
            if keepsBody { body += received.prefix(taken) }
            received.removeFirst(taken)
            count += taken
        }
        return ProgramResponse(
            status: status, head: head, body: String(decoding: body, as: UTF8.self), bodyByteCount: count)
    }

    /// Whether the other side ends the connection, and says nothing more before.
    func endsQuietly(within patience: Double = ProgramClock.patience) -> Bool {
        let deadline = ProgramClock.seconds + patience
        while fill(until: deadline) {}
        return isOver && received.isEmpty
    }

    /// Everything until the end of the connection; nil if that does not come in time.
    func rest(within patience: Double = ProgramClock.patience) -> [UInt8]? {
        let deadline = ProgramClock.seconds + patience
        while fill(until: deadline) {}
        return isOver ? received : nil
    }

    /// For a test that has read a byte itself.
    func putBack(_ byte: UInt8) { received.append(byte) }

    private func endOfHead() -> Int? {
        guard received.count >= 4 else { return nil }
        return (4...received.count).first { received[($0 - 4)..<$0].elementsEqual([13, 10, 13, 10]) }
    }

    /// Reads once; false at the end of the connection or of the time.
    private func fill(until deadline: Double) -> Bool {
        guard !isOver, ProgramSocket.isReadable(descriptor, until: deadline) else { return false }
        let size = 256 * 1024
        let count = withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { buffer in
            let count = read(descriptor, buffer.baseAddress, size)
            if count > 0 { received += buffer[..<count] }
            return count
        }
        if count <= 0 { isOver = true }
        return count > 0
    }
}

/// A server that behaves as a test wants it to: each connection gets a thread and is handed to the closure.
final class ProgramBadServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let isStopped = Atomic(false)

    /// - Parameter behaviour: what it does with a connection, which is closed afterwards.
    init(_ behaviour: @escaping @Sendable (_ descriptor: Int32) -> Void) throws {
        (listener, port) = try ProgramPort.listener()
        startProgramThread { [self] in
            while true {
                let descriptor = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
                guard descriptor >= 0, !isStopped.load(ordering: .relaxed) else { return }
                startProgramThread {
                    behaviour(descriptor)
                    close(descriptor)
                }
            }
        }
    }

    func stop() {
        isStopped.store(true, ordering: .relaxed)
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// Answers each request with these bytes; the connection ends after the first.
    static func answering(_ text: String) throws -> ProgramBadServer {
        try ProgramBadServer { descriptor in
            readHead(descriptor)
            let bytes = Array(text.utf8)
            _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            shutdown(descriptor, Int32(SHUT_WR))
            readToEnd(descriptor)
        }
    }

    /// Reads requests and never says a word.
    static func silent() throws -> ProgramBadServer { try ProgramBadServer { readToEnd($0) } }

    private static func readHead(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        _ = read(descriptor, &buffer, buffer.count)
    }

    private static func readToEnd(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while read(descriptor, &buffer, buffer.count) > 0 {}
    }
}

/// A thread of the host, for what blocks beside a test.
func startProgramThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let context = Unmanaged.passRetained(Box(body)).toOpaque()
    let code = pthread_create(
        &thread, nil,
        { context in
            Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().body()
            return nil
        }, context)
    precondition(code == 0, "pthread_create: \(String(cString: strerror(code)))")
    pthread_detach(thread)
}
