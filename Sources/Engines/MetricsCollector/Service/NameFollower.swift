import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import MetricsCollectorEngine
import TimeSeriesEngine

/// The targets that a name in the DNS stands for, asked again and again: `dns_sd_configs`.
///
/// A name that does not exist, or has no such record, stands for no targets. A server that does not answer, or answers
/// with a failure, says nothing about them, and what it said before still holds.
final class NameFollower {
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    private let node: Node
    private let name: DNSName
    private let discovery: ScrapeConfiguration.DNSDiscovery
    private let onAnswer: (Result<[TargetGroup], Trouble>) -> Void
    private var query: DNSQuery?

    init(
        _ node: Node, _ name: DNSName, _ discovery: ScrapeConfiguration.DNSDiscovery,
        onAnswer: @escaping (Result<[TargetGroup], Trouble>) -> Void
    ) {
        self.node = node
        self.name = name
        self.discovery = discovery
        self.onAnswer = onAnswer
    }

    /// Asks, unless it is still asking.
    func ask() {
        guard query == nil else { return }
        var message = DNSMessage(id: 0)
        message.wantsRecursion = true
        message.questions = [.init(name, discovery.kind.type)]
        message.edns = .init(payloadBytes: DNSMessage.EDNS.usualPayloadBytes)
        let query = DNSQuery(node, server: discovery.server, message: message) { [weak self] result in
            guard let self else { return }
            self.query = nil
            onAnswer(targets(result))
        }
        self.query = query
        query.start()
    }

    func stop() {
        query?.cancel()
        query = nil
    }

    private func targets(_ result: Result<DNSQuery.Answer, DNSQuery.Failure>) -> Result<[TargetGroup], Trouble> {
        switch result {
        case .failure(let failure): return .failure(Trouble(description: "\(discovery.server): \(failure)"))
        case .success(let answer):
            switch answer.message.code {
            case .noError: return .success(discovery.groups(of: name, in: answer.message))
            case .nameError: return .success([])
            case let code: return .failure(Trouble(description: "\(discovery.server): \(name) \(code)"))
            }
        }
    }
}
