import CommandKit
import KernelConfiguration
import KernelStructures
import LoadBalancerEngine
import ShellSession

/// Where a load balancer's configuration comes from: a file, which can be read again, or the command line.
struct BalancerSource {
    /// nil if the command line says it all.
    let file: String?
    private let path: String
    private let list: String?
    private let mode: LoadBalancerConfiguration.Mode?
    private let session: Session

    init(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        session = invocation.session
        file = arguments.text("config")
        list = arguments.text("backends")
        guard (file == nil) != (list == nil) else {
            throw UsageError("loadbalancer: which backends? add --config lb.yaml or --backends 8081,8082 (one of them)")
        }
        // The terminal may change its directory before the file is read again.
        path = file.map { invocation.session.files.absolute($0) } ?? ""
        mode = arguments.text("mode").flatMap(LoadBalancerConfiguration.Mode.init)
    }

    /// The file's bytes; nil if it cannot be read.
    func bytes() -> [UInt8]? { file == nil ? nil : try? session.files.read(path) }

    /// - Throws: `CommandFailure` with the place in the file, `UsageError`.
    func read() throws -> LoadBalancerConfiguration {
        var configuration = try file == nil ? readList() : readFile()
        if let mode { configuration.mode = mode }
        return configuration
    }

    private func readFile() throws -> LoadBalancerConfiguration {
        let bytes: [UInt8]
        do {
            bytes = try session.files.read(path)
        } catch {
            throw CommandFailure("\(error)".replacingPrefix(path, with: file!))
        }
        do {
            return try LoadBalancerConfiguration(yaml: bytes, file: file!)
        } catch {
            throw CommandFailure(error.description)
        }
    }

    private func readList() throws -> LoadBalancerConfiguration {
        let words = list!.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
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
        return "\(file ?? "configuration"): OK, mode \(configuration.mode.rawValue), "
            + "\(configuration.algorithm.rawValue), \(count) backend\(count == 1 ? "" : "s")\n"
    }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String, with other: String) -> String {
        hasPrefix(prefix) ? other + dropFirst(prefix.count) : self
    }
}
