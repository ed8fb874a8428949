import CSystem
import Glibc
import KernelWorld

/// A pipe through which bytes go from one socket to another without passing through this program's memory: the kernel
/// moves references to its own pages (`splice(2)`).
///
/// It pays for large amounts only. Moving 64 KB costs two system calls, as reading and writing it would, but no copy:
/// at 1 MiB that is a third of the work. A hundred bytes are copied faster than their page is looked after.
final class SplicePipe {
    private var input: Int32
    private var output: Int32
    /// Bytes it can hold.
    let capacity: Int
    /// Bytes in it.
    private(set) var count = 0

    /// What is asked for; the kernel may refuse it to a user who has many pipes, and 64 KB do as well.
    private static let wantedBytes = 256 * 1024
    private static let flags = UInt32(SDLAB_SPLICE_MOVE | SDLAB_SPLICE_NONBLOCK)

    /// Nil if there is no descriptor to spare.
    init?() {
        var ends: [Int32] = [0, 0]
        guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { return nil }
        (output, input) = (ends[0], ends[1])
        let granted = fcntl(input, Int32(SDLAB_SET_PIPE_SIZE), Int32(Self.wantedBytes))
        capacity = granted > 0 ? Int(granted) : 64 * 1024
    }

    deinit {
        close(input)
        close(output)
    }

    enum Outcome { case moved(Int), ended, wouldBlock, failed(Int32) }

    func fill(from socket: Int32) -> Outcome {
        let outcome = Self.move(socket, input, capacity - count)
        if case .moved(let moved) = outcome { count += moved }
        return outcome
    }

    func empty(into socket: Int32) -> Outcome {
        let outcome = Self.move(output, socket, count)
        if case .moved(let moved) = outcome { count -= moved }
        return outcome
    }

    private static func move(_ from: Int32, _ to: Int32, _ limit: Int) -> Outcome {
        while true {
            let moved = splice(from, nil, to, nil, limit, flags)
            if moved > 0 { return .moved(moved) }
            if moved == 0 { return .ended }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .failed(errno)
            }
        }
    }
}

/// Pipes that are open, in use or spare.
struct SplicePipePool {
    private var spare: [SplicePipe] = []
    private var inUse = 0

    /// Each takes two descriptors; whoever gets none copies.
    private static let limit = 256
    private static let spareLimit = 16

    mutating func take() -> SplicePipe? {
        guard inUse < Self.limit, let pipe = spare.popLast() ?? SplicePipe() else { return nil }
        inUse += 1
        return pipe
    }

    /// One with bytes in it is of no use to anybody else.
    mutating func give(_ pipe: SplicePipe) {
        inUse -= 1
        if pipe.count == 0, spare.count < Self.spareLimit { spare.append(pipe) }
    }
}
