import GatewayEngine
import KernelHosting
import KernelStructures
import KernelWire

/// Where a request goes: the path that servers see, redirects, and copies for a second service.
extension GatewayExchange {
    /// What servers are asked for; nil: as the client has it.
    func serverPath(_ live: LiveRoute, _ cluster: ServiceCluster) -> [UInt8]? {
        guard let path, let match else { return nil }
        let base = cluster.service.basePath
        let isUntouched = live.route.rewrite == nil && match.versionLength == 0 && base.isEmpty
        if isUntouched {
            return connection.head.targetPath.elementsEqual(path) ? nil : path
        }
        return Array(base.utf8) + rewritten(live.route.rewrite, path, match)
    }

    func rewritten(_ rewrite: PathRewrite?, _ path: [UInt8], _ match: RouteTable.Match) -> [UInt8] {
        let rest = path[match.versionLength...]
        let result = rewrite?.apply(to: rest, prefixLength: match.prefixLength) ?? Array(rest)
        return result.isEmpty ? [UInt8(ascii: "/")] : result
    }

    func redirect(_ redirection: RouteRedirection) {
        guard let path, let match else { return }
        let request = RouteRequest(connection.head, path: path)
        let query = request.head.targetBytes.drop { $0 != UInt8(ascii: "?") }.dropFirst()
        let location = redirection.location(
            host: request.host, port: connection.stream.local.port, isSecure: connection.isSecure,
            path: path[match.versionLength...], prefixLength: match.prefixLength, query: query)
        var head: [UInt8] = []
        HTTPWriter.statusLine(redirection.status, into: &head)
        if HTTPWriter.isSafeField(name: "Location", value: location) {
            HTTPWriter.field("Location", location, into: &head)
        }
        answer(&head, status: redirection.status, body: [])
    }

    func startMirror(_ live: LiveRoute) {
        guard let cluster = live.mirror, let settings = live.route.mirror, let match, let path,
            host.engine.mirrors(settings)
        else { return }
        let target = Array(cluster.service.basePath.utf8) + rewritten(live.route.rewrite, path, match)
        mirror = MirroredRequest(self, cluster, path: target)
        if mirror == nil { return count { $0.unmirrored += 1 } }
        if !early.isEmpty { early.withUnsafeBytes { mirror?.receive($0) } }
        if isRequestComplete || connection.bodyFraming == .none { sendMirror() }
    }

    func sendMirror() {
        guard let mirror else { return }
        self.mirror = nil
        let isSent = host.send(mirror)
        count { if isSent { $0.mirrored += 1 } else { $0.unmirrored += 1 } }
    }
}
