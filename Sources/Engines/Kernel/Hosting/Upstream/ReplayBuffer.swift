/// What has come of a request's body and may be needed once more: because there is no connection yet, or because the
/// attempt that got it may fail in a way that allows another.
///
/// A proxy that keeps nothing cannot send a body twice; one that keeps everything holds as much memory as its clients
/// like. So the beginning is kept, up to a limit, and given up as a whole once there is more.
struct ReplayBuffer {
    private(set) var bytes: [UInt8] = []
    /// Whether `bytes` is all that has come so far.
    private(set) var isWhole = true

    /// Bytes of a body that are kept for another attempt.
    static let limitBytes = 64 * 1024

    /// Takes a piece that cannot be sent yet: at most one read of the connection more than the limit, if reading
    /// pauses.
    mutating func hold(_ piece: UnsafeRawBufferPointer) { bytes.append(contentsOf: piece) }

    /// All of it has been sent. It stays only if it may be sent again.
    mutating func sent(mayRepeat: Bool) {
        if !bytes.isEmpty, !mayRepeat || bytes.count > Self.limitBytes { giveUp() }
    }

    /// One more piece was sent.
    mutating func sent(_ piece: UnsafeRawBufferPointer, mayRepeat: Bool) {
        guard isWhole else { return }
        if mayRepeat, bytes.count + piece.count <= Self.limitBytes {
            bytes.append(contentsOf: piece)
        } else {
            giveUp()
        }
    }

    /// There will be no other attempt.
    mutating func giveUp() {
        isWhole = false
        bytes = []
    }

    /// Begins with another request.
    mutating func reset() {
        isWhole = true
        if !bytes.isEmpty { bytes = [] }
    }
}
