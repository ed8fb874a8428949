import Glibc
import KernelWorld

/// Standard input of the process as events of the loop, read only while somebody wants it: what is not wanted stays
/// with the kernel, for whoever has the descriptor next.
public final class HostInput: DescriptorHandler {
    private let poller: Poller
    private unowned let world: World
    private var onBytes: (([UInt8]) -> Void)?
    private var onEnd: (() -> Void)?
    /// The kernel says when there is something to read; otherwise (a file, `/dev/null`) there always is.
    private var isWatched = false
    private var isReadDue = false

    private static let descriptor: Int32 = 0
    private static let readBytes = 64 * 1024

    public init(_ poller: Poller, _ world: World) {
        self.poller = poller
        self.world = world
    }

    /// Reads until `pause`, or until the end, which is told once.
    public func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        self.onBytes = onBytes
        self.onEnd = onEnd
        if isWatched { return }
        isWatched = poller.add(Self.descriptor, .readable, handler: self)
        if !isWatched { readSoon() }
    }

    public func pause() {
        onBytes = nil
        onEnd = nil
        guard isWatched else { return }
        isWatched = false
        poller.remove(Self.descriptor)
    }

    public func descriptorReady(_ events: Poller.Events) { read() }

    private func readSoon() {
        if isReadDue { return }
        isReadDue = true
        world.enqueue { [self] in
            isReadDue = false
            guard onBytes != nil else { return }
            read()
            if onBytes != nil, !isWatched { readSoon() }
        }
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: Self.readBytes)
        let count = Glibc.read(Self.descriptor, &buffer, buffer.count)
        if count > 0 {
            onBytes?(Array(buffer[..<count]))
        } else if count == 0 || errno != EINTR && errno != EAGAIN {
            // A descriptor that is closed, or a terminal that belongs to somebody else now, has nothing to say either.
            let callback = onEnd
            pause()
            callback?()
        }
    }
}
