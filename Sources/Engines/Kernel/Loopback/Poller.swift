import CSystem
import Glibc
import KernelClock
import KernelStructures
import KernelWorld

/// What hears that a descriptor became ready.
public protocol DescriptorHandler: AnyObject {
    /// - Parameter events: bits of `Poller.Events`.
    func descriptorReady(_ events: Poller.Events)
}

/// Linux's epoll, level-triggered, in callback style: the one place where the lab waits.
///
/// The table of handlers is an array indexed by descriptor. Closing a descriptor in the middle of a batch may leave
/// events for it further on in the batch, and a new connection may have been given the same number by then; each
/// registration therefore carries a generation, and stale events are dropped.
public final class Poller: EventSource {
    public struct Events: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Events(rawValue: UInt32(EPOLLIN.rawValue))
        public static let writable = Events(rawValue: UInt32(EPOLLOUT.rawValue))
        public static let hangUp = Events(rawValue: UInt32(EPOLLHUP.rawValue))
        public static let error = Events(rawValue: UInt32(EPOLLERR.rawValue))
    }

    private struct Registration {
        var handler: (any DescriptorHandler)?
        var generation: UInt32 = 0
    }

    private let descriptor: Int32
    private var table: [Registration] = []
    private let batch: UnsafeMutableBufferPointer<epoll_event>
    private var hasNanosecondWait = true
    /// Where every socket of this loop reads into; valid until the next read.
    let readBuffer: UnsafeMutableRawBufferPointer

    /// Bytes read at a time: large enough that a bulk transfer is not dominated by system calls.
    static let readBufferBytes = 64 * 1024
    private static let batchSize = 256

    /// - Throws: `NetworkError.system` if the kernel has no descriptor to spare.
    public init() throws(NetworkError) {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw .system("epoll_create1: \(errorText(errno))") }
        batch = .allocate(capacity: Self.batchSize)
        readBuffer = .allocate(byteCount: Self.readBufferBytes, alignment: 64)
    }

    deinit {
        close(descriptor)
        batch.deallocate()
        readBuffer.deallocate()
    }

    public var hostNanoseconds: Int64 { HostClock.monotonicNanoseconds }

    // MARK: Registrations

    /// - Returns: false where the kernel has nothing to wait for: files and `/dev/null` are always ready.
    @discardableResult
    public func add(_ fd: Int32, _ events: Events, handler: any DescriptorHandler) -> Bool {
        while table.count <= Int(fd) { table.append(Registration()) }
        table[Int(fd)].generation &+= 1
        table[Int(fd)].handler = handler
        if control(EPOLL_CTL_ADD, fd, events) { return true }
        table[Int(fd)].handler = nil
        return false
    }

    public func modify(_ fd: Int32, _ events: Events) { control(EPOLL_CTL_MOD, fd, events) }

    /// Must be called before the descriptor is closed.
    public func remove(_ fd: Int32) {
        guard Int(fd) < table.count, table[Int(fd)].handler != nil else { return }
        table[Int(fd)].handler = nil
        table[Int(fd)].generation &+= 1
        control(EPOLL_CTL_DEL, fd, [])
    }

    @discardableResult
    private func control(_ operation: Int32, _ fd: Int32, _ events: Events) -> Bool {
        var event = epoll_event()
        event.events = events.rawValue
        event.data.u64 = UInt64(table[Int(fd)].generation) << 32 | UInt64(UInt32(bitPattern: fd))
        return epoll_ctl(descriptor, operation, fd, &event) == 0
    }

    // MARK: Waiting

    public func poll(timeoutNanoseconds: Int64, onWake: () -> Void) -> Int {
        let count = wait(timeoutNanoseconds)
        guard count > 0 else { return 0 }
        onWake()
        for index in 0..<Int(count) {
            let event = batch[index]
            let fd = Int(UInt32(truncatingIfNeeded: event.data.u64))
            let registration = table[fd]
            guard registration.generation == UInt32(event.data.u64 >> 32) else { continue }
            registration.handler?.descriptorReady(Events(rawValue: event.events))
        }
        return Int(count)
    }

    /// `epoll_pwait2` waits for nanoseconds; kernels before 5.11 only know milliseconds, rounded up.
    private func wait(_ timeoutNanoseconds: Int64) -> Int32 {
        if timeoutNanoseconds == 0 { return epoll_wait(descriptor, batch.baseAddress, Int32(Self.batchSize), 0) }
        if hasNanosecondWait {
            var timeout = timespec(
                tv_sec: Int(min(timeoutNanoseconds / 1_000_000_000, 1_000_000_000)),
                tv_nsec: Int(timeoutNanoseconds % 1_000_000_000))
            let count = epoll_pwait2(descriptor, batch.baseAddress, Int32(Self.batchSize), &timeout, nil)
            if count >= 0 || errno != ENOSYS { return count }
            hasNanosecondWait = false
        }
        let milliseconds = min((timeoutNanoseconds + 999_999) / 1_000_000, 1_000_000_000)
        return epoll_wait(descriptor, batch.baseAddress, Int32(Self.batchSize), Int32(milliseconds))
    }
}

/// Calls a closure when a descriptor becomes ready, until it is released.
public final class DescriptorWatch: DescriptorHandler {
    private let poller: Poller
    private let fd: Int32
    private let action: (Poller.Events) -> Void
    /// False where it never will call: the descriptor is always ready, as a file is.
    public private(set) var isWatching = true

    public init(
        _ poller: Poller, _ fd: Int32, _ events: Poller.Events = .readable, _ action: @escaping (Poller.Events) -> Void
    ) {
        self.poller = poller
        self.fd = fd
        self.action = action
        isWatching = poller.add(fd, events, handler: self)
    }

    public func descriptorReady(_ events: Poller.Events) { action(events) }

    public func cancel() { poller.remove(fd) }
}

/// What the C library calls the error.
public func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
