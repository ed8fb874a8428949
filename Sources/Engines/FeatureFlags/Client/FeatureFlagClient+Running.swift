import KernelStorage
import KernelStructures

/// How a client reaches its server: a few lines around whatever HTTP client the program has.
public protocol FlagTransport: Sendable {
    func send(_ request: FlagRequest) async throws -> FlagResponse
}

extension FeatureFlagClient {
    /// Keeps the definitions up to date, and reports what was counted, until its task is cancelled. It takes no thread
    /// and no task of its own: `async let _ = flags.run(transport)`, a task group, a service group.
    ///
    /// - Parameter pause: waits; the task's own sleep unless given.
    public func run(
        _ transport: some FlagTransport,
        pause: @Sendable (LabDuration) async throws -> Void = {
            try await Task.sleep(for: .nanoseconds($0.nanoseconds))
        }
    ) async {
        while !Task.isCancelled {
            let next = await refresh(transport)
            do { try await pause(max(.milliseconds(1), next - now)) } catch { break }
        }
    }

    /// Asks what is due, once.
    ///
    /// - Returns: when there is something to ask again.
    @discardableResult
    public func refresh(_ transport: some FlagTransport) async -> LabTime {
        for request in due(now: now).requests {
            do {
                answered(request, try await transport.send(request), now: now)
            } catch {
                failed(request, now: now)
            }
        }
        return nextDeadline
    }
}

/// Where a client keeps its last good definitions.
public struct FlagBackup: Sendable {
    let read: @Sendable () -> [UInt8]?
    /// What cannot be written is not written: a full disk is no reason to stop deciding.
    let write: @Sendable ([UInt8]) -> Void

    public init(read: @escaping @Sendable () -> [UInt8]?, write: @escaping @Sendable ([UInt8]) -> Void) {
        self.read = read
        self.write = write
    }

    /// A file, replaced as a whole each time.
    public static func file(_ path: String) -> FlagBackup {
        FlagBackup(
            read: { try? disk()?.contents(of: path, limit: FlagDefinitions.byteLimit) },
            write: { bytes in try? disk()?.store(bytes, at: path) })
    }

    private static func disk() -> NodeDisk? {
        (try? FileDisk(root: nil)).map { NodeDisk(base: $0, owner: .lab) }
    }
}
