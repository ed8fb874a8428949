import KernelStructures
import KernelWire

/// The catalogue as a zone of DNS.
///
/// | name                                     | has                                                     |
/// |------------------------------------------|---------------------------------------------------------|
/// | `[TAG.]NAME.service[.DC].consul`         | A, AAAA, SRV of the instances that are not critical      |
/// | `_NAME._TAG.service[.DC].consul`         | the same; `_tcp` means any tag (RFC 2782)               |
/// | `NODE.node[.DC].consul`                  | A or AAAA, TXT of its metadata                          |
/// | `7f000001.addr[.DC].consul`              | the address that is its name, for SRV to point at        |
/// | `consul`, `ns.consul`                    | SOA and NS; the registry's address                      |
/// | `1.0.0.127.in-addr.arpa`                 | PTR of a node, or a service, with that address          |
///
/// An SRV record points at a *name* (RFC 2782), so there is one for each address, and its address comes along in the
/// additional section. A name that exists without records of the type that was asked for is NODATA, one that does not
/// exist is NXDOMAIN, both with the zone's SOA (RFC 2308); what is not below a zone of ours is refused.
public struct RegistryZone {
    private let catalog: RegistryCatalog
    private let settings: RegistrySettings
    private let query: DNSMessage
    private let question: DNSMessage.Question
    /// The zone as the question spells it.
    private let zone: DNSName
    private var response: DNSMessage

    /// Answers a query.
    ///
    /// - Parameter random: for the order of answers, which spreads clients that only take the first.
    /// - Returns: the answer, and the service that it is about, if it is about one.
    public static func answer(
        _ query: DNSMessage, _ catalog: RegistryCatalog, _ settings: RegistrySettings, random: inout SeededRandom
    ) -> (response: DNSMessage, service: String?) {
        var response = DNSMessage(answering: query)
        if query.edns != nil { response.edns = .init(payloadBytes: DNSMessage.EDNS.usualPayloadBytes) }
        if let code = complaint(query) {
            response.code = code
            return (response, nil)
        }
        let question = query.questions[0]
        if let answer = reverse(question, catalog, settings) {
            response.isAuthoritative = true
            response.answers = answer
            return (response, nil)
        }
        let zones = settings.domains.compactMap { DNSName(parsing: $0) }
        guard let zone = zones.first(where: { question.name.isWithin($0) }) else {
            response.code = .refused
            return (response, nil)
        }
        let suffix = question.name.labels.suffix(zone.labels.count)
        response.isAuthoritative = true
        var one = RegistryZone(
            catalog: catalog, settings: settings, query: query, question: question,
            zone: DNSName(labels: suffix) ?? zone, response: response)
        let service = one.resolve(&random)
        return (one.response, service)
    }

    private static func complaint(_ query: DNSMessage) -> DNSMessage.ResponseCode? {
        if query.opcode != 0 { return .notImplemented }
        if query.questions.count != 1 { return .formatError }
        if let edns = query.edns, edns.version > 0 { return .badVersion }
        let question = query.questions[0]
        if question.recordClass != .internet && question.recordClass != .any || question.type == .axfr {
            return .refused
        }
        return nil
    }

    // MARK: Names

    private enum Kind: String { case service, node, addr }

    /// - Returns: the service that was asked for.
    private mutating func resolve(_ random: inout SeededRandom) -> String? {
        var words = question.name.words
        words.removeLast(zone.labels.count)
        if words.isEmpty {
            answerApex()
            return nil
        }
        if words == ["ns"] {
            answer(addresses: [settings.address], of: question.name)
            finish(exists: true)
            return nil
        }
        guard let kind = takeKind(&words) else {
            // A datacenter, alone or before its kind: there are names below it.
            finish(exists: words == [settings.datacenter.lowercased()])
            return nil
        }
        if words.isEmpty {
            finish(exists: true)
            return nil
        }
        switch kind {
        case .node: answerNode(words.joined(separator: "."))
        case .addr: answerAddress(words)
        case .service: return answerService(words, &random)
        }
        return nil
    }

