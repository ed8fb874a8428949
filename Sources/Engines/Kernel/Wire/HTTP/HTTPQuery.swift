import KernelStructures

/// The names and values after the `?` of a target, or in the body of a form.
///
/// Whoever answers a request takes what it knows, name by name, and then says that it expects nothing else: a
/// misspelled parameter is a mistake that is told, not one that is passed over.
///
/// ```
/// var query = try HTTPQuery(parsing: "rf=3&key=a&key=b")
/// let factor = try query.takeInteger("rf", 1...64)
/// let keys = query.takeAll("key")
/// try query.expectNothingElse()
/// ```
public struct HTTPQuery: Equatable, Sendable {
    public struct Item: Equatable, Sendable {
        public let name: String
        public let value: String
    }

    /// What has not been taken, in the order in which it stood.
    public private(set) var items: [Item] = []
    /// What was asked for, for did-you-mean.
    private var known: [String] = []

    /// More are refused.
    public static let itemLimit = 10_001

    public init() {}

    /// Reads `name=value&name=value`; a name without `=` has an empty value, and a `+` is a blank.
    ///
    /// - Throws: `HTTPError` 400 for what cannot be decoded, 414 for more than `itemLimit` items.
    public init(parsing text: some Collection<UInt8>) throws(HTTPError) {
        for item in text.split(separator: UInt8(ascii: "&")) {
            let name = item.prefix { $0 != UInt8(ascii: "=") }
            let value = item.dropFirst(name.count + 1)
            if items.count == Self.itemLimit { throw HTTPError(414, "too many values") }
            do throws(PercentCoding.Malformed) {
                items.append(
                    Item(
                        name: try PercentCoding.decodeText(name, plusIsBlank: true),
                        value: try PercentCoding.decodeText(value, plusIsBlank: true)))
            } catch {
                throw HTTPError(400, error.description)
            }
        }
    }

    public init(parsing text: some StringProtocol) throws(HTTPError) { try self.init(parsing: Array(text.utf8)) }

    /// Writes items so that reading gives them back; a nil value leaves its item out.
    ///
    /// - Returns: nothing for nothing, else with the `?` that begins it.
    public static func text(_ items: [(name: String, value: String?)]) -> String {
        let given = items.compactMap { name, value in
            value.map { PercentCoding.encode(name) + "=" + PercentCoding.encode($0) }
        }
        return given.isEmpty ? "" : "?" + given.joined(separator: "&")
    }

    // MARK: Taking

    /// All values of a name, in order.
    public mutating func takeAll(_ name: String) -> [String] {
        known.append(name)
        let values = items.filter { $0.name == name }.map(\.value)
        items.removeAll { $0.name == name }
        return values
    }

    /// - Throws: `HTTPError` 400 if the name stands there twice.
    public mutating func take(_ name: String) throws(HTTPError) -> String? {
        let values = takeAll(name)
        if values.count > 1 { throw HTTPError(400, "\(name) stands there twice") }
        return values.first
    }

    /// - Throws: `HTTPError` 400 for anything but one whole number in the range.
    public mutating func takeInteger(_ name: String, _ range: ClosedRange<Int>) throws(HTTPError) -> Int? {
        guard let text = try take(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw HTTPError(
                400, "\(name): '\(text)' is not a whole number of \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Whether a switch stands there: `name`, `name=1`, `name=true`; `0` and `false` say no.
    public mutating func takeFlag(_ name: String) throws(HTTPError) -> Bool {
        switch try take(name) {
        case nil, "0", "false": false
        case "", "1", "true": true
        case let text?: throw HTTPError(400, "\(name): '\(text)' is neither true nor false")
        }
    }

    /// - Throws: `HTTPError` 400 for a number without a unit, and for what is none.
    public mutating func takeDuration(_ name: String, upTo limit: LabDuration) throws(HTTPError) -> LabDuration? {
        guard let text = try take(name) else { return nil }
        guard let duration = LabDuration(parsing: text), duration >= .zero, duration <= limit else {
            throw HTTPError(400, "\(name): '\(text)' is not a duration of 0s to \(limit), such as 500ms")
        }
        return duration
    }

    /// - Throws: `HTTPError` 400 that names what is left, and what it may have been meant to be.
    public func expectNothingElse() throws(HTTPError) {
        guard let item = items.first else { return }
        throw HTTPError(400, "'\(item.name)' means nothing here\(didYouMean(item.name, among: known))")
    }
}
