import KernelStructures

/// What a connection tells its owner. Bytes are only valid during the call.
public protocol StreamHandler: AnyObject {
    func streamOpened(_ stream: Stream)
    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer)
    /// So many bytes have gone the way of `Stream.forwardsTo` without passing here.
    func stream(_ stream: Stream, forwarded byteCount: Int)
    /// The peer will send no more; this side may go on.
    func streamEnded(_ stream: Stream)
    /// A stream that was congested has room again.
    func streamDrained(_ stream: Stream)
    /// The connection is over, or never came to be. The last call.
    func stream(_ stream: Stream, closed reason: CloseReason)
    /// The node's life is over, and the process that this handler was part of is gone; the last call, too. Nothing can
    /// be done any more: this is for letting go of those who hold this handler in their turn.
    func streamLost(_ stream: Stream)
}

extension StreamHandler {
    public func streamOpened(_ stream: Stream) {}
    public func stream(_ stream: Stream, forwarded byteCount: Int) {}
    public func streamEnded(_ stream: Stream) { stream.close() }
    public func streamDrained(_ stream: Stream) {}
    public func stream(_ stream: Stream, closed reason: CloseReason) {}
    public func streamLost(_ stream: Stream) {}
}

/// A fault that understands a protocol, on the accepting side of a connection.
public protocol StreamInterceptor: AnyObject {
    /// The fault this interceptor works for.
    var fault: any ProtocolFault { get }
    /// Whether it could leave the connection now without harm.
    var isIdle: Bool { get }
    /// The fault is over: whatever is not decided yet is to pass.
    func faultEnded()
    /// Bytes from the connecting side. Nothing reaches the handler but what is passed on.
    func inbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream)
    /// Bytes from the handler. Nothing reaches the connecting side but what is passed on.
    func outbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream)
}

/// What an interceptor can do with its connection.
public struct InterceptedStream {
    let stream: Stream
    let index: Int

    /// On towards the handler.
    public func passInbound(_ bytes: UnsafeRawBufferPointer) {
        guard !stream.isClosed else { return }
        stream.intercept(inbound: bytes, from: index + 1)
    }

    /// On towards the connecting side.
    public func passOutbound(_ bytes: UnsafeRawBufferPointer) {
        guard !stream.isClosed else { return }
        stream.intercept(outbound: bytes, from: stream.interceptorCount - index)
    }

    public func reset() { stream.resetByFault() }
}
