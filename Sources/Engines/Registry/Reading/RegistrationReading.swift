import KernelJSON
import KernelStructures
import KernelWire

/// What a client wants to have registered, read from Consul's JSON.
public struct RegistrationReading {
    public let settings: RegistrySettings

    public init(_ settings: RegistrySettings) { self.settings = settings }

    // MARK: An agent's services

    /// The body of `/v1/agent/service/register`. The instance has no id if none was said.
    ///
    /// - Parameter caller: the address from which the request came, for an instance that says none.
    public func service(_ body: JSONValue, caller: String) throws(RegistryError) -> (ServiceInstance, [CatalogCheck]) {
        let object = try LooseObject(JSONCursor(body))
        guard let name = try object.text("Name", or: "Service"), !name.isEmpty else {
            throw RegistryError(.malformed, "a service needs a name", remedy: "add \"Name\"")
        }
        var instance = ServiceInstance(node: settings.node, id: try object.text("ID") ?? "", name: name)
        try fill(&instance, object)
        if instance.address.isEmpty { instance.address = caller }
        var checks: [CatalogCheck] = []
        var written = try object.objects("Checks", limit: Self.checkLimit) ?? []
        if let one = try object.object("Check") { written.insert(one, at: 0) }
        for (number, object) in written.enumerated() {
            var check = try self.check(object, of: instance)
            if check.id.isEmpty { check.id = Self.checkMark + (written.count == 1 ? "" : ":\(number + 1)") }
            if check.name.isEmpty { check.name = "Service '\(name)' check" }
            checks.append(check)
        }
        return (instance, checks)
    }

    static let checkLimit = 32
    /// Stands for `service:ID` until there is an id.
    public static let checkMark = "\u{0}service"

    /// Gives an instance and its checks the id that it is to have.
    public static func name(_ instance: inout ServiceInstance, _ checks: inout [CatalogCheck], id: String) {
        instance.id = id
        for index in checks.indices {
            checks[index].serviceID = id
            if checks[index].id.hasPrefix(checkMark) {
                checks[index].id = "service:\(id)" + checks[index].id.dropFirst(checkMark.count)
            }
        }
    }

    /// What a service says of itself beside its name and its id.
    func fill(_ instance: inout ServiceInstance, _ object: LooseObject) throws(RegistryError) {
        instance.tags = try object.texts("Tags") ?? []
        instance.address = try object.text("Address") ?? ""
        instance.port = try object.integer("Port", in: 0...65_535) ?? 0
        instance.meta = try object.pairs("Meta") ?? [:]
        instance.allowsTagOverride = try object.flag("EnableTagOverride") ?? false
        if let weights = try object.object("Weights") {
            instance.passingWeight = try weights.integer("Passing", in: 1...65_535) ?? 1
            instance.warningWeight = try weights.integer("Warning", in: 0...65_535) ?? 1
        }
    }

    // MARK: Checks

    /// The body of `/v1/agent/check/register`.
    public func check(_ body: JSONValue) throws(RegistryError) -> CatalogCheck {
        let object = try LooseObject(JSONCursor(body))
        var check = try check(object, of: nil)
        guard !check.name.isEmpty else {
            throw RegistryError(.malformed, "a check needs a name", remedy: "add \"Name\"")
        }
        if check.id.isEmpty { check.id = check.name }
        check.serviceID = try object.text("ServiceID") ?? ""
        return check
    }

    private func check(_ object: LooseObject, of instance: ServiceInstance?) throws(RegistryError) -> CatalogCheck {
        var check = CatalogCheck(
            node: settings.node, id: try object.text("CheckID", or: "ID") ?? "",
            name: try object.text("Name") ?? "")
        check.notes = try object.text("Notes") ?? ""
        check.status = try status(object) ?? .critical
        check.definition = try definition(object, of: instance)
        if case .passive? = check.definition?.kind, !object.has("Status") { check.status = .passing }
        return check
    }

    private func status(_ object: LooseObject) throws(RegistryError) -> ServiceStatus? {
        guard let word = try object.text("Status"), !word.isEmpty else { return nil }
        guard let status = ServiceStatus(rawValue: word.lowercased()) else {
            throw object.error("Status", "'\(word)' is none of passing, warning, critical")
        }
        return status
    }

