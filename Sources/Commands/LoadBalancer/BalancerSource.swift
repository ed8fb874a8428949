import CommandKit
import CommandServices
import KernelConfiguration
import KernelService
import KernelStorage
import KernelStructures
import LoadBalancerEngine
import LoadBalancerService
import ShellSession

/// Where a load balancer's configuration comes from: a file, which can be read again, or the command line.
struct BalancerSource {
    /// nil if the command line says it all.
    private let file: ConfigurationArgument?
    private let list: String?
    private let session: Session
    private let mode: LoadBalancerConfiguration.Mode?
    /// Where its servers are found out, if they are.
    let discovery: LoadBalancerHost.Discovery?

    init(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        session = invocation.session
        file = ConfigurationArgument(invocation)
        list = arguments.text("backends")
        discovery = try Self.discovery(arguments)
        guard (file == nil) != (list == nil) || discovery != nil && list == nil else {
            throw UsageError("loadbalancer: which backends? add --config lb.yaml or --backends 8081,8082 (one of them)")
        }
        mode = arguments.text("mode").flatMap(LoadBalancerConfiguration.Mode.init)
    }

    private static func discovery(_ arguments: ParsedArguments) throws(UsageError) -> LoadBalancerHost.Discovery? {
        guard let service = arguments.text("discover") else {
            guard !arguments.has("registry") else {
                throw UsageError("loadbalancer: --registry needs a service to ask for; add --discover payment-api")
            }
            return nil
        }
        guard !service.isEmpty, service.utf8.count <= 512 else {
            throw UsageError("loadbalancer: --discover: '\(service.prefix(80))' is no service's name")
        }
        let registry = arguments.endpoint("registry") ?? HostPort(host: "localhost", port: 8500)
        return .init(service: service, registry: registry)
    }

    /// A file that the configuration names, seen from where the configuration is.
    func readFile(_ name: String) throws -> [UInt8] {
        guard let file else { throw CommandFailure("\(name): there is no configuration that could name a file") }
        return try file.read(named: file.name(ofFile: name))
    }

    /// - Throws: `CommandFailure` with the place in the file, `UsageError`.
    func configuration() throws -> ConfigurationSource<LoadBalancerConfiguration> {
        guard let file else {
            let flag = list == nil ? "--discover" : "--backends"
            return .init(fixed: try read(), because: "it was started with \(flag)")
        }
        return .init(try read(), read: read, bytes: file.bytes)
    }

    private func read() throws -> LoadBalancerConfiguration {
        var configuration = try file?.read { try LoadBalancerConfiguration(yaml: $0, file: $1) } ?? readList()
        if let mode { configuration.mode = mode }
        return configuration
    }

    private func readList() throws -> LoadBalancerConfiguration {
        guard let list else { return LoadBalancerConfiguration(backends: []) }
        let words = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        var backends: [LoadBalancerConfiguration.Backend] = []
        for word in words {
            guard let destination = HostPort(parsingServer: word) else {
                throw UsageError("loadbalancer: --backends: '\(word)' is neither a port nor host:port")
            }
            let name = LoadBalancerConfiguration.Backend.name(of: destination, word)
            if backends.contains(where: { $0.name == name }) {
                throw UsageError("loadbalancer: --backends: '\(word)' stands there twice")
            }
            backends.append(.init(name: name, destination: destination))
        }
        return LoadBalancerConfiguration(backends: backends)
    }

    /// What `--check` says.
    func summary(_ configuration: LoadBalancerConfiguration) -> String {
        let count = configuration.backends.count
        return "\(file?.name ?? "configuration"): OK, mode \(configuration.mode.rawValue), "
            + "\(configuration.algorithm.rawValue), \(count) backend\(count == 1 ? "" : "s")\n"
    }
}