    /// Takes `KIND` or `KIND.DC` from the end; nil if neither stands there.
    private func takeKind(_ words: inout [String]) -> Kind? {
        if let kind = Kind(rawValue: words[words.count - 1]) {
            words.removeLast()
            return kind
        }
        guard words.count >= 2, words[words.count - 1] == settings.datacenter.lowercased(),
            let kind = Kind(rawValue: words[words.count - 2])
        else { return nil }
        words.removeLast(2)
        return kind
    }

    private func wants(_ type: DNSType) -> Bool { question.type == type || question.type == .any }

    /// Nothing more comes: says what the absence of answers means.
    private mutating func finish(exists: Bool) {
        guard response.answers.isEmpty else { return }
        if !exists { response.code = .nameError }
        response.authority = [startOfAuthority]
    }

    private var startOfAuthority: DNSRecord {
        let authority = DNSAuthority(
            server: zone.prefixed(by: "ns") ?? zone, mailbox: zone.prefixed(by: "hostmaster") ?? zone,
            serial: UInt32(truncatingIfNeeded: catalog.lastIndex), refreshSeconds: 3600, retrySeconds: 600,
            expireSeconds: 86_400, minimumSeconds: settings.ttlSeconds)
        return DNSRecord(zone, ttlSeconds: settings.ttlSeconds, .soa(authority))
    }

    private mutating func answerApex() {
        if wants(.soa) { response.answers.append(startOfAuthority) }
        if wants(.ns), let server = zone.prefixed(by: "ns") {
            response.answers.append(DNSRecord(zone, ttlSeconds: settings.ttlSeconds, .ns(server)))
            if let address = IPAddress(parsing: settings.address) {
                response.additional.append(record(server, address))
            }
        }
        finish(exists: true)
    }

    private func record(_ name: DNSName, _ address: IPAddress) -> DNSRecord {
        DNSRecord(name, ttlSeconds: settings.ttlSeconds, DNSData(address: address))
    }

    /// Adds those of the families that were asked for.
    private mutating func answer(addresses: [String], of name: DNSName) {
        for text in addresses {
            guard let address = IPAddress(parsing: text) else { continue }
            let new = record(name, address)
            if wants(new.type), !response.answers.contains(new) { response.answers.append(new) }
        }
    }

    // MARK: Nodes and addresses

    private mutating func answerNode(_ name: String) {
        guard let node = catalog.nodes[name] ?? catalog.nodes.values.first(where: { $0.name.lowercased() == name })
        else { return finish(exists: false) }
        answer(addresses: [node.address], of: question.name)
        if wants(.txt) {
            for (key, value) in node.meta.sorted(by: { $0.key < $1.key }) {
                let text = Array((key == "txt" || key.hasPrefix("rfc1035-") ? value : "\(key)=\(value)").utf8)
                response.answers.append(
                    DNSRecord(question.name, ttlSeconds: settings.ttlSeconds, .txt([Array(text.prefix(255))])))
            }
        }
        finish(exists: true)
    }

    private mutating func answerAddress(_ words: [String]) {
        guard words.count == 1, let address = Self.address(ofLabel: words[0]) else { return finish(exists: false) }
        answer(addresses: [address.description], of: question.name)
        finish(exists: true)
    }

    /// `7f000001`, or 32 digits for IPv6.
    static func address(ofLabel label: String) -> IPAddress? {
        let digits = Array(label.utf8)
        guard digits.allSatisfy({ $0 >= 48 && $0 <= 57 || $0 >= 97 && $0 <= 102 }) else { return nil }
        if digits.count == 8, let bits = UInt32(label, radix: 16) { return IPAddress(IPv4Address(bits: bits)) }
        guard digits.count == 32, let high = UInt64(label.prefix(16), radix: 16),
            let low = UInt64(label.suffix(16), radix: 16)
        else { return nil }
        return IPAddress(IPv6Address(high: high, low: low))
    }

    static func label(of address: IPAddress) -> String {
        address.ipv4.map { hexadecimal(UInt64($0.bits), 8) }
            ?? hexadecimal(address.high, 16) + hexadecimal(address.low, 16)
    }

    // MARK: Services

