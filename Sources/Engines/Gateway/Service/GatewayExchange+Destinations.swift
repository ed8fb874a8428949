import GatewayEngine
import KernelHosting
import KernelStructures
import KernelWire

/// Where a request goes: the path that servers see, redirects, and copies for a second service.
extension GatewayExchange {
    /// What servers are asked for; nil: as the client has it.
    func serverPath(_ live: LiveRoute, _ cluster: ServiceCluster) -> [UInt8]? {
        guard let request, let match else { return nil }
        let base = cluster.service.basePath
        let isUntouched = live.route.rewrite == nil && match.versionLength == 0 && base.isEmpty
        if isUntouched {
            let given = connection.head.targetPath
            return given.elementsEqual(request.path) ? nil : request.path
        }
        return Array(base.utf8) + rewritten(live.route.rewrite, request, match)
    }

    func rewritten(_ rewrite: PathRewrite?, _ request: RouteRequest, _ match: RouteTable.Match) -> [UInt8] {
        let path = request.path[match.versionLength...]
        let result = rewrite?.apply(to: path, prefixLength: match.prefixLength) ?? Array(path)
        return result.isEmpty ? [UInt8(ascii: "/")] : result
    }

    func redirect(_ redirection: RouteRedirection) {
        guard let request, let match else { return }
        let query = connection.head.targetBytes.drop { $0 != UInt8(ascii: "?") }.dropFirst()
        let location = redirection.location(
            host: request.host, port: connection.stream.local.port, isSecure: connection.isSecure,
            path: request.path[match.versionLength...], prefixLength: match.prefixLength, query: query)
        var head: [UInt8] = []
        HTTPWriter.statusLine(redirection.status, into: &head)
        if HTTPWriter.isSafeField(name: "Location", value: location) {
            HTTPWriter.field("Location", location, into: &head)
        }
        answer(&head, status: redirection.status, body: [])
    }

    func startMirror(_ live: LiveRoute) {
        guard let settings = live.route.mirror, let cluster = live.mirror, let match, let request,
            host.engine.mirrors(settings)
        else { return }
        let path = Array(cluster.service.basePath.utf8) + rewritten(live.route.rewrite, request, match)
        mirror = MirroredRequest(self, cluster, path: path)
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
