import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// The calls for datagrams, thin and checked.
extension Socket {
    private static let datagramKind = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)

    static func datagrams(at endpoint: Endpoint, sharesPort: Bool = false) throws(NetworkError) -> Int32 {
        let fd = socket(family(endpoint), datagramKind, 0)
        guard fd >= 0 else { throw .system("socket: \(errorText(errno))") }
        if sharesPort { set(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
        if endpoint.address.isIPv6 {
            set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, endpoint.address == .any6 ? 0 : 1)
            set(fd, Int32(IPPROTO_IPV6), Int32(SDLAB_IPV6_RECEIVE_ERRORS), 1)
        }
        // Without it the kernel keeps to itself that a port is nobody's.
        set(fd, Int32(IPPROTO_IP), Int32(SDLAB_IP_RECEIVE_ERRORS), 1)
        if withAddress(endpoint, { bind(fd, $0, $1) }) == 0 { return fd }
        let code = errno
        close(fd)
        throw bindError(code, endpoint)
    }

    /// - Returns: false if the kernel did not take it.
    static func send(_ bytes: [UInt8], _ fd: Int32, to remote: Endpoint, isIPv6: Bool) -> Bool {
        // An error that an earlier one brought back is told by the next call, once, whatever that one is.
        for _ in 0..<4 {
            let count = bytes.withUnsafeBytes { buffer in
                withAddress(remote, asIPv6: isIPv6) {
                    sendto(fd, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL), $0, $1)
                }
            }
            if count == bytes.count { return true }
            if errno != EINTR, errno != ECONNREFUSED { return false }
        }
        return false
    }

    /// The next datagram that waits; nil if there is none.
    static func receiveDatagram(_ fd: Int32, into buffer: UnsafeMutableRawBufferPointer) -> (Int, Endpoint)? {
        for _ in 0..<64 {
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(fd, buffer.baseAddress, buffer.count, 0, $0, &length)
                }
            }
            if count >= 0, let remote = endpoint(address) { return (count, remote) }
            if count < 0, errno == EAGAIN { return nil }
        }
        return nil
    }

    /// Whom the next error in the socket's queue speaks of; nil if there is none.
    static func nextRefusal(_ fd: Int32) -> Endpoint? {
        var address = sockaddr_storage()
        var control = [UInt8](repeating: 0, count: 512)
        var first: UInt8 = 0
        let count = withUnsafeMutablePointer(to: &address) { address in
            control.withUnsafeMutableBytes { control in
                withUnsafeMutablePointer(to: &first) { first in
                    var piece = iovec(iov_base: first, iov_len: 1)
                    return withUnsafeMutablePointer(to: &piece) { piece in
                        var message = msghdr()
                        message.msg_name = UnsafeMutableRawPointer(address)
                        message.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
                        message.msg_iov = piece
                        message.msg_iovlen = 1
                        message.msg_control = control.baseAddress
                        message.msg_controllen = control.count
                        return recvmsg(fd, &message, Int32(SDLAB_ERROR_QUEUE))
                    }
                }
            }
        }
        return count < 0 ? nil : endpoint(address)
    }

    /// Datagrams that the kernel dropped at this socket because its queue was full (`SO_MEMINFO`, Linux 4.12).
    static func dropCount(_ fd: Int32) -> Int {
        var values = [UInt32](repeating: 0, count: 16)
        var length = socklen_t(values.count * 4)
        guard getsockopt(fd, SOL_SOCKET, Int32(SDLAB_SOCKET_MEMORY), &values, &length) == 0 else { return 0 }
        let place = Int(SDLAB_SOCKET_MEMORY_DROPS)
        return place * 4 < Int(length) ? Int(values[place]) : 0
    }
}