    /// - Returns: the service's name.
    private mutating func answerService(_ words: [String], _ random: inout SeededRandom) -> String? {
        var tag: String?
        var word = words[words.count - 1]
        if words.count == 2, words[0].hasPrefix("_"), words[1].hasPrefix("_") {
            word = String(words[0].dropFirst())
            if !["_tcp", "_udp"].contains(words[1]) { tag = String(words[1].dropFirst()) }
        } else if words.count > 1 {
            tag = words.dropLast().joined(separator: ".")
        }
        guard let name = catalog.serviceName(inAnyCase: word) else {
            finish(exists: false)
            return nil
        }
        let all = catalog.instances(of: name).filter { instance in
            tag.map { tag in instance.tags.contains { $0.lowercased() == tag } } ?? true
        }
        let limit: ServiceStatus = settings.answersPassingOnly ? .passing : .warning
        var well = all.map { ($0, catalog.status(of: $0)) }.filter { $0.1 <= limit }
        well.shuffle(using: &random)
        answer(addresses: well.map { catalog.address(of: $0.0) }, of: question.name)
        if response.answers.isEmpty, question.type != .srv { answerAlias(well.map(\.0)) }
        if wants(.srv) { for (instance, status) in well { answerService(instance, status) } }
        finish(exists: !all.isEmpty)
        return name
    }

    /// An instance whose address is a name: there can be one CNAME, and nothing beside it.
    private mutating func answerAlias(_ instances: [ServiceInstance]) {
        guard wants(.a) || wants(.aaaa) || question.type == .cname else { return }
        for instance in instances {
            let address = catalog.address(of: instance)
            guard IPAddress(parsing: address) == nil, let target = DNSName(parsing: address), !target.isRoot else {
                continue
            }
            return response.answers.append(
                DNSRecord(question.name, ttlSeconds: settings.ttlSeconds, .cname(target)))
        }
    }

    private mutating func answerService(_ instance: ServiceInstance, _ status: ServiceStatus) {
        let text = catalog.address(of: instance)
        let target: DNSName
        if let address = IPAddress(parsing: text) {
            let name =
                instance.address.isEmpty
                ? zone.prefixed(by: instance.node, "node", settings.datacenter)
                : zone.prefixed(by: Self.label(of: address), "addr", settings.datacenter)
            guard let name = name ?? zone.prefixed(by: Self.label(of: address), "addr") else { return }
            target = name
            let extra = record(name, address)
            if !response.additional.contains(extra) { response.additional.append(extra) }
        } else if let name = DNSName(parsing: text), !name.isRoot {
            target = name
        } else {
            return
        }
        let weight = status == .passing ? instance.passingWeight : instance.warningWeight
        response.answers.append(
            DNSRecord(
                question.name, ttlSeconds: settings.ttlSeconds,
                .srv(
                    priority: 1, weight: UInt16(clamping: weight), port: UInt16(clamping: instance.port),
                    target: target)))
    }

    // MARK: Reverse

    /// The names of an address that is on the catalogue; nil for everything else.
    private static func reverse(
        _ question: DNSMessage.Question, _ catalog: RegistryCatalog, _ settings: RegistrySettings
    ) -> [DNSRecord]? {
        guard question.type == .ptr || question.type == .any, let address = address(ofReverse: question.name.words),
            let zone = settings.domains.first.flatMap({ DNSName(parsing: $0) })
        else { return nil }
        let text = address.description
        var names = catalog.sortedNodes.filter { $0.address == text }.compactMap {
            zone.prefixed(by: $0.name, "node", settings.datacenter)
        }
        if names.isEmpty {
            let services = catalog.instances.values.filter { $0.address == text }.map(\.name)
            names = Set(services).sorted().compactMap { zone.prefixed(by: $0, "service", settings.datacenter) }
        }
        guard !names.isEmpty else { return nil }
        return names.map { DNSRecord(question.name, ttlSeconds: settings.ttlSeconds, .ptr($0)) }
    }

    /// `1.0.0.127.in-addr.arpa`, or 32 digits before `ip6.arpa` (RFC 3596 §2.5).
    public static func address(ofReverse words: [String]) -> IPAddress? {
        let parts = words.dropLast(2)
        switch words.suffix(2) {
        case ["in-addr", "arpa"]:
            return IPv4Address(parsing: parts.reversed().joined(separator: ".")).map(IPAddress.init)
        case ["ip6", "arpa"]:
            guard parts.count == 32, parts.allSatisfy({ $0.utf8.count == 1 }) else { return nil }
            return address(ofLabel: parts.reversed().joined())
        default: return nil
        }
    }
}
