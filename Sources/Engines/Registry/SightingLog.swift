import KernelStructures

/// Who saw what when: the last changes of services, and when each client first had an answer that knew of them.
///
/// A registry's consistency is what its clients see of it. A watcher hears of a change within a round trip, one who
/// asks now and then at the next question, and one who keeps a DNS answer not before it asks again.
public struct SightingLog: Sendable {
    public struct Change: Sendable {
        public let index: UInt64
        public let time: LabTime
        public let service: String
        /// `payment-api-abc123 is critical`
        public let text: String
        /// In the order in which they saw it.
        public internal(set) var sightings: [Sighting] = []
    }

    public struct Sighting: Sendable {
        public let client: String
        /// `watch`, `query` or `dns`.
        public let way: String
        public let time: LabTime
    }

    /// Oldest first.
    public private(set) var changes: [Change] = []
    /// The index that each client's last answer about a service had.
    private var known: [Reader: UInt64] = [:]
    private var readers: [Reader] = []

    private struct Reader: Hashable {
        let client: String
        let service: String
    }

    static let changeLimit = 64
    static let readerLimit = 512
    static let sightingLimit = 256

    mutating func changed(_ applied: RegistryCatalog.Applied, _ catalog: RegistryCatalog, now: LabTime) {
        for change in applied.changes {
            switch change {
            case .registered(let instance, let isNew):
                note(instance.name, "\(instance.id) \(isNew ? "registered" : "registered again")", catalog, now)
            case .deregistered(let instance): note(instance.name, "\(instance.id) deregistered", catalog, now)
            case .check(let old?, let new?) where old.status != new.status && !new.serviceName.isEmpty:
                note(new.serviceName, "\(new.serviceID) is \(new.status.rawValue)", catalog, now)
            case .check(nil, let new?) where new.isMaintenance: maintained(new, "is in maintenance", catalog, now)
            case .check(let old?, nil) where old.isMaintenance: maintained(old, "is back", catalog, now)
            default: break
            }
        }
    }

    /// Of an instance; of a node, which takes along all that it has.
    private mutating func maintained(
        _ check: CatalogCheck, _ what: String, _ catalog: RegistryCatalog, _ now: LabTime
    ) {
        if !check.serviceID.isEmpty { return note(check.serviceName, "\(check.serviceID) \(what)", catalog, now) }
        let services = Set(catalog.instances.values.lazy.filter { $0.node == check.node }.map(\.name))
        for service in services.sorted().prefix(Self.changeLimit) {
            note(service, "node \(check.node) \(what)", catalog, now)
        }
    }

    private mutating func note(_ service: String, _ text: String, _ catalog: RegistryCatalog, _ now: LabTime) {
        changes.append(Change(index: catalog.lastIndex, time: now, service: service, text: text))
        if changes.count > Self.changeLimit { changes.removeFirst() }
    }

    /// A client has had an answer about a service that knew of everything up to an index.
    public mutating func seen(by client: String, way: String, service: String, index: UInt64, now: LabTime) {
        let reader = Reader(client: client, service: service)
        let before = known.updateValue(index, forKey: reader)
        if before == nil {
            readers.append(reader)
            if readers.count > Self.readerLimit { known[readers.removeFirst()] = nil }
            // What was before its first question was never news to it.
            return
        }
        guard let before, before < index else { return }
        for place in changes.indices.reversed() where changes[place].service == service {
            guard changes[place].index > before else { break }
            guard changes[place].index <= index, changes[place].sightings.count < Self.sightingLimit else { continue }
            changes[place].sightings.append(Sighting(client: client, way: way, time: now))
        }
    }
}

extension Registry {
    /// A client has had an answer about a service.
    public mutating func noteSighting(by client: String, way: String, service: String, index: UInt64, now: LabTime) {
        sightings.seen(by: client, way: way, service: service, index: index, now: now)
    }
}
