import Glibc

/// Programs of the host that tests use as oracles and clients. A test that needs one is skipped where it is missing,
/// but for the place where nothing may be skipped: with `CI` in the environment it runs, and fails.
enum ProgramTool {
    static let mayNotSkip = getenv("CI") != nil

    static func path(of name: String) -> String? {
        ["/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/", "/sbin/", "/bin/"].map { $0 + name }
            .first { access($0, X_OK) == 0 }
    }

    /// Programs of packages that are unpacked and not installed, because a machine may have one of them at most.
    private static let unpacked = ProgramPlace.root + "/.build/unpacked"

    static func unpackedPath(of name: String) -> String? {
        ["/usr/sbin/", "/usr/bin/"].map { unpacked + $0 + name }.first { access($0, X_OK) == 0 }
    }

    static func canRunUnpacked(_ names: String...) -> Bool {
        mayNotSkip || names.allSatisfy { unpackedPath(of: $0) != nil }
    }

    /// Starts one of them, with what tells it where its libraries and modules are.
    static func startUnpacked(_ name: String, _ arguments: [String]) throws -> ProgramProcess {
        guard let path = unpackedPath(of: name) else {
            throw ProgramTrouble("\(name) is missing: run scripts/setup test")
        }
        let libraries = ["/usr/lib/syslog-ng", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"]
            .map { unpacked + $0 }
        return try ProgramProcess(
            arguments, program: path,
            environment: [
                "LD_LIBRARY_PATH=" + libraries.joined(separator: ":"), "SYSLOGNG_PREFIX=\(unpacked)/usr",
                "RSYSLOG_MODDIR=\(unpacked)/usr/lib/x86_64-linux-gnu/rsyslog",
            ])
    }

    /// For `.enabled(if:)`.
    static func canRun(_ names: String...) -> Bool { mayNotSkip || names.allSatisfy { path(of: $0) != nil } }

    static func needed(_ name: String) throws -> String {
        guard let path = path(of: name) else { throw ProgramTrouble("\(name) is missing: run scripts/setup test") }
        return path
    }
}

extension ProgramProcess {
    /// Starts a program of the host that listens, and waits until it accepts connections.
    static func tool(_ name: String, _ arguments: [String], port: UInt16) throws -> ProgramProcess {
        let process = try ProgramProcess(arguments, program: try ProgramTool.needed(name))
        try process.waitUntilListening(on: port)
        return process
    }

    func waitUntilListening(on port: UInt16) throws {
        let isUp = try ProgramClock.wait {
            guard isRunning else {
                _ = try waitForExit()
                throw ProgramTrouble("ended at once: \(output)\(errors)")
            }
            return (try? ProgramConnection(port: port)) != nil
        }
        guard isUp else { throw ProgramTrouble("port \(port) never opened: \(output)\(errors)") }
    }
}
