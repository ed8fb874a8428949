import Glibc
import KernelStructures
import KernelWorld

extension SocketTransport {
    public func bind(_ socket: DatagramSocket) throws(NetworkError) -> UInt16 {
        let node = socket.node
        var descriptors: [(Int32, isIPv6: Bool)] = []
        let first: Int32
        if isWholeHost, socket.port == 0 {
            // A client's: wherever its datagrams go, the kernel finds it an address.
            let both = try? Socket.datagrams(at: Endpoint(.any6, 0))
            first = if let both { both } else { try Socket.datagrams(at: Endpoint(.any, 0)) }
            descriptors.append((first, both != nil))
        } else {
            first = try boundDatagrams(socket)
            descriptors.append((first, node.address.isIPv6))
        }
        let local = Socket.localEndpoint(first) ?? Endpoint(node.address, socket.port)
        if case .lab(exposesLocalhost: true) = place, socket.ownsLocalhost {
            descriptors += localhostDatagrams(socket)
        }
        socket.transport = DatagramEnd(socket, descriptors: descriptors, local: local, transport: self)
        return socket.port == 0 ? local.port : socket.port
    }

    /// At the node's own address; at another port if this user may not have that one.
    private func boundDatagrams(_ socket: DatagramSocket) throws(NetworkError) -> Int32 {
        let address = socket.node.address
        do throws(NetworkError) {
            return try Socket.datagrams(at: Endpoint(address, socket.port), sharesPort: sharesPorts)
        } catch  where !isWholeHost && error.isPortTrouble {
            let mapped = UInt16(truncatingIfNeeded: Int(socket.port) + Self.mappingOffset)
            let descriptor: Int32
            do throws(NetworkError) {
                descriptor = try Socket.datagrams(at: Endpoint(address, mapped))
            } catch {
                descriptor = try Socket.datagrams(at: Endpoint(address, 0))
            }
            socket.mappedPort = Socket.localEndpoint(descriptor)?.port
            return descriptor
        }
    }

    private func localhostDatagrams(_ socket: DatagramSocket) -> [(Int32, isIPv6: Bool)] {
        let port = socket.mappedPort ?? socket.port
        do throws(NetworkError) {
            var found = [(try Socket.datagrams(at: Endpoint(.loopback, port)), isIPv6: false)]
            if let other = try? Socket.datagrams(at: Endpoint(.loopback6, port)) { found.append((other, true)) }
            if port != socket.port {
                notice(socket.port, "port \(socket.port)/udp is mapped: outside the lab it is localhost:\(port)")
            }
            return found
        } catch {
            notice(
                socket.port,
                "localhost:\(port)/udp belongs to a program outside the lab; there, \(socket.node.name) is \(socket.node.address):\(port)"
            )
            return []
        }
    }

    public func carry(_ datagram: Datagram, to socket: DatagramSocket) {
        guard let near = datagram.socket.transport as? DatagramEnd, let far = socket.transport as? DatagramEnd else {
            // Its sender is gone, and its socket with it; the datagram was on its way already.
            _ = network.postpone(
                datagram.bytes, for: .zero, at: socket, from: datagram.shown, cause: datagram.cause)
            return
        }
        guard near.send(datagram.bytes, to: far.local) else { return network.lose(datagram) }
        datagramLedger.sent(
            .init(
                source: near.local, byteCount: datagram.bytes.count, shown: datagram.shown, cause: datagram.cause),
            far.flow)
        if far.flow.byteCount >= DatagramEnd.pullBytes || far.flow.count >= DatagramEnd.pullCount { far.pull() }
    }
}
