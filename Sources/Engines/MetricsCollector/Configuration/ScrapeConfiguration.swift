import KernelStructures
import TimeSeriesEngine

/// What the collector does: the part of `prometheus.yml` that the lab understands.
public struct CollectorConfiguration: Sendable {
    public var scrapeInterval = LabDuration.seconds(60)
    public var scrapeTimeout = LabDuration.seconds(10)
    public var evaluationInterval = LabDuration.seconds(60)
    /// Added to what leaves this collector: federation, alerts, remote writing.
    public var externalLabels = Labels()
    /// Patterns of files with rules.
    public var ruleFiles: [String] = []
    public var scrapes: [ScrapeConfiguration] = []
    /// Alertmanagers, by address.
    public var alertmanagers: [HostPort] = []
    public var remoteWrites: [RemoteWrite] = []
    public var outOfOrderWindow = LabDuration.zero
    /// Thinned copies that the store keeps.
    public var tiers: [TierSettings] = []
    /// The file as it was read, for `/api/v1/status/config`.
    public var text = ""

    public init() {}

    public struct RemoteWrite: Sendable, Equatable {
        public let url: String
        public init(url: String) { self.url = url }
    }

    /// Targets that are written down, whatever discovery finds besides.
    public var staticTargetCount: Int {
        scrapes.reduce(0) { $0 + $1.staticGroups.reduce(0) { $0 + $1.addresses.count } }
    }
}

/// One job: what is scraped together, and how.
public struct ScrapeConfiguration: Sendable {
    public var job: String
    public var interval = LabDuration.seconds(60)
    public var timeout = LabDuration.seconds(10)
    public var metricsPath = "/metrics"
    public var scheme = "http"
    public var parameters: [(name: String, values: [String])] = []
    /// Labels of the page stay where the target has others; otherwise the page's get `exported_` in front.
    public var honorsLabels = false
    public var honorsTimestamps = true
    /// Whether pages are asked for as protobuf, the only form that has native histograms.
    public var wantsNativeHistograms = false
    public var basicAuthentication: (user: String, password: String)?
    /// The `Authorization` field as it is sent, where it is no basic authentication.
    public var authorization: String?
    /// Whether a certificate that nobody has signed is taken.
    public var skipsVerification = false
    public var staticGroups: [TargetGroup] = []
    public var fileDiscoveries: [FileDiscovery] = []
    public var dnsDiscoveries: [DNSDiscovery] = []
    public var consulDiscoveries: [ConsulDiscovery] = []
    public var targetRules: [RelabelRule] = []
    public var metricRules: [RelabelRule] = []
    /// 0 for no limit, each.
    public var sampleLimit = 0
    public var targetLimit = 0
    public var labelLimit = 0
    public var labelNameLengthLimit = 0
    public var labelValueLengthLimit = 0
    public var bodySizeLimit = 0

    public init(job: String) { self.job = job }

    /// What the file says of the job, to see whether a reload has changed it.
    public var fingerprint = ""

    public func isSame(as other: ScrapeConfiguration) -> Bool {
        job == other.job && interval == other.interval && timeout == other.timeout && fingerprint == other.fingerprint
    }

    public struct FileDiscovery: Sendable {
        public let patterns: [String]
        public let refreshInterval: LabDuration
    }

    public struct ConsulDiscovery: Sendable {
        public let server: HostPort
        /// Empty: what the lab does not offer; at least one is required.
        public let services: [String]
    }
}

/// Addresses with labels that all of them have.
public struct TargetGroup: Sendable, Equatable {
    public var addresses: [String]
    public var labels: Labels
    /// What it came from: a file's name, a name in the DNS.
    public var source: String

    public init(_ addresses: [String], labels: Labels = Labels(), source: String = "") {
        self.addresses = addresses
        self.labels = labels
        self.source = source
    }
}
