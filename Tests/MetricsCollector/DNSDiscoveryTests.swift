import KernelStructures
import KernelWire
import Testing

@testable import MetricsCollectorEngine

/// What an answer of the DNS says about targets.
@Suite struct DNSDiscoveryTests {
    private static let name = DNSName(parsing: "_web._tcp.service.consul")!
    private static let targets = ["b.node.consul", "a.node.consul", "c.node.consul"].map { DNSName(parsing: $0)! }

    private func discovery(_ more: String = "") throws -> ScrapeConfiguration.DNSDiscovery {
        let text = """
            scrape_configs:
              - job_name: j
                dns_sd_configs: [{names: [_web._tcp.service.consul]\(more)}]
            """
        let configuration = try CollectorConfiguration(yaml: Array(text.utf8), file: "c.yaml")
        return try #require(configuration.scrapes.first?.dnsDiscoveries.first)
    }

    private var answer: DNSMessage {
        var answer = DNSMessage(id: 1)
        answer.answers = Self.targets.enumerated().map { index, target in
            DNSRecord(
                Self.name, ttlSeconds: 0, .srv(priority: 1, weight: 1, port: UInt16(8080 + index), target: target))
        }
        answer.answers.append(DNSRecord(Self.name, ttlSeconds: 0, .a(IPv4Address(10, 0, 0, 9))))
        answer.answers.append(
            DNSRecord(Self.name, ttlSeconds: 0, .aaaa(IPAddress(parsing: "fd00::9")!.ipv6)))
        answer.additional = [DNSRecord(Self.targets[1], ttlSeconds: 0, .a(IPv4Address(10, 0, 0, 2)))]
        return answer
    }

    // @covers MET-C2
    @Test func recordsOfTheTypeAreTargetsInAnOrderOfTheirOwn() throws {
        let groups = try discovery().groups(of: Self.name, in: answer)
        #expect(groups.map(\.addresses) == [["10.0.0.2:8081"], ["b.node.consul:8080"], ["c.node.consul:8082"]])
        #expect(groups[1].labels["__meta_dns_name"] == "_web._tcp.service.consul")
        #expect(groups[1].labels["__meta_dns_srv_record_target"] == "b.node.consul.")
        #expect(groups[1].labels["__meta_dns_srv_record_port"] == "8080")
        let four = try discovery(", type: A, port: 80").groups(of: Self.name, in: answer)
        #expect(four.map(\.addresses) == [["10.0.0.9:80"]])
        let six = try discovery(", type: AAAA, port: 80").groups(of: Self.name, in: answer)
        #expect(six.map(\.addresses) == [["[fd00::9]:80"]])
    }

    @Test(arguments: [
        (", type: A", "port is missing: A has none"), (", server: nowhere", "server 'nowhere' is no host:port"),
        (", names: [a..b]", "names"), (", type: MX", "MX"), (", port: 65536", "65536"),
    ])
    func whatCannotBeAskedIsRefused(_ more: String, reason: String) {
        do {
            _ = try discovery(more)
            Issue.record("\(more) was taken")
        } catch {
            #expect("\(error)".contains(reason), "\(error)")
        }
    }
}
