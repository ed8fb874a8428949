import CacheEngine
import KernelHosting
import KernelStructures
import KernelWire

extension CacheNode {
    private typealias Parameter = RESPConfiguration.Parameter

    /// `CONFIG GET | SET | RESETSTAT`
    var configCommand: RESPCommand {
        RESPConfiguration(parameters) { [unowned self] in
            server.resetStatistics()
            cache.resetStatistics()
        }.command
    }

    private var parameters: [Parameter] {
        func fixed(_ name: String, _ value: String) -> Parameter { Parameter(name, get: { value }) }
        func limit(_ name: String, _ path: WritableKeyPath<EncodingLimits, Int>) -> Parameter {
            .number(
                name, 0...1 << 30, get: { [unowned self] in cache.settings.encodings[keyPath: path] },
                set: { [unowned self] number in
                    var limits = cache.settings.encodings
                    limits[keyPath: path] = number
                    cache.setEncodings(limits)
                })
        }
        return [
            fixed("appendonly", "no"), fixed("save", ""), fixed("databases", "1"),
            Parameter("port", get: { [unowned self] in "\(port)" }),
            Parameter("maxmemory", get: { [unowned self] in "\(cache.settings.maxMemory)" }) { [unowned self] text in
                guard let count = Self.byteCount(text) else { return "argument must be a memory value" }
                cache.setMaxMemory(count)
                server.noteWork()
                return nil
            },
            Parameter("maxmemory-policy", get: { [unowned self] in cache.settings.policy.rawValue }) {
                [unowned self] text in
                guard let policy = EvictionChoice(rawValue: text.lowercased()) else {
                    let names = EvictionChoice.allCases.map(\.rawValue).joined(separator: ", ")
                    return "argument(s) must be one of the following: \(names)"
                }
                cache.setPolicy(policy)
                return nil
            },
            Parameter("notify-keyspace-events", get: { [unowned self] in cache.settings.notifications.text }) {
                [unowned self] text in
                guard let events = KeyspaceEvents(text) else {
                    return "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
                }
                cache.setNotifications(events)
                return nil
            },
            limit("hash-max-listpack-entries", \.hashEntries), limit("hash-max-listpack-value", \.hashValueByteCount),
            limit("set-max-intset-entries", \.setIntegers), limit("zset-max-listpack-entries", \.sortedSetEntries),
            limit("zset-max-listpack-value", \.sortedSetValueByteCount),
            .number(
                "tracking-table-max-keys", 0...Int(Int32.max), get: { [unowned self] in settings.trackedKeyLimit },
                set: { [unowned self] in settings.trackedKeyLimit = $0 == 0 ? .max : $0 }),
        ] + Parameter.ofServer { [unowned self] in server }
    }

    /// `100mb`, `1g`, `65536`: as Redis reads them, where k is 1,000 and kb 1,024. nil for anything else.
    public static func byteCount(_ text: String) -> Int? {
        let text = text.lowercased()
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let units: [String: Int] = [
            "": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1_000_000, "mb": 1 << 20, "g": 1_000_000_000, "gb": 1 << 30,
        ]
        guard let unit = units[String(text.dropFirst(digits.count))] else { return nil }
        let (count, overflowed) = number.multipliedReportingOverflow(by: unit)
        return overflowed ? nil : count
    }
}
