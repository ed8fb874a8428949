import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// Thin, checked forms of the socket calls. Every socket is non-blocking and closed on exec.
enum Socket {
    private static let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)

    static func listening(at endpoint: Endpoint, sharesPort: Bool = false) throws(NetworkError) -> Int32 {
        let fd = socket(family(endpoint), kind, 0)
        guard fd >= 0 else { throw .system("socket: \(errorText(errno))") }
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        if sharesPort { set(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
        // Who asks for every address of IPv6 means every address.
        if endpoint.address.isIPv6 {
            set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, endpoint.address == .any6 ? 0 : 1)
        }
        let bound = withAddress(endpoint) { bind(fd, $0, $1) }
        if bound == 0, listen(fd, 4096) == 0 { return fd }
        let code = errno
        close(fd)
        throw bindError(code, endpoint)
    }

    static func bindError(_ code: Int32, _ endpoint: Endpoint) -> NetworkError {
        switch code {
        case EADDRINUSE: .addressInUse(endpoint)
        case EACCES: .notPermitted(endpoint)
        default: .system("\(endpoint): \(errorText(code))")
        }
    }

    /// A socket on its way to `endpoint`.
    static func connecting(to endpoint: Endpoint, from source: IPAddress?) throws(NetworkError) -> Int32 {
        let fd = socket(family(endpoint), kind, 0)
        guard fd >= 0 else { throw connectError(errno, endpoint) }
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
        throw connectError(code, endpoint)
    }

    /// Descriptors, memory and ports that this process has used up are told from what is wrong with the way or its end.
    private static func connectError(_ code: Int32, _ endpoint: Endpoint) -> NetworkError {
        switch code {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL: .exhausted("\(endpoint): \(errorText(code))")
        default: .system("\(endpoint): \(errorText(code))")
        }
    }

    /// The next connection that waits, already non-blocking.
    static func accept(_ listener: Int32) -> (descriptor: Int32, remote: Endpoint)? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let fd = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                accept4(listener, $0, &length, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
            }
        }
        guard fd >= 0 else { return nil }
        // Clients of a unix socket have no address; they are on this machine.
        guard let remote = endpoint(address) else { return (fd, Endpoint(.loopback, 0)) }
        set(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return (fd, remote)
    }

    static func localEndpoint(_ fd: Int32) -> Endpoint? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
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

    static func set(_ fd: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    // MARK: Addresses

    static func family(_ endpoint: Endpoint) -> Int32 { endpoint.address.isIPv4 ? AF_INET : AF_INET6 }

    /// Nil for what is no address of the internet.
    static func endpoint(_ address: sockaddr_storage) -> Endpoint? {
        withUnsafePointer(to: address) { pointer in
            switch Int32(address.ss_family) {
            case AF_INET:
                pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    Endpoint(
                        IPv4Address(bits: UInt32(bigEndian: $0.pointee.sin_addr.s_addr)),
                        UInt16(bigEndian: $0.pointee.sin_port))
                }
            case AF_INET6:
                pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    Endpoint(address6($0.pointee.sin6_addr), UInt16(bigEndian: $0.pointee.sin6_port))
                }
            default: nil
            }
        }
    }

    static func address6(_ address: in6_addr) -> IPv6Address {
        withUnsafeBytes(of: address) {
            IPv6Address(
                high: UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    /// - Parameter asIPv6: for a socket of that family, which knows IPv4 addresses as mapped ones.
    static func withAddress<R>(
        _ endpoint: Endpoint, asIPv6: Bool = false, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
    ) -> R {
        if !asIPv6, let ipv4 = endpoint.address.ipv4 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = endpoint.port.bigEndian
            address.sin_addr.s_addr = ipv4.bits.bigEndian
            return withGeneric(&address, body)
        }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = endpoint.port.bigEndian
        withUnsafeMutableBytes(of: &address.sin6_addr) {
            $0.storeBytes(of: endpoint.address.high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: endpoint.address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return withGeneric(&address, body)
    }

    private static func withGeneric<A, R>(
        _ address: inout A, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
    ) -> R {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<A>.size)) }
        }
    }
}