    /// Shorter intervals would be a load of their own.
    private static let intervalRange = LabDuration.milliseconds(100)...LabDuration.seconds(86_400)

    private func definition(_ object: LooseObject, of instance: ServiceInstance?) throws(RegistryError)
        -> CheckDefinition
    {
        var definition = try kind(object, of: instance)
        guard Self.intervalRange.contains(definition.interval) else {
            throw object.error(
                "Interval", "a check is made every 100ms to 24h, not every \(definition.interval)")
        }
        if let timeout = try object.duration("Timeout") { definition.timeout = min(timeout, .seconds(600)) }
        let range = 0...1000
        definition.successesBeforePassing = try object.integer("SuccessBeforePassing", in: range) ?? 0
        definition.failuresBeforeWarning = try object.integer("FailuresBeforeWarning", in: range)
        definition.failuresBeforeCritical =
            try object.integer("FailuresBeforeCritical", in: range) ?? settings.failuresBeforeCritical
        definition.deregistersAfter = try object.duration("DeregisterCriticalServiceAfter")
        return definition
    }

    private func kind(_ object: LooseObject, of instance: ServiceInstance?) throws(RegistryError) -> CheckDefinition {
        let interval = try object.duration("Interval")
        for word in ["GRPC", "H2PING", "UDP", "DockerContainerID", "Args", "Script"] where object.has(word) {
            throw object.error(
                word, "checks of this kind are not made here", remedy: "there are HTTP, TCP, TTL, Alias and Passive")
        }
        if let url = try object.text("HTTP", limitBytes: 4096), !url.isEmpty {
            do throws(HTTPURL.Malformed) { _ = try HTTPURL(url) } catch { throw object.error("HTTP", "\(error)") }
            let method = try object.text("Method") ?? "GET"
            guard HTTPToken.isValid(method) else { throw object.error("Method", "'\(method)' is no method") }
            let kind = CheckDefinition.Kind.http(
                url: url, method: method.isEmpty ? "GET" : method, fields: try fields(object),
                body: try object.text("Body", limitBytes: 16_384) ?? "")
            return CheckDefinition(kind, interval: try Self.needed(interval, object))
        }
        if let place = try object.text("TCP"), !place.isEmpty {
            do throws(HostPort.Malformed) { _ = try HostPort(reading: place) } catch {
                throw object.error("TCP", "\(error)")
            }
            return CheckDefinition(.tcp(place), interval: try Self.needed(interval, object))
        }
        if let ttl = try object.duration("TTL") { return CheckDefinition(.ttl, interval: ttl) }
        if object.has("AliasNode") || object.has("AliasService") {
            let kind = CheckDefinition.Kind.alias(
                node: try object.text("AliasNode") ?? "", service: try object.text("AliasService") ?? "")
            return CheckDefinition(kind, interval: .seconds(60))
        }
        if try object.flag("Passive") == true { return CheckDefinition(.passive, interval: .seconds(60)) }
        throw RegistryError(
            .malformed, "\(object.cursor.path): what is to be checked?",
            remedy: "add \"HTTP\" or \"TCP\" with an \"Interval\", \"TTL\", \"AliasService\", or \"Passive\": true")
    }

    private static func needed(_ interval: LabDuration?, _ object: LooseObject) throws(RegistryError) -> LabDuration {
        guard let interval else {
            throw RegistryError(
                .malformed, "\(object.cursor.path): how often is it to be checked?", remedy: "add \"Interval\": \"10s\""
            )
        }
        return interval
    }

    /// Consul's form has lists of values: the first counts.
    private func fields(_ object: LooseObject) throws(RegistryError) -> [String: String] {
        guard let header = object["Header"] else { return [:] }
        let members = try LooseObject.checked { () throws(JSONTypeError) in try header.members() }
        var fields: [String: String] = [:]
        for (name, value) in members.prefix(RegistryLimits.metaPairs) {
            let text = try LooseObject.checked { () throws(JSONTypeError) in
                if case .array? = value.value { return try value[0].ifPresent?.string() ?? "" }
                return try value.string()
            }
            guard HTTPToken.isValid(name), text.utf8.count <= 4096, text.utf8.allSatisfy({ $0 >= 32 && $0 != 127 })
            else { throw object.error("Header", "'\(name)' cannot be a field") }
            fields[name] = text
        }
        return fields
    }
}
