import KernelLoopback
import KernelWorld
import ShellSession

/// Standard input of the process as what a command reads: `sdlab curl -d @-`.
final class StandardInput: ByteSource {
    private let input: HostInput
    private unowned let world: World
    /// What was read and not wanted.
    private var rest: [UInt8] = []
    /// Counts readers, so that what was under way to one does not reach the next.
    private var reader = 0

    init(_ poller: Poller, _ world: World) {
        input = HostInput(poller, world)
        self.world = world
    }

    func start(onBytes: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        let mine = reader
        world.enqueue { [self] in
            guard reader == mine else { return }
            let bytes = rest
            rest = []
            if !bytes.isEmpty { onBytes(bytes) }
            if reader == mine { input.start(onBytes: onBytes, onEnd: onEnd) }
        }
    }

    func pause() {
        reader += 1
        input.pause()
    }

    func unread(_ bytes: [UInt8]) {
        pause()
        rest = bytes + rest
    }

    func close() { pause() }
}
