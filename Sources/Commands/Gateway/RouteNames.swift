import CommandServices
import GatewayEngine
import GatewayService
import ShellSession

/// The paths of a gateway's routes, for completion, each as far as it is the same for all requests.
extension GatewayHost: NameGiving {
    package func names(of kind: NameKind, beginningWith prefix: String, limit: Int)
        -> [(name: String, summary: String)]
    {
        guard kind == .route else { return [] }
        let all = configuration.routes.flatMap { route in
            let methods = route.methods.isEmpty ? "" : route.methods.joined(separator: ",") + " "
            return route.paths.map { path in
                let text = path.description
                return (
                    name: String(text.prefix { !"{*".contains($0) }),
                    summary: "\(methods)\(text) → \(route.destinationText)"
                )
            }
        }
        return Array(all.filter { $0.name.hasPrefix(prefix) }.prefix(limit))
    }
}
