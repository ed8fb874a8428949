import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// Thin, checked forms of the socket calls. Every socket is non-blocking and closed on exec.
enum Socket {
    private static let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)

    static func listening(at endpoint: Endpoint, sharesPort: Bool = false) throws(NetworkError) -> Int32 {
        let fd = socket(AF_INET, kind, 0)
        guard fd >= 0 else { throw .system("socket: \(errorText(errno))") }
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        if sharesPort { set(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
        let bound = withAddress(endpoint) { bind(fd, $0, $1) }
        if bound == 0, listen(fd, 4096) == 0 { return fd }
        let code = errno
        close(fd)
        switch code {
        case EADDRINUSE: throw .addressInUse(endpoint)
        case EACCES: throw .notPermitted(endpoint)
        default: throw .system("\(endpoint): \(errorText(code))")
        }
    }

    /// A socket on its way to `endpoint`.
    static func connecting(to endpoint: Endpoint, from source: IPv4Address?) throws(NetworkError) -> Int32 {
        let fd = socket(AF_INET, kind, 0)
        guard fd >= 0 else { throw .system("socket: \(errorText(errno))") }
        set(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if let source {
            set(fd, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
            _ = withAddress(Endpoint(source, 0)) { bind(fd, $0, $1) }
        }
        if withAddress(endpoint, { connect(fd, $0, $1) }) == 0 || errno == EINPROGRESS || errno == ECONNREFUSED {
            return fd
        }
        let code = errno
        close(fd)
        throw .system("\(endpoint): \(errorText(code))")
    }

    /// The next connection that waits, already non-blocking.
    static func accept(_ listener: Int32) -> (descriptor: Int32, remote: Endpoint)? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                accept4(listener, $0, &length, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
            }
        }
        guard fd >= 0 else { return nil }
        // Clients of a unix socket have no address; they are on this machine.
        guard address.sin_family == sa_family_t(AF_INET) else { return (fd, Endpoint(.loopback, 0)) }
        set(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return (fd, endpoint(address))
    }

    static func localEndpoint(_ fd: Int32) -> Endpoint? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &length) }
        }
        return result == 0 ? endpoint(address) : nil
    }

    /// The error that the kernel holds ready for the socket; 0 if there is none.
    static func pendingError(_ fd: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length)
        return code
    }

    static func closeWithReset(_ fd: Int32) {
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
        close(fd)
    }

    private static func set(_ fd: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func endpoint(_ address: sockaddr_in) -> Endpoint {
        Endpoint(IPv4Address(bits: UInt32(bigEndian: address.sin_addr.s_addr)), UInt16(bigEndian: address.sin_port))
    }

    private static func withAddress<R>(_ endpoint: Endpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = endpoint.port.bigEndian
        address.sin_addr.s_addr = endpoint.address.bits.bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
