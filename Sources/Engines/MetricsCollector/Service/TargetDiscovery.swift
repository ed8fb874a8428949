import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import MetricsCollectorEngine
import TimeSeriesEngine

/// Where the targets of one job come from, as they are now: what is written down, files, names, a registry.
///
/// Each source has a place in a list, so that the order of targets never depends on which answer came first.
final class TargetDiscovery {
    let configuration: ScrapeConfiguration
    private let node: Node
    private let files: CollectorFiles
    private let onChange: () -> Void
    private var groups: [[TargetGroup]] = []
    private var followers: [ServiceFollower] = []
    private var nameFollowers: [NameFollower] = []
    private var timers: [TimerID] = []
    private var isOver = false
    /// Something that an operator should know, once a source.
    var onTrouble: ((String) -> Void)?
    private var troubles: [Int: String] = [:]
    /// What was read last, by source and file.
    private var fileGroups: [Int: [String: [TargetGroup]]] = [:]

    /// Files of one pattern.
    private static let fileLimit = 1000

    init(
        _ configuration: ScrapeConfiguration, node: Node, files: CollectorFiles, onChange: @escaping () -> Void
    ) {
        self.configuration = configuration
        self.node = node
        self.files = files
        self.onChange = onChange
    }

    /// All groups, in the order of the configuration.
    var targets: [TargetGroup] { configuration.staticGroups + groups.flatMap { $0 } }

    func start() {
        for discovery in configuration.fileDiscoveries { follow(discovery, place()) }
        for discovery in configuration.dnsDiscoveries {
            for name in discovery.names { follow(name, discovery, place()) }
        }
        for discovery in configuration.consulDiscoveries {
            for service in discovery.services { follow(service, at: discovery.server, place()) }
        }
    }

    func stop() {
        isOver = true
        for follower in followers { follower.stop() }
        for follower in nameFollowers { follower.stop() }
        for timer in timers { node.cancel(timer) }
    }

    private func place() -> Int {
        groups.append([])
        return groups.count - 1
    }

    private func set(_ place: Int, _ new: [TargetGroup], trouble: String? = nil) {
        if let trouble { complain(place, trouble) } else { troubles[place] = nil }
        guard groups[place] != new else { return }
        groups[place] = new
        onChange()
    }

    private func complain(_ place: Int, _ text: String) {
        guard troubles[place] != text else { return }
        troubles[place] = text
        onTrouble?("\(configuration.job): \(text)")
    }

    /// Calls `action` now, and then each interval.
    private func repeatedly(_ interval: LabDuration, _ action: @escaping () -> Void) {
        guard !isOver else { return }
        action()
        let index = timers.count
        func wait() {
            let timer = node.after(interval) { [weak self] in
                guard let self, !isOver else { return }
                action()
                wait()
            }
            if index < timers.count { timers[index] = timer } else { timers.append(timer) }
        }
        wait()
    }

    // MARK: Files

    /// Reads the lists of targets that are there. One that is not may come later, and is no mistake.
    static func check(_ configuration: ScrapeConfiguration, _ files: CollectorFiles) throws {
        for pattern in configuration.fileDiscoveries.flatMap(\.patterns) {
            for name in files.matching(pattern).prefix(fileLimit) where files.exists(name) {
                _ = try ScrapeConfiguration.groups(yaml: try files.read(name), file: name)
            }
        }
    }

    private func follow(_ discovery: ScrapeConfiguration.FileDiscovery, _ place: Int) {
        // Prometheus is told of changes by the system; the lab's disks tell nobody, and the files are small.
        repeatedly(min(discovery.refreshInterval, .seconds(5))) { [weak self] in
            self?.read(discovery.patterns, place)
        }
    }

    /// A file that is not there has no targets; one that is broken keeps those that it had, and hides no others.
    private func read(_ patterns: [String], _ place: Int) {
        let before = fileGroups[place] ?? [:]
        var found: [(name: String, groups: [TargetGroup])] = []
        var trouble: String?
        for pattern in patterns {
            for name in files.matching(pattern).prefix(Self.fileLimit) where files.exists(name) {
                do {
                    var groups = try ScrapeConfiguration.groups(yaml: try files.read(name), file: name)
                    for index in groups.indices {
                        groups[index].labels = groups[index].labels.setting("__meta_filepath", to: name)
                    }
                    found.append((name, groups))
                } catch {
                    found.append((name, before[name] ?? []))
                    trouble = trouble ?? "\(error)"
                }
            }
        }
        fileGroups[place] = Dictionary(found.map { ($0.name, $0.groups) }, uniquingKeysWith: { first, _ in first })
        set(place, found.flatMap(\.groups), trouble: trouble)
    }

    // MARK: Registry

    private func follow(_ service: String, at server: HostPort, _ place: Int) {
        let follower = ServiceFollower(node, service: service, registry: server) { [weak self] instances in
            self?.set(place, instances.map { Self.group($0, service) })
        }
        follower.onFailure = { [weak self] text in self?.complain(place, "\(server): \(text)") }
        followers.append(follower)
        follower.start()
    }

    private static func group(_ instance: DiscoveredInstance, _ service: String) -> TargetGroup {
        let place = instance.destination
        return TargetGroup(
            [place.description],
            labels: Labels([
                ("__meta_consul_service", service), ("__meta_consul_service_id", instance.id),
                ("__meta_consul_service_address", place.host), ("__meta_consul_service_port", "\(place.port)"),
                ("__meta_consul_health", instance.status),
                ("__meta_consul_tags", instance.tags.isEmpty ? "" : "," + instance.tags.joined(separator: ",") + ","),
            ]), source: service)
    }

    // MARK: Names

    private func follow(_ name: DNSName, _ discovery: ScrapeConfiguration.DNSDiscovery, _ place: Int) {
        let follower = NameFollower(node, name, discovery) { [weak self] outcome in
            switch outcome {
            case .success(let groups): self?.set(place, groups)
            // What cannot be asked keeps what it said before.
            case .failure(let trouble): self?.complain(place, trouble.description)
            }
        }
        nameFollowers.append(follower)
        repeatedly(discovery.refreshInterval) { [weak follower] in follower?.ask() }
    }
}

/// The files that a collector's configuration names: those of the terminal it was started at.
public struct CollectorFiles {
    /// Reads a file by a name of `matching`.
    public let read: (_ name: String) throws -> [UInt8]
    /// The names that fit a pattern with `*` in its last part, sorted; a pattern is relative to the configuration's own
    /// directory, as in Prometheus, and the names are relative to where the collector was started.
    public let matching: (_ pattern: String) -> [String]
    public let exists: (_ name: String) -> Bool

    public init(
        read: @escaping (String) throws -> [UInt8], matching: @escaping (String) -> [String],
        exists: @escaping (String) -> Bool
    ) {
        self.read = read
        self.matching = matching
        self.exists = exists
    }

    /// None.
    public static var none: CollectorFiles {
        CollectorFiles(
            read: { name in throw ReloadFailure("\(name): there are no files") }, matching: { _ in [] },
            exists: { _ in false })
    }
}
