/// The names of services and of what they do, each with a number; bounded, because they come from outside.
struct TraceSymbols: Sendable {
    struct Operation: Hashable, Sendable {
        let name: String
        let kind: Int
    }

    /// Services, and operations of each: what is beyond is kept and found by its id and time, and not listed.
    static let serviceLimit = 5_000
    static let operationLimit = 2_000
    /// Stands for names that found no room.
    static let unknown: UInt32 = 0

    private var numbers: [String: UInt32] = [:]
    private var names: [String] = [""]
    private var operations: [[Operation: Int]] = [[:]]

    /// The service's number; it is given one if there is room.
    mutating func number(of service: String) -> UInt32 {
        if let known = numbers[service] { return known }
        guard names.count <= Self.serviceLimit else { return Self.unknown }
        let number = UInt32(names.count)
        numbers[service] = number
        names.append(service)
        operations.append([:])
        return number
    }

    /// Counts an operation up or down; one that nobody has any more is forgotten.
    mutating func count(_ operation: Operation, of service: UInt32, by change: Int) {
        guard service != Self.unknown, Int(service) < operations.count else { return }
        let count = (operations[Int(service)][operation] ?? 0) + change
        if count <= 0 {
            operations[Int(service)][operation] = nil
        } else if operations[Int(service)][operation] != nil || operations[Int(service)].count < Self.operationLimit {
            operations[Int(service)][operation] = count
        }
    }

    func known(_ service: String) -> UInt32? { numbers[service] }

    /// Of all services.
    var allNumbers: Range<UInt32> { 1..<UInt32(names.count) }

    /// Those that have spans, sorted.
    var services: [String] { names.indices.dropFirst().filter { !operations[$0].isEmpty }.map { names[$0] }.sorted() }

    /// Sorted by name, then by kind.
    func operations(of service: String) -> [Operation] {
        guard let number = numbers[service] else { return [] }
        return operations[Int(number)].keys.sorted { ($0.name, $0.kind) < ($1.name, $1.kind) }
    }
}
