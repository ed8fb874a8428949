import Glibc
import KernelWire

/// A server of the lab's beside Debian's Redis, and two connections to each.
final class RedisPair {
    private let directory: ProgramDirectory
    private let processes: [ProgramProcess]
    let ports: [UInt16]
    private(set) var sides: [[RedisSide]] = []

    /// - Parameter start: starts the one that is compared with Redis, at a port, with a directory for its files.
    init(protocol version: Int, start: (_ port: UInt16, _ directory: String) throws -> ProgramProcess) throws {
        directory = try ProgramDirectory()
        ports = [try ProgramPort.free(), try ProgramPort.free()]
        processes = [
            try start(ports[0], directory.path),
            try ProgramProcess.tool(
                "redis-server",
                [
                    "--port", "\(ports[1])", "--save", "", "--dir", directory.path, "--bind", "127.0.0.1",
                    "--databases", "1", "--proto-max-bulk-len", "67108864",
                ], port: ports[1]),
        ]
        for _ in 0..<2 {
            let both = [try RedisSide(ports[0]), try RedisSide(ports[1])]
            for side in both { _ = try side.ask([["HELLO", "\(version)"].map { Array($0.utf8) }]) }
            sides.append(both)
        }
    }
}

/// A connection that asks for several things at once, and cuts the answers where they end.
final class RedisSide {
    private let connection: ProgramConnection
    private var received: [UInt8] = []
    private var start = 0

    init(_ port: UInt16) throws { connection = try ProgramConnection(port: port) }

    func ask(_ requests: [RedisFuzz.Words]) throws -> [[UInt8]] {
        var bytes: [UInt8] = []
        for words in requests { RESPRequest.encode(words, into: &bytes) }
        try connection.send(bytes)
        return try requests.map { _ in try reply() }
    }

    private func reply() throws -> [UInt8] {
        let begin = start
        try pass()
        defer {
            if start == received.count {
                received = []
                start = 0
            }
        }
        return Array(received[begin..<start])
    }

    /// Moves `start` past one reply.
    private func pass() throws {
        let line = try line()
        let count = Int(String(decoding: line.dropFirst(), as: UTF8.self)) ?? 0
        switch line.first {
        case UInt8(ascii: "$"), UInt8(ascii: "="):
            if count < 0 { return }
            while received.count < start + count + 2 { try fill() }
            start += count + 2
        case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"): for _ in 0..<max(0, count) { try pass() }
        case UInt8(ascii: "%"): for _ in 0..<count * 2 { try pass() }
        default: break
        }
    }

    private func line() throws -> ArraySlice<UInt8> {
        var place = start
        while true {
            while place + 1 < received.count {
                if received[place] == 13, received[place + 1] == 10 {
                    defer { start = place + 2 }
                    return received[start..<place]
                }
                place += 1
            }
            try fill()
        }
    }

    private func fill() throws {
        guard ProgramSocket.isReadable(connection.descriptor, until: ProgramClock.seconds + ProgramClock.patience)
        else { throw ProgramTrouble("no reply") }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(connection.descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { throw ProgramTrouble("the connection ended before the reply") }
        received += buffer[..<count]
    }
}
