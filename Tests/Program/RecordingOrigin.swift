import CSystem
import Glibc
import Synchronization

/// A server behind a proxy under test. It writes down every byte that arrives and what requests it makes of them, read
/// by `StrictRequestReader`; it answers each with its own request line, so that an answer shows whose it is, and
/// whatever is in doubt with 400 and the end of the connection.
///
/// One thread, which takes turns: once it says that it is idle, everything that was sent before has been seen.
final class RecordingOrigin: Sendable {
    let port: UInt16
    private let listener: Int32
    private let wake: (read: Int32, write: Int32)
    private let idle: (read: Int32, write: Int32)
    private let log = Mutex(Log())

    /// What has arrived since it was last taken.
    struct Log {
        var requests: [StrictRequest] = []
        var doubts: [String] = []
        /// Requests that broke off.
        var cuts = 0
        var bytes: [UInt8] = []
        /// Connections that are in the middle of a request.
        var unfinished = 0
    }

    /// Field of every answer, by which answers of the origin are told from those of the proxy.
    static let mark = "X-Origin"

    init() throws {
        (listener, port) = try ProgramPort.listener()
        wake = try Self.pair()
        idle = try Self.pair()
        startProgramThread { [self] in serve() }
    }

    func stop() { close(wake.write) }

    private static func pair() throws -> (Int32, Int32) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw ProgramTrouble.system("socketpair")
        }
        return (ends[0], ends[1])
    }

    /// Waits until everything that has been sent is seen and no request is half there, and takes the log.
    func take() throws -> Log {
        let isComplete = try ProgramClock.wait {
            try settle()
            return log.withLock { $0.unfinished } == 0
        }
        return try log.withLock { log in
            guard isComplete else {
                throw ProgramTrouble("a request is half there for ever: \(Latin1.text(log.bytes))")
            }
            let taken = log
            log = Log()
            return taken
        }
    }

    /// Returns when a look at all connections has found nothing new.
    private func settle() throws {
        var byte: UInt8 = 0
        guard write(wake.write, &byte, 1) == 1,
            ProgramSocket.isReadable(idle.read, until: ProgramClock.seconds + ProgramClock.patience),
            read(idle.read, &byte, 1) == 1
        else { throw ProgramTrouble("the origin does not run") }
    }

    // MARK: Its thread

    private struct Connection {
        let descriptor: Int32
        var reader = StrictRequestReader()
        var isInDoubt = false
    }

    private func serve() {
        var connections: [Connection] = []
        var isAsked = false
        while true {
            var waits = ([wake.read, listener] + connections.map(\.descriptor)).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            let count = poll(&waits, nfds_t(waits.count), isAsked ? 0 : -1)
            if count == 0 {
                var byte: UInt8 = 1
                _ = write(idle.write, &byte, 1)
                isAsked = false
                continue
            }
            if waits[0].revents != 0 {
                var byte: UInt8 = 0
                guard read(wake.read, &byte, 1) == 1 else { break }
                isAsked = true
            }
            // Backwards, so that what is removed does not move what is still to come.
            for index in connections.indices.reversed() where waits[index + 2].revents != 0 {
                if !hear(&connections[index]) {
                    close(connections[index].descriptor)
                    connections.remove(at: index)
                }
            }
            if waits[1].revents != 0 {
                let descriptor = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
                if descriptor >= 0 { connections.append(Connection(descriptor: descriptor)) }
            }
            let unfinished = connections.count { $0.reader.isInsideRequest && !$0.isInDoubt }
            log.withLock { $0.unfinished = unfinished }
        }
        for descriptor in connections.map(\.descriptor) + [listener, wake.read, idle.read, idle.write] {
            close(descriptor)
        }
    }

    /// Reads once and answers what is complete; false at the end of the connection.
    private func hear(_ connection: inout Connection) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        let count = read(connection.descriptor, &buffer, buffer.count)
        guard count > 0 else {
            if connection.reader.isInsideRequest, !connection.isInDoubt { log.withLock { $0.cuts += 1 } }
            return false
        }
        log.withLock { $0.bytes += buffer[..<count] }
        if connection.isInDoubt { return true }
        connection.reader.append(buffer[..<count])
        do throws(Doubt) {
            while let request = try connection.reader.next() {
                log.withLock { $0.requests.append(request) }
                let text = "\(request.method) \(request.target)\n"
                let body = request.method == "HEAD" ? "" : text
                answer(connection, "200 OK", length: text.utf8.count, body: body)
            }
        } catch {
            connection.isInDoubt = true
            log.withLock { $0.doubts.append(error.text) }
            answer(connection, "400 Bad Request", length: 0, body: "")
            shutdown(connection.descriptor, Int32(SHUT_WR))
        }
        return true
    }

    private func answer(_ connection: Connection, _ status: String, length: Int, body: String) {
        let text = "HTTP/1.1 \(status)\r\n\(Self.mark): yes\r\nContent-Length: \(length)\r\n\r\n\(body)"
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { send(connection.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }
}
