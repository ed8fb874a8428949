import Glibc
import KernelClock
import KernelLoopback

/// Standard input as bytes, read only while somebody wants them: what is typed while a command runs stays with the
/// kernel, for the host command that may read it, or for the next prompt.
final class Keyboard {
    private let poller: Poller
    /// What the poller has told of may be gone by the time it is read, since Ctrl-C takes back what was typed before
    /// it: who waits for it then waits for ever. So a terminal is read without waiting.
    private let terminal = HostLimits.openTerminal()
    private var watch: DescriptorWatch?
    private var bytes: [UInt8] = []
    private var position = 0
    /// The end of input was read: Ctrl-D where the kernel edits the line, otherwise the terminal is gone.
    var hasEnded = false

    /// A paste that was broken off is still arriving.
    private var dropsPaste = false
    private var lastReadNanoseconds: Int64 = 0

    private static let readBytes = 64 * 1024
    /// What a terminal sends behind what is pasted, if it was asked to (bracketed paste).
    static let pasteEnd = "\u{1B}[201~"
    /// A pause after which what comes was typed: the kernel may have thrown the paste's end away with Ctrl-C.
    private static let pastePauseNanoseconds: Int64 = 300_000_000

    init(_ poller: Poller) { self.poller = poller }

    deinit {
        watch?.cancel()
        if let terminal { close(terminal) }
    }

    private var descriptor: Int32 { terminal ?? 0 }

    /// Whether input is wanted. Setting it again is free.
    var isOpen: Bool {
        get { watch != nil }
        set {
            if newValue == isOpen { return }
            if newValue {
                watch = DescriptorWatch(poller, descriptor) { [unowned self] _ in read() }
            } else {
                watch?.cancel()
                watch = nil
            }
        }
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: Self.readBytes)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        if count > 0 {
            bytes.removeFirst(position)
            position = 0
            bytes += buffer[..<count]
            if dropsPaste { dropPasted() }
            lastReadNanoseconds = HostClock.monotonicNanoseconds
        } else if count == 0 || errno != EINTR && errno != EAGAIN {
            hasEnded = true
            isOpen = false
        }
    }

    // MARK: Pastes that are broken off

    /// Throws away what still comes of a paste, up to its end.
    func dropRestOfPaste() {
        dropsPaste = true
        lastReadNanoseconds = HostClock.monotonicNanoseconds
        dropPasted()
    }

    private func dropPasted() {
        if HostClock.monotonicNanoseconds - lastReadNanoseconds > Self.pastePauseNanoseconds {
            dropsPaste = false
            return
        }
        let end = Array(Self.pasteEnd.utf8)
        if let range = bytes[position...].firstRange(of: end) {
            position = range.upperBound
            dropsPaste = false
        } else {
            // The mark may arrive in two pieces.
            position = max(position, bytes.count - (end.count - 1))
            if position < bytes.count, bytes[position...].firstIndex(of: 27) == nil { position = bytes.count }
        }
    }

    /// Takes what has come of a paste; bytes that may be the first of its end mark stay.
    ///
    /// - Returns: whether its end was among them.
    func takePasted(into pasted: inout [UInt8]) -> Bool {
        let end = Array(Self.pasteEnd.utf8)
        while let escape = bytes[position...].firstIndex(of: 27) {
            pasted += bytes[position..<escape]
            position = escape
            let mark = bytes[escape...].prefix(end.count)
            if mark.elementsEqual(end) {
                position += end.count
                return true
            }
            if end.starts(with: mark) { return false }
            pasted.append(27)
            position += 1
        }
        pasted += bytes[position...]
        position = bytes.count
        return false
    }

    /// A line is there, or Ctrl-D was typed ahead, at a time when the kernel did not interpret it.
    var hasLine: Bool { bytes[position...].contains { $0 == 10 || $0 == 13 || $0 == Self.endOfInput } }

    private static let endOfInput: UInt8 = 4

    /// Takes a Ctrl-D that was typed ahead and is next.
    func takeEndOfInput() -> Bool { take(Self.endOfInput) }

    /// Whether the next byte is this one.
    func begins(with byte: UInt8) -> Bool { position < bytes.count && bytes[position] == byte }

    /// Takes the next byte if it is this one.
    func take(_ byte: UInt8) -> Bool {
        guard begins(with: byte) else { return false }
        position += 1
        return true
    }

    func discard() {
        bytes = []
        position = 0
    }

    /// The next character, once all its bytes are there. What is no UTF-8 comes out as U+FFFD.
    func nextScalar() -> Unicode.Scalar? {
        guard position < bytes.count, !dropsPaste else { return nil }
        let first = bytes[position]
        let length = first < 0x80 ? 1 : first < 0xC2 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 1
        let tail = bytes[(position + 1)...].prefix(length - 1)
        let isBroken = !tail.allSatisfy { $0 & 0xC0 == 0x80 }
        if !isBroken, tail.count < length - 1 { return nil }
        var iterator = bytes[position..<position + (isBroken ? 1 : length)].makeIterator()
        var decoder = UTF8()
        switch decoder.decode(&iterator) {
        case .scalarValue(let scalar):
            position += length
            return scalar
        default:
            position += 1
            return "\u{FFFD}"
        }
    }

    /// The next line without its end, if a whole one is there.
    func nextLine() -> String? {
        guard let end = bytes[position...].firstIndex(where: { $0 == 10 || $0 == 13 || $0 == Self.endOfInput }) else {
            return nil
        }
        if bytes[end] == Self.endOfInput, end == position { return nil }
        defer { position = end + 1 }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    /// What stands after the last whole line, taken out.
    func rest() -> String {
        defer { discard() }
        return String(decoding: bytes[position...], as: UTF8.self)
    }
}
