import TimeSeriesEngine

/// One thing that is wrong, or was until a moment ago.
public struct Alert: Equatable, Sendable {
    public enum State: String, Sendable {
        /// Wrong, but not yet for long enough.
        case pending
        case firing
        /// It is over; kept for a while so that the end is told, too.
        case inactive
    }

    public var state: State
    public var labels: Labels
    public var annotations: [(name: String, text: String)]
    /// Of the expression, when it was last there.
    public var value: Double
    /// Milliseconds since 1970, as all times here.
    public var activeAt: Int64
    public var firedAt: Int64?
    public var resolvedAt: Int64?
    public var keepFiringSince: Int64?
    public var lastSentAt: Int64?
    /// Until when receivers are to take it for firing if they hear nothing more.
    public var validUntil: Int64?
    /// Of its rule, where it is handed on to receivers; otherwise empty.
    public var expression = ""

    public static func == (left: Alert, right: Alert) -> Bool {
        left.state == right.state && left.labels == right.labels && left.activeAt == right.activeAt
            && left.firedAt == right.firedAt && left.resolvedAt == right.resolvedAt
            && left.keepFiringSince == right.keepFiringSince && left.lastSentAt == right.lastSentAt
            && left.annotations.elementsEqual(right.annotations) { $0 == $1 }
            && (left.value == right.value || left.value.isNaN && right.value.isNaN)
    }
}

/// The alerts of one rule, and how they come and go.
///
/// ```
///                  there                  there for `for`              away (for `keep_firing_for`)
///   nothing ───────────────▶ pending ─────────────────────▶ firing ────────────────────────────────▶ inactive
///      ▲                        │ away                                                                   │
///      └────────────────────────┴────────────────────────────────────────────────────────────────────────┘
///                                                                                    after 15 minutes
/// ```
/// (Prometheus 2.42, `rules/alerting.go`.)
public struct AlertBook: Sendable {
    /// For how long an alert that is over is told again.
    static let resolvedRetentionMilliseconds: Int64 = 900_000
    static let resendMilliseconds: Int64 = 60_000

    /// By their labels, in the order in which they turned up.
    public private(set) var alerts: [Alert] = []
    private var places: [Labels: Int] = [:]
    let forMilliseconds: Int64
    let keepFiringForMilliseconds: Int64

    public init(forMilliseconds: Int64, keepFiringForMilliseconds: Int64) {
        self.forMilliseconds = forMilliseconds
        self.keepFiringForMilliseconds = keepFiringForMilliseconds
    }

    /// What the expression has given for one series.
    public struct Finding {
        public let labels: Labels
        public let annotations: [(name: String, text: String)]
        public let value: Double

        public init(labels: Labels, annotations: [(name: String, text: String)] = [], value: Double) {
            self.labels = labels
            self.annotations = annotations
            self.value = value
        }
    }

    /// Takes all findings of a moment; whatever is not among them is over.
    ///
    /// - Returns: how many alerts are pending or firing.
    public mutating func update(_ findings: [Finding], at now: Int64) -> Int {
        var isFound = Array(repeating: false, count: alerts.count)
        for finding in findings {
            if let place = places[finding.labels], alerts[place].state != .inactive {
                alerts[place].value = finding.value
                alerts[place].annotations = finding.annotations
                alerts[place].keepFiringSince = nil
                isFound[place] = true
                continue
            }
            let alert = Alert(
                state: .pending, labels: finding.labels, annotations: finding.annotations, value: finding.value,
                activeAt: now)
            if let place = places[finding.labels] {
                alerts[place] = alert
                isFound[place] = true
            } else {
                places[finding.labels] = alerts.count
                alerts.append(alert)
                isFound.append(true)
            }
        }
        var active = 0
        var gone = false
        for place in alerts.indices {
            if !isFound[place], !keep(place, now) {
                if alerts[place].state == .pending || isForgotten(alerts[place], now) {
                    alerts[place].state = .inactive
                    alerts[place].resolvedAt = nil
                    gone = true
                } else if alerts[place].state == .firing {
                    alerts[place].state = .inactive
                    alerts[place].resolvedAt = now
                }
                continue
            }
            active += 1
            if alerts[place].state == .pending, now - alerts[place].activeAt >= forMilliseconds {
                alerts[place].state = .firing
                alerts[place].firedAt = now
            }
        }
        if gone { removeForgotten() }
        return active
    }

    /// Whether an alert that is not found any more stays as it is.
    private mutating func keep(_ place: Int, _ now: Int64) -> Bool {
        guard alerts[place].state == .firing, keepFiringForMilliseconds > 0 else { return false }
        let since = alerts[place].keepFiringSince ?? now
        alerts[place].keepFiringSince = since
        return now - since < keepFiringForMilliseconds
    }

    private func isForgotten(_ alert: Alert, _ now: Int64) -> Bool {
        alert.state == .inactive && (alert.resolvedAt.map { now - $0 > Self.resolvedRetentionMilliseconds } ?? true)
    }

    private mutating func removeForgotten() {
        alerts.removeAll { $0.state == .inactive && $0.resolvedAt == nil }
        places = [:]
        for (place, alert) in alerts.enumerated() { places[alert.labels] = place }
    }

    mutating func removeAll() {
        alerts = []
        places = [:]
    }

    /// Goes on with alerts that were pending or firing before a restart.
    mutating func restore(_ labels: Labels, activeAt: Int64) {
        guard let place = places[labels] else { return }
        alerts[place].activeAt = activeAt
    }

    /// The alerts that receivers are to be told of now; they count as told.
    public mutating func takeDue(at now: Int64, intervalMilliseconds: Int64) -> [Alert] {
        var due: [Alert] = []
        for place in alerts.indices where alerts[place].state != .pending {
            let sent = alerts[place].lastSentAt
            let isNews = alerts[place].resolvedAt.map { $0 > sent ?? .min } ?? false
            guard isNews || sent.map({ now - $0 > Self.resendMilliseconds }) ?? true else { continue }
            alerts[place].lastSentAt = now
            alerts[place].validUntil = now + 4 * max(intervalMilliseconds, Self.resendMilliseconds)
            due.append(alerts[place])
        }
        return due
    }
}
