import Glibc
import KernelWire

/// Debian's Redis on a free port, in a directory of its own, writing nothing to disk.
final class ProgramRedis {
    let port: UInt16
    private let directory: ProgramDirectory
    private(set) var process: ProgramProcess

    init() throws {
        port = try ProgramPort.free()
        directory = try ProgramDirectory()
        process = try Self.start(port, directory.path)
    }

    private static func start(_ port: UInt16, _ directory: String) throws -> ProgramProcess {
        let arguments = [
            "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory,
        ]
        return try ProgramProcess.tool("redis-server", arguments, port: port)
    }

    func kill() throws {
        process.send(SIGKILL)
        _ = try process.waitForExit()
    }

    /// Starts it anew, empty, at the same port.
    func restart() throws { process = try Self.start(port, directory.path) }

    /// What `redis-cli` prints.
    func cli(_ words: String...) throws -> String { try Self.cli(port, words) }

    static func cli(_ port: UInt16, _ words: [String]) throws -> String {
        let process = try ProgramProcess(["-p", "\(port)"] + words, program: try ProgramTool.needed("redis-cli"))
        guard try process.waitForExit() == 0 else { throw ProgramTrouble("redis-cli: \(process.errors)") }
        return process.output
    }
}

/// A client's connection that sends requests and reads their replies, one after the other.
final class ProgramRESP {
    private let connection: ProgramConnection
    private var reader = RESPReplyReader()
    private var received: [UInt8] = []
    private var position = 0

    init(port: UInt16) throws { connection = try ProgramConnection(port: port) }

    func ask(_ words: [[UInt8]]) throws -> RESPValue {
        var request: [UInt8] = []
        RESPRequest.encode(words, into: &request)
        try connection.send(request)
        let deadline = ProgramClock.seconds + ProgramClock.patience
        while true {
            let event = received.withUnsafeBytes { reader.next($0, &position) }
            switch event {
            case .value(let value): return value
            case .failed(let error): throw ProgramTrouble("\(error)")
            case .needMore:
                position = 0
                received = []
                guard ProgramSocket.isReadable(connection.descriptor, until: deadline) else {
                    throw ProgramTrouble("no reply")
                }
                var buffer = [UInt8](repeating: 0, count: 64 * 1024)
                let count = recv(connection.descriptor, &buffer, buffer.count, 0)
                guard count > 0 else { throw ProgramTrouble("the connection ended before the reply") }
                received = Array(buffer[..<count])
            }
        }
    }
}
